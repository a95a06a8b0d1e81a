"""`rl list`: recipes, agents, environments and suites, or the fields of one agent or recipe that `--set` can change.

The lists are read from the files, so that none of them is run.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.recipe import recipe_file, recipe_names
from runs.recipes import shipped
from runs.recording.results import newest, read_results, recorded_line

if TYPE_CHECKING:
    from runs.folder.trust import Trust

EXTRAS = {
    "mujoco": 'MuJoCo: pip install "ludo-rl[mujoco]"',
    "phys2d": "JAX: pip install jax",
    "tabular": "JAX: pip install jax",
}
"""Part of an entry point -> what environments from there need beyond our dependencies."""

FAMILIES = ("Arcade", "Boards", "Gymnasium", "Memory", "ALE", "Bandit")
"""In this order, before the families that packages add."""

PROBES = "Probe: tiny, for tests, their values are known"


def listing(what: str | None = None, trust: Trust = False) -> dict[str, Any]:
    """For each kind (or for `what` alone: recipes, agents, envs or suites) the names, each with a few words.

    If `what` is an agent or a RECIPE, its `fields`. `trust`: as in `runs.train`. Raises InputError for another `what`.
    """
    kinds = {"recipes": recipes, "agents": agents, "envs": environments, "suites": suites}
    if what is None or what in kinds:
        return {kind: find() for kind, find in kinds.items() if what in (None, kind)}
    return {"fields": fields(what, trust)}


def fields(name: str, trust: Trust = False) -> dict[str, dict[str, Any]]:
    """Dotted name -> `value`, `accepts` and `meaning` of each field of an agent, a `module:Class` or a RECIPE.

    Raises InputError for a name that is none of them.
    """
    import agents as players
    import envs
    from rl.errors import InputError, unknown
    from runs.comparing.suites import SUITES
    from runs.recipe import resolve
    from runs.settings.apply import explain

    is_file = recipe_file(name) is not None or Path(name).suffix == ".json" or Path(name).is_dir()  # C:\recipe.py too
    if name in players.names() or (":" in name and not is_file):
        return explain(players.config(name), "agent.")
    known = [*recipe_names(), *players.names(), *envs.ids(), "recipes", "agents", "envs", "suites"]
    if not is_file and name in SUITES:
        raise InputError(f"{name} is a suite: list one of its tasks, {', '.join(SUITES[name][:5])}")
    if not is_file and name not in known:
        raise unknown("value", name, known)
    return explain(resolve(name, trust=trust))


def recipes() -> dict[str, str]:
    """Recipe name -> the first line of its claim, and its recorded result. Without a result, the line says "aim: ".

    Shows the fingerprint that was recorded last; for every recipe of the suite it is the present one.
    """
    recorded: dict[str, list[dict[str, Any]]] = {}
    for result in read_results():
        recorded.setdefault(result["recipe"], []).append(result)
    found = {}
    for name, recipe in shipped().items():
        claim = recipe.claim.partition("\n")[0]
        found[name] = f"{claim} {recorded_line(newest(recorded[name]))}" if name in recorded else f"aim: {claim}"
    return found


def agents() -> dict[str, str]:
    """Agent or preset name -> the first line of the docstring of its file (of a preset: of its function)."""
    import agents as players

    places = {**players.REGISTRY, **players.PRESETS}
    found = {}
    for name in players.names():
        module, _, attribute = places.get(name, "").partition(":")
        spec = importlib.util.find_spec(module) if module else None
        if spec is None or spec.origin is None:
            found[name] = "from an installed package"
        else:
            words = _docstring(Path(spec.origin), attribute if name in players.PRESETS else None)
            found[name] = words.partition("\n")[0]
    return found


def environments() -> dict[str, str]:
    """Environment id -> its family. Any other Gymnasium id, and `module:Id`, can be trained on as well."""
    import gymnasium

    import envs

    found = {}
    for name in envs.ids():
        entry = str(spec.entry_point) if (spec := gymnasium.registry.get(name)) else ""
        extra = next((words for part, words in EXTRAS.items() if part in entry), None)
        family = name.partition("/")[0] if "/" in name else "Gymnasium"
        found[name] = extra or (PROBES if family == "Probe" else family)
    listed = {name: family for name, family in found.items() if not name.startswith(("GymV21", "GymV26"))}
    return _newest(dict(sorted(listed.items(), key=lambda item: _place(item[1]))))


def suites() -> dict[str, str]:
    """Suite name -> how many tasks it has, and the first of them. `rl train`, compare, tune and record take a suite."""
    from runs.comparing.suites import SUITES

    def words(tasks: tuple[str, ...]) -> str:
        return f"{len(tasks)} tasks: {', '.join(tasks[:5])}{', ...' * (len(tasks) > 5)}"

    return {name: words(tasks) for name, tasks in SUITES.items()}


def _place(family: str) -> int:
    """Where a family stands in the list: ours and the usual first, the tests' own last."""
    if family in FAMILIES:
        return FAMILIES.index(family)
    return len(FAMILIES) + (family == PROBES)


def _newest(families: dict[str, str]) -> dict[str, str]:
    """Only the highest version of each id."""
    versions: dict[str, int] = {}
    for name in families:
        stem, _, version = name.rpartition("-v")
        versions[stem] = max(versions.get(stem, 0), int(version))
    return {f"{stem}-v{version}": families[f"{stem}-v{version}"] for stem, version in versions.items()}


def _docstring(path: Path, function: str | None = None) -> str:
    """A file's docstring, or that of a function in it."""
    tree: Any = ast.parse(path.read_text(encoding="utf-8"))
    if function is not None:
        tree = next((node for node in tree.body if getattr(node, "name", None) == function), tree)
    return ast.get_docstring(tree) or ""
