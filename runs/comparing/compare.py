"""`rl compare`: trains every contender with every seed and reports the result with error bars."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import read_json
from runs.comparing.comparison import Comparison
from runs.comparing.plan import Plan, make_plan, slug
from runs.comparing.senders import sender
from runs.folder.lock import FileLock
from runs.folder.places import OUT
from runs.folder.trust import Trust
from runs.recipe import Run
from runs.reporting.analysis import analyse, flat
from runs.reporting.comparison_file import SCHEMA
from runs.reporting.wording import to_optimum_words


def compare(
    recipe: str | Path | Run | None,
    agents: str | Sequence[str],
    *,
    tasks: str | Sequence[str] | None = None,
    steps: int | None = None,
    seeds: int = 10,
    jobs: int = 1,
    on: str | None = None,
    match_parameters: bool = False,
    evaluations: int | None = None,
    title: str = "",
    out: str | Path | None = None,
    videos: bool = True,
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Trains every contender with the seeds 0 .. seeds-1 on every task and says which is better.

    Times, speed and memory are taken only from trainings that had the machine to themselves, so never with `jobs`
    above 1. `on` "ray" sends each training to the Ray cluster of RAY_ADDRESS, or a local one. `match_parameters` makes
    the networks of our contenders as large as the first one's. A curve has `evaluations` points, 20 unless given and on
    Atari 10. `title` is the page's. `trust`: whether a run.json or a trained run may name code that is neither
    registered nor signed by this machine.

    Returns `contenders` (per-seed scores, IQM, 95% interval, speed), `pairs` (difference, interval, verdict),
    `headline`, `warnings`, `report` and `out`. Raises `InputError` before anything is started; a training that fails
    is a failed result, not an error.
    """
    if seeds < 1 or jobs < 1:
        raise InputError(f"seeds and jobs must be at least 1, got {seeds} and {jobs}")
    plan = make_plan(recipe, agents, tasks, steps, match_parameters, evaluations, trust)
    send = sender(on, plan)
    folder = Path(out) if out is not None else _default_folder(plan)
    with entered(folder):
        comparison = Comparison(plan, folder, seeds, videos, title, match_parameters)
        for side in [] if quiet else plan.sides:
            print(f"{side.contender.text} on {side.task.env}: {side.note or 'no training'}", file=sys.stderr)
        if not quiet and (unused := comparison.unused()):
            print(unused, file=sys.stderr)
        try:
            comparison.fill(jobs, send, quiet)
        except KeyboardInterrupt as stop:
            stop.args = ("interrupted; the same command continues it",)
            raise
        finally:
            comparison.write()
        found = analyse(read_json(folder / "comparison.json"))
        from runs.reporting.report import report

        page = report(folder)
    if not quiet:
        print("\n".join([found["headline"], *_to_optimum(found), page["html"]]))
    return {"schema": SCHEMA, "out": str(folder), "report": page["html"], **flat(found)}


def _to_optimum(found: dict[str, Any]) -> list[str]:
    """One line for each contender on a task whose optimum is known."""
    return [
        f"{task['env']}: {c['name']} {exact if c['exact'] is not None else ''} is {below} below the optimum of "
        f"{task['optimum']:.5g}".replace("  ", " ")
        for task in found["tasks"]
        if "optimum" in task
        for c in task["contenders"]
        for exact, below in [to_optimum_words(c)]
        if c["below"] is not None
    ]


def _default_folder(plan: Plan) -> Path:
    task = slug(plan.tasks[0].env) if len(plan.tasks) == 1 else f"{len(plan.tasks)}-tasks"
    return OUT / f"compare_{task}_{time.strftime('%Y%m%d-%H%M%S')}"


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file: name a folder")
    path = folder / "comparison.json"
    if path.exists():
        from runs.reporting.comparison_file import read_comparison

        read_comparison(folder)
    elif folder.exists() and any(folder.iterdir()) and not (folder / "results").is_dir():
        raise InputError(f"--out {folder} holds something else: name a new folder or that of a comparison")


@contextlib.contextmanager
def entered(folder: Path) -> Iterator[None]:
    """A comparison's folder, made and locked. Raises InputError for one that holds something else."""
    _check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder} cannot be made: {error.strerror}") from error
    lock = FileLock(folder / ".lock")
    try:
        yield
    finally:
        lock.release(remove=True)
