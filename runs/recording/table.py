"""The generated tables of recorded results: present ones, then those of earlier versions of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl.stats import iqm
from rl.storage import write_atomic
from runs.folder.places import RESULTS
from runs.recipe import recipe_names
from runs.recipe import resolve as resolve_recipe
from runs.recording.results import exact_scores, fingerprint, median_minutes, read_results

_INTRODUCTION = """# Recorded results

Written by `rl record`; do not edit. A score is the mean return of whole games with the final policy, raw and
undiscounted, of seeds 0, 1, 2, ... in order; a failed seed stays in the table. The IQM is over the seeds that did not
fail. Minutes are the median of the training itself; jobs are the trainings that ran side by side. `others` in a result
is the number of cores that work outside `rl record` kept busy meanwhile. Fingerprints: how many versions of the recipe
have results.
"""

_STALE = """
## Earlier versions

Results of recipes that have changed since, or that are not part of the suite.
"""

_COLUMNS = [
    "recipe",
    "environment",
    "protocol",
    "steps",
    "games",
    "policy",
    "IQM",
    "scores by seed",
    "minutes",
    "jobs",
    "fingerprints",
    "commit",
]
_HEAD = f"\n| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|\n"


def write_table(results: Path = RESULTS) -> Path:
    """Writes README.md of the results folder: a row for each recipe and fingerprint, stale ones in a second table."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in read_results(results):
        groups.setdefault((r["recipe"], r["fingerprint"]), []).append(r)
    versions = [recipe for recipe, _ in groups]
    current = {(name, fingerprint(resolve_recipe(name))) for name in recipe_names() if name in versions}
    present, stale = "", ""
    for key, group in sorted(groups.items()):
        row = _row(group, versions.count(key[0]))
        if key in current:
            present += row
        else:
            stale += row
    path = results / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _INTRODUCTION + _HEAD + present + (_STALE + _HEAD + stale if stale else "")
    write_atomic(path, text.encode())
    return path


def _row(group: list[dict[str, Any]], versions: int) -> str:
    """The row of one fingerprint's results, sorted by seed."""
    good = [r for r in group if r["status"] == "ok"]
    run, score = group[0]["run"], good[0]["score"] if good else {}
    value = f"{float(iqm([r['score']['mean'] for r in good])):.1f}" if good else "-"
    value += f" (of {len(good)} of {len(group)})" if len(good) < len(group) else ""
    cells = [
        group[0]["recipe"],
        run["env"],
        score.get("protocol") or "-",
        f"{run['steps']:,}",
        score.get("episodes", "-"),
        "sampled" if score.get("sample") else "greedy",
        value,
        ", ".join(f"{r['score']['mean']:.1f}" if r["status"] == "ok" else "failed" for r in group) + exact_scores(good),
        median_minutes(good),
        group[0]["machine"]["jobs"],
        versions,
        (group[0]["commit"] or "-")[:7],
    ]
    return f"| {' | '.join(map(str, cells))} |\n"
