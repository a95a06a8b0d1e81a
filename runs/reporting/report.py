"""The page of a comparison or of a run: one HTML file that opens offline, and the same as Markdown.

Both are rendered from the same templates (`runs.reporting.page`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import write_atomic
from runs.folder.provenance import quoted
from runs.reporting.analysis import analyse, flat
from runs.reporting.comparison_file import read_comparison
from runs.reporting.comparison_page import comparison_page
from runs.reporting.run_page import run_page


def report(folder: str | Path, *, track: str = "off", quiet: bool = True) -> dict[str, Any]:
    """Writes `report.html` and `report.md` into a comparison's or a run's folder.

    `track` sends a comparison's tables and page to W&B as well: auto, online or offline.

    Returns their paths and, of a comparison, the estimates and verdicts. Raises `InputError` for a folder that is
    neither, `RunError` if the disk is full. An earlier page then stays whole.
    """
    folder = Path(folder)
    found: dict[str, Any] = {}
    if (folder / "comparison.json").is_file():
        comparison = read_comparison(folder)
        found = analyse(comparison)
        page = comparison_page(comparison, found, folder)
    elif (folder / "run.json").is_file():
        page = run_page(folder)
    elif not folder.exists():
        raise InputError(f"there is no folder {folder}")
    else:
        raise InputError(f"{folder} is neither a comparison (no comparison.json) nor a run (no run.json)")
    paths = {"html": folder / "report.html", "markdown": folder / "report.md"}
    write_atomic(paths["html"], page.render("html").encode())
    write_atomic(paths["markdown"], page.render("md").encode())
    if found and track != "off":
        _send(comparison, found, paths["html"], track)
    if not quiet:
        print(f"{page.verdict}\n{paths['html']}")
    return {
        "schema": 1,
        **{name: str(path) for name, path in paths.items()},
        "verdict": page.verdict,
        "analysis": found,
    }


def _send(comparison: Mapping[str, Any], found: Mapping[str, Any], page: Path, mode: Any) -> None:
    from rl import tracking

    envs = [t["env"] for t in found["tasks"]]
    tracker = tracking.track(
        mode,
        folder=page.parent,
        env=envs[0] if len(envs) == 1 else f"{len(envs)} tasks",
        agent="comparison",
        seed=0,
        config={k: comparison.get(k) for k in ("tasks", "contenders", "commit", "machine", "versions")},
        command=shlex.split(quoted(comparison.get("command", ""))),
        job_type="compare",
    )
    tracker.log_report(tables(found), page)
    tracker.finish()


def tables(analysis: Mapping[str, Any]) -> dict[str, tuple[list[str], list[list[Any]]]]:
    """Scores and verdicts as plain tables (columns, rows of numbers), for trackers and data frames."""
    found = flat(analysis)
    scores = [
        [
            *(c["task"], c["name"], len(c["seeds"]), len(c["failed"]), c["mean"], c["median"], c["iqm"]),
            *(*(c["interval"] or [None, None]), c["steps_per_second"], c["seconds"], c["peak_memory"]),
        ]
        for c in found["contenders"]
    ]
    pairs = [
        [
            *(p["task"], p["a"], p["b"], p["difference"], *(p["interval"] or [None, None]), p["level"]),
            *(p["improvement"][0], p["verdict"], p["more_seeds"]),
        ]
        for p in found["pairs"]
    ]
    score_columns = "task contender seeds failed mean median iqm low high steps_per_second seconds peak_memory"
    pair_columns = "task a b difference low high level improvement verdict more_seeds"
    return {"scores": (score_columns.split(), scores), "verdicts": (pair_columns.split(), pairs)}
