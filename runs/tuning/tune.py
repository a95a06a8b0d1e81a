"""`rl tune`: a search over an agent's fields, then the best trials again on fresh seeds beside the starting values.

A tuning's folder. The same command continues it; more minutes or trials extend it.

    tune.json         what is searched; its fingerprint ties the folder to the recipe
    journal.log       Optuna's journal: every trial, its evaluations, its value or why it has none
    trials/trial-K/   the run folders of the trials that were not pruned
    retest/           the comparison of the survivors, as `rl compare` writes it
    found.py          the recipe with the values that kept most, for `rl train FOLDER/found.py`
    report.html, report.md
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.errors import InputError, RunError
from rl.storage import read_json, write_atomic, write_json
from runs.comparing.compare import compare
from runs.comparing.peers.peer import is_image
from runs.comparing.plan import make_plan, slug
from runs.comparing.senders import sender
from runs.folder.lock import FileLock
from runs.folder.places import OUT
from runs.folder.provenance import command, git_commit, quoted
from runs.folder.trust import Trust
from runs.recipe import Run, agent_name, describe
from runs.recipe import resolve as resolve_recipe
from runs.reporting.wording import number, say
from runs.settings.plain import digest, to_json
from runs.settings.space import neighbours, space, start
from runs.tuning.page import found_recipe, page
from runs.tuning.search import SEED, Search, title
from runs.tuning.study import TrialState, importance, open_study

SURVIVORS = 3
"""Points that are trained again."""
NEIGHBOURS = 3
"""Recipes of the same agent for other environments whose values are the first trials."""
EVALUATIONS = 5
"""Of each training of the re-test: only the last one decides, the others draw its curve."""


def tune(
    recipe: str | Path | Run,
    *,
    minutes: float | None = None,
    trials: int | None = None,
    seeds: int = 10,
    jobs: int = 1,
    agent: str | None = None,
    steps: int | None = None,
    settings: Sequence[str] = (),
    on: str | None = None,
    out: str | Path | None = None,
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Searches the fields of a recipe's agent, and compares the best three points with the recipe on fresh seeds.

    The search ends after `minutes` of training on each of `jobs` cores, or with so many `trials`, failed and pruned
    ones included; its second half trains the most promising points again. Fields in `settings` keep their value. The
    re-test trains the survivors and the recipe with the seeds 0 .. seeds-1, which no trial has used; `minutes` does not
    include it. `on` "ray": as in `runs.compare`; trials are pruned only if the folder lies on a disk that all nodes
    share.

    Returns `headline`, `candidates` (each with what it `promised` and `kept`, its settings and verdict), `start`,
    `trials`, `importance`, `recipe` and `report`. Raises InputError before anything is started, RunError if no trial
    finished.
    """
    if minutes is None and trials is None:
        raise InputError("rl tune needs an end: give --minutes or --trials")
    if min(seeds, jobs, 1 if trials is None else trials) < 1 or not (minutes is None or 0 < minutes < 1e6):
        raise InputError(f"minutes, trials, seeds and jobs must be positive: {minutes}, {trials}, {seeds}, {jobs}")
    if seeds > SEED:
        raise InputError(f"--seeds {seeds}: trials train with the seeds from {SEED} on; give at most {SEED}")
    run = resolve_recipe(recipe, agent=agent, steps=steps, settings=settings, trust=trust)
    plan = make_plan(run, [f"start={agent_name(run.agent)}"])
    axes = space(run, any(map(is_image, plan.tasks[0].spec.obs.values())), [s.partition("=")[0] for s in settings])
    searched = {"recipe": {**describe(run), "seed": 0}, "space": to_json(axes)}
    mark = digest(searched)
    name = f"tune_{slug(run.env)}_{slug(agent_name(run.agent))}_{mark[:8]}"
    folder, send = Path(out) if out is not None else OUT / name, sender(on, plan)
    lock = _enter(folder, mark)
    try:
        known = {"start": start(run, axes), **neighbours(run, axes, NEIGHBOURS)}
        study = open_study(folder / "journal.log", mark, axes, run.steps, len(known))
        typed: dict[str, Any] = {"command": quoted(command()), "commit": git_commit()}
        write_json(folder / "tune.json", {"schema": 1, "kind": "tuning", "fingerprint": mark, **searched, **typed})
        search = Search(study, run, axes, known, folder, _silent if quiet else _say)
        search.say(f"{len(axes)} fields: {', '.join(axes)}")
        search.ended = lambda: _running(search, typed["command"])
        try:
            search.fill(jobs, send, minutes, trials)
            retest = _retest(search, seeds, jobs, on, quiet)
        except KeyboardInterrupt as stop:
            stop.args = ("interrupted; the same command continues it",)
            raise
        return _report(search, retest, typed["command"], quiet)
    finally:
        lock.release(remove=True)


def _enter(folder: Path, mark: str) -> FileLock:
    """The lock on a tuning's folder, which is made. Raises InputError for one that holds anything else, or links."""
    try:
        if os.path.lexists(folder) and any(folder.iterdir()):
            if not os.path.lexists(folder / "tune.json"):
                raise InputError(f"--out {folder} holds something else: name a new folder or that of this search")
            for place, folders, files in os.walk(folder):
                if links := [name for name in (*folders, *files) if os.path.islink(os.path.join(place, name))]:
                    raise InputError(f"{Path(place, links[0])} is a link, which may lead out of the folder: remove it")
            if read_json(folder / "tune.json").get("fingerprint") != mark:
                raise InputError(f"{folder} holds the search of another recipe or space: name a new folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"--out {folder} cannot be used: {error}") from error
    return FileLock(folder / ".lock")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    pass


def _retest(search: Search, seeds: int, jobs: int, on: str | None, quiet: bool) -> dict[str, Any]:
    """The survivors and the start values on the seeds 0 .. seeds-1, as `rl compare` finds it; {} without survivors."""
    start, best = search.study.get_trials()[0], [point.first for point in search.points()[:SURVIVORS]]
    if not best:
        return {}
    search.say(f"{', '.join(title(t.number) for t in best)} and the start values again, on {seeds} fresh seeds each")
    contenders = [search.contender(t) for t in (*best, start)]
    more: dict[str, Any] = {"seeds": seeds, "jobs": jobs, "on": on, "evaluations": EVALUATIONS, "videos": False}
    more["title"] = "Re-test of a search"
    found = compare(search.run, contenders, out=search.folder / "retest", quiet=quiet, **more)
    if all(c["iqm"] is None for c in found["contenders"]):
        reason = found["contenders"][0]["failed"][0]["error"]
        raise RunError(f"every training of the re-test failed, the first: {reason}; {search.folder} keeps the search")
    return found


def _running(search: Search, typed: str) -> None:
    """Writes the page of the trials so far, which renews itself in the browser."""
    found = _found(search, {}) | {"left": True}
    best = max((t.value for t in search.study.get_trials() if t.state == TrialState.COMPLETE), default=None)
    found["headline"] = f"The search is running; the best score so far is {number(best)}, in one training."
    _write(search, found, typed)


def _report(search: Search, retest: Mapping[str, Any], typed: str, quiet: bool) -> dict[str, Any]:
    """Writes the page and the recipe file; returns what `tune` returns."""
    every, folder, found = search.study.get_trials(), search.folder, _found(search, retest)
    if best := found["candidates"]:
        promise = f"promised {number(best[0]['promised'])} and kept {number(best[0]['kept'])}"
        found["headline"] = f"{best[0]['sentence']} In the search {best[0]['name']} {promise}.".strip()
        found["recipe"] = str(folder / "found.py")
        tuned = resolve_recipe(search.run, settings=best[0]["settings"])
        write_atomic(folder / "found.py", found_recipe(tuned, best[0], typed).encode())
    _write(search, found, typed)
    if not quiet:
        print("\n".join(filter(None, [found["headline"], found.get("recipe"), found["report"]])))
    if not found["trials"]["complete"]:
        reasons = [t.user_attrs["reason"] for t in every if "reason" in t.user_attrs]
        raise RunError(f"none of {len(every)} trials finished, the first failed: {(reasons or ['killed'])[0]}")
    return found


def _found(search: Search, retest: Mapping[str, Any]) -> dict[str, Any]:
    """What `tune` returns, but for the headline of a re-test and the recipe."""
    every, folder = search.study.get_trials(), search.folder
    named = {title(t.number): t for t in every}
    values = {p.first.number: p.values for p in search.points()} | {0: [every[0].value] if every else []}
    sides = [_side(search, named[c["name"]], values, c, retest["pairs"]) for c in retest.get("contenders", ())]
    best = sorted((s for s in sides if s["name"] != "start"), key=lambda s: -s["kept"])
    states = {state.name.lower(): sum(t.state == state for t in every) for state in TrialState}
    found: dict[str, Any] = {"schema": 1, "out": str(folder), "report": str(folder / "report.html"), "candidates": best}
    found |= {"start": sides[-1] if sides else None, "trials": states, "minutes": round(search.seconds() / 60, 3)}
    found |= {"importance": importance(search.study), "headline": "No trial finished, so that none was tested again."}
    return found


def _write(search: Search, found: Mapping[str, Any], typed: str) -> None:
    shown = page(found, search.study.get_trials(), search, typed)
    write_atomic(search.folder / "report.html", shown.render("html").encode())
    write_atomic(search.folder / "report.md", shown.render("md").encode())


def _side(
    search: Search,
    trial: Any,
    values: Mapping[int, list[float]],
    kept: Mapping[str, Any],
    pairs: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What a point promised and what the re-test left of it. `values`: of its trainings, by the first one's number."""
    own = [v for v in values[trial.number] if v is not None]
    promised = sum(own) / len(own) if own else None
    pair = next((p for p in pairs if (p["a"], p["b"]) == (kept["name"], "start")), None)
    return {
        "name": kept["name"],
        "promised": promised,
        "trainings": len(own),
        "kept": kept["iqm"],
        "interval": kept["interval"],
        "shrinkage": None if promised is None else promised - kept["iqm"],
        "seeds": len(kept["seeds"]),
        "failed": len(kept["failed"]),
        "settings": search.words(trial),
        "verdict": pair["verdict"] if pair else None,
        "sentence": say(pair, more=False) if pair else "",
    }
