"""Names in a run.json or a manifest are imported only if this machine wrote the file, or a person allows it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import runs
from rl.checkpoint import _digest
from runs.cli import command_line as cli
from runs.comparing.senders import run_job
from runs.folder import trust
from runs.folder.trust import UntrustedError
from runs.recipe import Run, describe, from_document

EVIL = """
import pathlib
pathlib.Path({mark!r}).touch()

import gymnasium
from torch import nn
from agents.dqn import DQN

class Env(gymnasium.Env):
    pass

class Net(nn.Module):
    pass

class Agent(DQN):
    pass

def make(**options):
    return gymnasium.make("CartPole-v1")
"""

MINE = """
import gymnasium

def Env(**options):
    return gymnasium.make("CartPole-v1")
"""


def hostile(mark: Path) -> dict[str, dict[str, Any]]:
    """Changes to a recipe, each of which would leave the file `mark` if what it names were imported or called."""
    touch = f"touch {mark}"

    def env(name: str, /, **options: Any) -> dict[str, Any]:
        return {"env": name, "env_config": {"options": options}}

    return {
        "os": env("os:system", command=touch),
        "os.path": env("os.path:os.system", command=touch),
        "subprocess class": env("subprocess:Popen", args=["touch", str(mark)]),
        "subprocess function": env("subprocess:run", args=["touch", str(mark)]),
        "builtins": env("builtins:open", file=str(mark), mode="w"),
        "importlib": env("importlib:import_module", name="evil"),
        "shutil": env("shutil:copy", src="evil.py", dst=str(mark)),
        "webbrowser": env("webbrowser:open", url=str(mark)),
        "runpy": env("runpy:run_path", path_name="evil.py"),
        "pydoc": env("pydoc:writedoc", thing="evil"),
        "pathlib": env("pathlib:Path.touch", self=str(mark)),
        "gymnasium itself": env("gymnasium:make", id="evil:CartPole-v1"),
        "environment class": env("evil:Env"),
        "environment function": env("evil:make", render_mode="rgb_array"),
        "registered id behind a module": env("evil:CartPole-v1"),
        "with Atari's prefix": env("ale_py:evil:Env"),
        "an option": env("GymV26Environment-v0", env_id="evil:Env"),
        "an agent in an option": env("CartPole-v1", rival={"name": "evil:Agent"}),
        "agent": {"agent": {"name": "evil:Agent"}},
        "entry point": {"agent": {"name": "evil_agent"}},
        "encoder": {"agent": {"net": {"encoder": "evil:Net"}}},
    }


def merged(recipe: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    out = dict(recipe)
    for key, value in changes.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and key in out else value
    return out


def change(run: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Changes the recipe in a run folder's run.json and manifests, whose own checksums stay right."""
    path = run / "run.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "recipe": how(info["recipe"])}))
    for path in run.glob("checkpoints/*/manifest.json"):
        rewrite_manifest(path, lambda m: {**m, "extra": {**m["extra"], "recipe": how(m["extra"]["recipe"])}})


def rewrite_manifest(path: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    manifest = json.loads(path.read_text())
    manifest.pop("sha256")
    manifest = how(manifest)
    path.write_text(json.dumps({**manifest, "sha256": _digest(manifest)}))


SETTINGS = ["learning_starts=20", "buffer_size=100", "eval_episodes=1", "eval_max_steps=5", "batch_size=4"]
SETTINGS += ["eval_every=0", "save_every=0"]  # one checkpoint, so that no older one is taken instead


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a registered environment."""
    out = tmp_path_factory.mktemp("genuine") / "run"
    runs.train("CartPole-v1", agent="dqn", steps=40, settings=SETTINGS, out=out)
    return out


@pytest.fixture
def folder(tmp_path: Path, genuine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of the run, a hostile module and a package that offers an agent."""
    shutil.copytree(genuine, tmp_path / "run")
    (tmp_path / "evil.py").write_text(EVIL.format(mark=str(tmp_path / "mark")))
    package = tmp_path / "evil_agent-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: evil-agent\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[ludo_rl.agents]\nevil_agent = evil:Agent\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*(p for p in sys.path if p), str(tmp_path)])
    monkeypatch.setenv("BROWSER", "touch %s")
    monkeypatch.setattr("envs.drawing.require_display", lambda mend="": None)
    yield tmp_path
    sys.modules.pop("evil", None)


def left_a_mark(folder: Path) -> bool:
    return (folder / "mark").exists() or "evil" in sys.modules or (folder / "evil.html").exists()


VERBS = {
    "train the file": ["train", "run/run.json", "--out", "out"],
    "train the folder": ["train", "run", "--out", "out"],
    "resume": ["resume", "run"],
    "evaluate": ["evaluate", "run"],
    "evaluate a checkpoint": ["evaluate", "run/checkpoints/step-000000040"],
    "watch": ["watch", "run", "--video", "game.webm"],
    "follow": ["watch", "run", "--follow", "--video", "game.webm"],
    "play": ["play", "CartPole-v1", "--vs", "run"],
    "compare the file": ["compare", "run/run.json", "--agents", "dqn", "--seeds", "1", "--out", "out"],
    "compare the run": ["compare", "CartPole-v1", "--agents", "dqn,run:run", "--seeds", "1", "--out", "out"],
    "report": ["report", "run"],
    "inspect": ["inspect", "run/run.json"],
    "record": ["record", "run/run.json"],
    "list": ["list", "run/run.json"],
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("attack", hostile(Path("mark")))
def test_no_verb_runs_what_a_foreign_file_names(
    attack: str, verb: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = hostile(folder / "mark")[attack]
    change(folder / "run", lambda recipe: merged(recipe, changes))
    status = cli.main(VERBS[verb])
    said = capsys.readouterr().err
    assert not left_a_mark(folder)
    if verb == "report":  # builds nothing
        assert status == 0
        return
    assert status == 2 and len(said.splitlines()) == 1, said
    assert "names code" in said and "--trust" in said
    assert not (folder / "out").exists()


@pytest.mark.parametrize("attack", hostile(Path("mark")))
def test_no_function_runs_what_a_foreign_file_names(attack: str, folder: Path) -> None:
    change(folder / "run", lambda recipe: merged(recipe, hostile(folder / "mark")[attack]))
    for call in (
        lambda: runs.load("run"),
        lambda: runs.train("run/run.json", out="out"),
        lambda: runs.resume("run"),
        lambda: runs.evaluate("run"),
    ):
        with pytest.raises(UntrustedError):
            call()
    assert not left_a_mark(folder)


NOT_ENVIRONMENTS = list(hostile(Path("mark")))[:11]


@pytest.mark.parametrize("attack", NOT_ENVIRONMENTS)
def test_what_makes_no_environment_is_not_called_though_it_is_allowed_or_typed(attack: str, folder: Path) -> None:
    changes = hostile(folder / "mark")[attack]
    change(folder / "run", lambda recipe: merged(recipe, changes))
    typed = [f"--set=env.options.{k}={v}" for k, v in changes["env_config"]["options"].items()]
    assert cli.main(["train", changes["env"], "--agent", "dqn", *typed, "--out", "out"]) == 2
    assert cli.main(["inspect", "run/run.json", "--trust"]) == 2
    assert not (folder / "mark").exists()


@pytest.mark.parametrize("words", [["evaluate", "run"], ["train", "run/run.json", "--out", "out"]])
def test_a_foreign_file_runs_nothing_in_a_process_of_its_own(words: list[str], folder: Path) -> None:
    change(folder / "run", lambda recipe: merged(recipe, hostile(folder / "mark")["environment class"]))
    environment = {**os.environ, "PYTHONPATH": str(Path(runs.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "runs", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "--trust" in done.stderr, done.stderr
    assert not left_a_mark(folder)


# One's own runs


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the user's module `mine_trust.py` and a run of its environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    (tmp_path / "mine_trust.py").write_text(MINE)
    runs.train("mine_trust:Env", agent="dqn", steps=40, settings=SETTINGS, out=tmp_path / "run")
    yield tmp_path
    sys.modules.pop("mine_trust", None)


def test_ones_own_run_goes_on_without_a_question_and_so_does_a_copy(own: Path) -> None:
    assert runs.evaluate("run")["env"] == "mine_trust:Env"
    assert cli.main(["inspect", "run/run.json", "--quiet"]) == 0
    shutil.copytree("run", "copy")
    assert runs.resume("copy", steps=50)["steps"] == 50
    assert runs.load("copy").step == 50
    shutil.copytree("copy/checkpoints/step-000000050", "alone/step-000000050")
    assert runs.load("alone/step-000000050").step == 50


def test_a_training_of_ones_own_environment_is_compared_and_a_saved_one_goes_on(own: Path) -> None:
    words = ["compare", "mine_trust:Env", "--agents", "run:run", "--seeds", "1", "--steps", "40", "--quiet"]
    assert cli.main([*words, "--out", "comparison"]) == 0
    result = json.loads(next(Path("comparison/results").glob("run-*.jsonl")).read_text())["result"]
    assert result["status"] == "ok", result["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no control characters in paths")
def test_control_characters_of_a_path_are_escaped_in_the_refusal(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(own / "run", lambda recipe: merged(recipe, {"seed": 7}))
    os.rename("run", "a\x1b]0;title\x07b")
    assert cli.main(["evaluate", "a\x1b]0;title\x07b"]) == 2
    said = capsys.readouterr().err
    assert "names code" in said and r"a\x1b]0;title\x07b" in said
    assert said.rstrip("\n").isprintable()


@pytest.mark.parametrize("field", [{"seed": 7}, {"env_config": {"options": {"extra": 1}}}])
def test_a_changed_run_of_ones_own_asks(own: Path, field: dict[str, Any]) -> None:
    change(own / "run", lambda recipe: merged(recipe, field))
    with pytest.raises(UntrustedError, match=r"mine_trust:Env' from '.*mine_trust\.py'"):
        runs.load("run")
    assert runs.load("run", trust=True).step == 40


def test_a_run_that_another_machine_signed_asks(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUDO_CONFIG", str(own / "another"))
    with pytest.raises(UntrustedError):
        runs.load("run")
    runs.resume("run", steps=50, trust=True)
    assert runs.load("run").step == 50, "what was allowed once is this machine's own"


def test_a_signed_run_does_not_import_a_module_of_another_folder(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = own / "other"
    shutil.copytree("run", other / "run")
    (other / "mine_trust.py").write_text("raise SystemExit('imported')")
    sys.modules.pop("mine_trust")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p and Path(p) != own])
    monkeypatch.chdir(other)
    with pytest.raises(UntrustedError, match="other/mine_trust.py"):
        runs.load("run")


def test_where_the_key_cannot_be_kept_a_run_is_trained_and_asks(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "file").touch()
    monkeypatch.setenv("LUDO_CONFIG", str(own / "file" / "below"))
    runs.train("mine_trust:Env", agent="dqn", steps=40, settings=SETTINGS, out="unsigned")
    assert "signature" not in json.loads(Path("unsigned/run.json").read_text())
    assert cli.main(["evaluate", "unsigned"]) == 2
    assert "--trust" in capsys.readouterr().err
    assert cli.main(["evaluate", "unsigned", "--trust"]) == 0


def test_a_run_of_registered_names_has_no_signature(genuine: Path) -> None:
    assert "signature" not in json.loads((genuine / "run.json").read_text())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_key_is_private_and_one_that_others_can_read_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUDO_CONFIG", str(tmp_path / "deep" / "configuration"))
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: trust._key(create=True), range(64)))
    path = tmp_path / "deep" / "configuration" / "signing.key"
    assert len(keys) == 1 and len(keys.pop() or b"") == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and [p.name for p in path.parent.iterdir()] == ["signing.key"]
    path.chmod(0o640)
    assert trust._key(create=True) is None
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(bytes(32))
    assert trust._key(create=True) is None


class Terminal:
    def __init__(self, answer: str) -> None:
        self.answer, self.asked = answer, 0

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 2), ("", 2)])
def test_a_terminal_is_asked_once_with_the_module_and_its_file(
    answer: str, status: int, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LUDO_CONFIG", str(own / "another"))
    monkeypatch.setattr(trust, "_answered", set())
    terminal = Terminal(answer)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cli.main(["resume", "run", "--steps", "50", "--quiet"]) == status
    said = capsys.readouterr().err
    assert terminal.asked == 1, "run.json and the manifest name the same"
    assert "'mine_trust:Env' from" in said and str(own / "mine_trust.py") in said and "Allow it?" in said


# The pieces


def test_registered_names_and_our_agents_need_no_trust() -> None:
    for name in runs_of_ours():
        assert trust.foreign_names(describe(name)) == []
    assert trust.foreign_names({"env": "ale_py:ALE/Pong-v5", "agent": {"name": "dqn"}}) == []
    assert trust.foreign_names({"options": {"opponent": "self:minimax:2"}}) == []


def test_only_a_built_in_opponent_in_its_own_field_may_have_a_colon() -> None:
    for name in ("mine:Player", "self:mine:5", "minimax:Player", "minimax:5:x", "minimax:5\n"):
        assert trust.foreign_names({"opponent": name}) == [name]
    assert trust.foreign_names({"name": "minimax:5"}) == ["minimax:5"]


def runs_of_ours() -> list[Run]:
    from runs.recipe import recipe_names, resolve

    return [resolve(name) for name in recipe_names()]


@pytest.mark.parametrize("document", [{}, {"recipe": 3}, {"recipe": None}, [], None])
def test_a_document_without_a_recipe_is_bad_input(document: Any) -> None:
    with pytest.raises(ValueError, match="no recipe"):
        from_document(document, Path("run.json"), False)


@pytest.mark.parametrize("name", [3, None, ["evil"], {"a": 1}])
def test_an_agent_whose_name_is_no_text_is_bad_input(name: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        from_document({"recipe": {"env": "CartPole-v1", "steps": 9, "agent": {"name": name}}}, Path("run.json"), False)


def test_a_comparison_started_in_a_foreign_folder_imports_none_of_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "torch", "gymnasium", "runs"):
        (tmp_path / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'mark')!r}).touch()")
    monkeypatch.chdir(tmp_path)
    job = {"kind": "random", "contender": "random", "env": "CartPole-v1", "env_config": {}, "seed": 0, "steps": 1}
    result = run_job({**job, "eval_episodes": 1, "eval_max_steps": None, "threads": 1})
    assert result["status"] == "ok", result["error"]
    assert not (tmp_path / "mark").exists()
