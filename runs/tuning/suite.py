"""`rl tune SUITE`: a search for each task of a suite, one after the other, and one page for all.

    suite.json            the suite's name
    TASK/                 the folder of each search, as `runs.tuning.tune` has it
    report.html, report.md

The same command continues it; a search that has ended is not made again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.errors import InputError, RunError
from rl.storage import read_json, write_atomic, write_json
from runs.comparing.plan import slug
from runs.comparing.suites import SUITES, in_suite
from runs.folder.places import OUT
from runs.folder.provenance import command, quoted
from runs.recipe import Run, is_env_id, recipe_for, recipe_name, resolve
from runs.reporting.page import Cell, Page, Row, Table
from runs.reporting.task_tables import point
from runs.reporting.wording import number
from runs.tuning.tune import tune


def tune_suite(
    suite: str,
    *,
    minutes: float | None = None,
    agent: str | None = None,
    out: str | Path | None = None,
    quiet: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """`tune` for every recipe of a suite's tasks, or for `agent` on each task, from its recipe there if it has one.

    minutes: of all searches together, shared equally. options: of `tune`, the same for each. A search that fails is
    reported, and the next one begins. Raises InputError before anything is started, RunError if every search failed.
    """
    tasks = _tasks(suite, agent)
    folder = Path(out) if out is not None else OUT / f"tune_{slug(suite)}{f'_{slug(agent)}' if agent else ''}"
    _require_own(folder, suite)
    results: list[dict[str, Any]] = []
    for name, (recipe, other) in tasks.items():
        if not quiet:
            print(f"{name}, {len(results) + 1} of {len(tasks)}", file=sys.stderr, flush=True)
        each: dict[str, Any] = {
            "minutes": minutes and minutes / len(tasks),
            "agent": other,
            "out": folder / name,
            "quiet": quiet,
        }
        try:
            found = tune(recipe, **options, **each)
        except (InputError, RunError) as error:
            if isinstance(error, InputError) and not results:
                raise  # bad arguments, before anything was started
            found = {"error": str(error), "report": str(folder / name / "report.html")}
        results.append({"task": name, **found})
        write_json(folder / "suite.json", {"schema": 1, "kind": "tuning suite", "suite": suite})
        page = _page(suite, results, len(tasks))
        write_atomic(folder / "report.html", page.render("html").encode())
        write_atomic(folder / "report.md", page.render("md").encode())
    if all("error" in r for r in results):
        raise RunError(f"every search of {suite} failed, the first: {results[0]['error']}")
    if not quiet:
        print(f"{page.verdict}\n{folder / 'report.html'}")
    return {"schema": 1, "results": results, "headline": page.verdict, "report": str(folder / "report.html")}


def _tasks(suite: str, agent: str | None) -> dict[str, tuple[str | Run, str | None]]:
    """Folder of each search -> its recipe, and the agent if another is to be taken."""
    if agent is None:
        return {name: (name, None) for name in in_suite(suite)}
    tasks: dict[str, tuple[str | Run, str | None]] = {}
    for task in SUITES[suite]:
        own = None if is_env_id(task) else resolve(task)
        recipe = recipe_for(agent, task if own is None else own.env, own)
        name = slug(task) if recipe is None else recipe_name(recipe)
        tasks[name] = (task, agent) if recipe is None else (recipe, None)
    return tasks


def _require_own(folder: Path, suite: str) -> None:
    """Raises InputError for a folder that holds anything but the searches of this suite."""
    try:
        if folder.exists() and any(folder.iterdir()):
            kept = read_json(folder / "suite.json") if (folder / "suite.json").is_file() else {}
            if kept.get("suite") != suite:
                raise InputError(f"--out {folder} holds something else: name a new folder or that of this suite")
    except OSError as error:
        raise InputError(f"--out {folder} cannot be used: {error}") from error


def _page(suite: str, results: Sequence[Mapping[str, Any]], tasks: int) -> Page:
    """The page of the searches so far."""
    verdicts = [best["verdict"] for r in results if (best := _best(r))]
    better, worse = verdicts.count("better"), verdicts.count("worse")
    headline = f"{better} of {tasks} searches found better values than the start values; in {worse} they are worse."
    if left := tasks - len(results):
        headline = f"{len(results)} of {tasks} searches have ended; to come: {left}."
    values = {
        "table": Table(
            ["search", "against the start values", "start", "kept [95% interval]", "promised", "shrinkage", "trials"],
            [_row(r) for r in results],
            words=2,
        ),
        "links": [(r["task"], f"{r['task']}/report.html") for r in results],
        "failures": [f"{r['task']}: {r['error']}" for r in results if "error" in r],
        "changes": [f"{r['task']}: `{' '.join(best['settings'])}`" for r in results if (best := _best(r))],
        "command": quoted(command()),
    }
    data = {"kind": "tuning suite", "suite": suite, "searches": list(results)} | ({"left": left} if left else {})
    return Page(f"Search for values on {suite}", headline, data, "tuning_suite.jinja", values)


def _best(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The survivor that kept most."""
    return next(iter(found.get("candidates", ())), None)


def _row(found: Mapping[str, Any]) -> Row:
    best, start, trials = _best(found), found.get("start"), found.get("trials", {})
    counts = f"{trials.get('complete', 0)} + {trials.get('pruned', 0)} pruned + {trials.get('fail', 0)} failed"
    if best is None:
        return [found["task"], "failed" if "error" in found else "nothing to test", "–", "–", "–", "–", counts]
    verdict = Cell(best["verdict"], best["verdict"].split()[0]) if best["verdict"] else "–"
    kept, before = point(best["kept"], best["interval"]), number(start["kept"]) if start else "–"
    return [found["task"], verdict, before, kept, number(best["promised"]), number(best["shrinkage"]), counts]
