"""Who may import whom, read off every file's syntax, and what the light imports must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("rl", "agents", "envs", "runs")
FILES = sorted(
    path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "out" not in path.relative_to(ROOT).parts
)

MAY_IMPORT = {
    "rl": ("rl",),
    "agents": ("agents", "rl"),
    "envs": (
        "envs",
        "rl.interface",
        "rl.cores",
        "rl.errors",
        "rl.imports",
        "rl.memory",
        "rl.seeding",
        "rl.tables",
        "rl.tuples",
    ),
    "runs": ("runs", "agents", "envs", "rl"),
}
ONLY_IN = {
    "pygame": "envs/drawing.py",
    "stable_baselines3": "runs/comparing/peers/",
    "sb3_contrib": "runs/comparing/peers/",
    "wandb": "rl/tracking.py",
}
HEAVY = ("torch", "pygame", "numba", "wandb", "stable_baselines3", "scipy", "matplotlib", "ale_py", "cv2", "jinja2")


def imported(path: Path) -> list[tuple[str, int, bool]]:
    """(dotted name, line, whether it runs when the file is imported) of every import in a file."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: list[tuple[str, int, bool]] = []

    def visit(node: ast.AST, at_import: bool) -> None:
        for child in ast.iter_child_nodes(node):
            inside = at_import and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                inside = False
            if isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno, at_import) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = ".".join(package[: len(package) - child.level + 1]) if child.level else ""
                module = ".".join(part for part in (base, child.module) if part)
                found.extend((f"{module}.{alias.name}", child.lineno, at_import) for alias in child.names)
            visit(child, inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(allowed + ".")


def test_the_rooms_import_only_in_the_one_direction():
    wrong = []
    for path in FILES:
        here = path.relative_to(ROOT)
        for name, line, _ in imported(path):
            if name.partition(".")[0] in ROOMS and not any(within(name, ok) for ok in MAY_IMPORT[here.parts[0]]):
                wrong.append(f"{here}:{line} imports {name}")
    assert not wrong


def test_pygame_sb3_and_wandb_have_one_home_each():
    wrong = []
    for path in FILES:
        here = path.relative_to(ROOT).as_posix()
        for name, line, at_import in imported(path):
            top = name.partition(".")[0]
            if top in ONLY_IN and not here.startswith(ONLY_IN[top]):
                wrong.append(f"{here}:{line} imports {top}, which belongs in {ONLY_IN[top]}")
            elif top == "wandb" and at_import:
                wrong.append(f"{here}:{line} imports {top} before it is used")
    assert not wrong


def test_environments_know_nothing_of_torch():
    assert not [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        if path.relative_to(ROOT).parts[0] == "envs"
        for name, line, _ in imported(path)
        if within(name, "torch")
    ]


def test_nothing_is_saved_or_loaded_as_a_pickle():
    assert not [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in FILES
        for name, line, _ in imported(path)
        if name.partition(".")[0] in ("pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal", "joblib")
    ]


def test_every_folder_of_code_and_tests_is_a_package():
    folders = {path.parent for room in (*ROOMS, "tests") for path in (ROOT / room).rglob("*.py")}
    folders = {folder for folder in folders if "out" not in folder.relative_to(ROOT).parts}
    assert not [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()]


def test_every_room_ships_its_types():
    assert all((ROOT / room / "py.typed").exists() for room in ROOMS)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize(
    "what",
    [
        "import envs, rl, agents, runs",
        "from runs.cli import main; assert main(['--help']) == 0",
        "from runs.cli import main; assert main(['train', '--help']) == 0",
        "from runs.cli import main; assert main([]) == 0",
        "from runs.cli import main; assert main(['--version']) == 0",
        "from runs.cli import main; assert main(['tran']) == 2",
        "from runs.cli import main; assert main(['train', 'x', '--stepz', '5']) == 2",
        "from runs.cli import main; assert main(['train', 'x', '--steps', 'many']) == 2",
        "from runs.cli import main; assert main(['compare', 'x']) == 2",
        "import runs; dir(runs); assert hasattr(runs, '__all__')",
    ],
)
def test_the_light_imports_load_nothing_heavy(what):
    done = run_python(f"import sys\n{what}\nprint('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_only_a_report_loads_the_templates():
    done = run_python("import sys, runs; runs.train, runs.compare, runs.load; assert 'jinja2' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_an_environment_worker_loads_no_torch():
    done = run_python(
        "import sys, envs\n"
        "env = envs.make('CartPole-v1', num_envs=2, seed=0)\n"
        "env.reset()\n"
        "assert 'torch' not in sys.modules and 'pygame' not in sys.modules and 'wandb' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr


def test_a_person_who_plays_waits_for_no_torch():
    done = run_python(
        "import sys\n"
        "from runs.watching.play import Person\n"
        "with Person('Arcade/Breakout-v1', seed=0) as person:\n"
        "    person.step(set())\n"
        "    person.fetch()\n"
        "assert 'torch' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr


def test_no_import_circle_in_the_tree():
    """Imports inside functions and for type checkers count too: a circle must not hide there."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        found = {target for target, _, _ in imported(path)}
        graph[name] = {next((n for n in (x, x.rpartition(".")[0]) if n in names), "") for x in found} - {"", name}
    state: dict[str, int] = {}

    def visit(name: str, trail: list[str]) -> list[str]:
        state[name] = 1
        for other in sorted(graph[name]):
            if state.get(other) == 1:
                return [*trail[trail.index(other) :], other]
            if other not in state and (circle := visit(other, [*trail, other])):
                return circle
        state[name] = 2
        return []

    for name in sorted(graph):
        if name not in state:
            assert not visit(name, [name])


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []
