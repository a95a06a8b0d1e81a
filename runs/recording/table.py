"""The generated table of recorded results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from rl.storage import write_atomic
from runs.folder.places import RECIPES, RESULTS
from runs.recipe import AIM, recipe_names
from runs.recipe import resolve as resolve_recipe
from runs.recording.results import fingerprint, read_results


def write_line(recipe: str, results: list[dict[str, Any]], recipes: Path = RECIPES) -> None:
    """Puts `recorded_line` into the recipe's docstring, in the place of an older one or of the words of an aim."""
    path = recipes / f"{recipe}.py"
    text = path.read_text(encoding="utf-8")
    told = _LINE.sub(lambda _: recorded_line(results), text, count=1)
    if told != text:
        write_atomic(path, told.encode())


_LINE = re.compile(rf"^(Recorded with \w+ seeds?: .*|{re.escape(AIM)})$", re.MULTILINE)


_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def recorded_line(results: list[dict[str, Any]]) -> str:
    """What a recipe's docstring says of the results of all its seeds: up to five by themselves."""
    scores = [r["score"]["mean"] for r in results if r["status"] == "ok"]
    count = _COUNTS[len(results)] if len(results) < len(_COUNTS) else str(len(results))
    told = ", ".join(f"{score:.1f}" for score in scores)
    if len(scores) > 5:
        told = f"{min(scores):.1f} to {max(scores):.1f}, median {float(np.median(scores)):.1f}"
    failed = len(results) - len(scores)
    told += f"{', ' if scores else ''}{failed} failed" if failed else ""
    minutes = _minutes([r for r in results if r["status"] == "ok"])
    took = f"; {minutes} minutes of one core" if minutes != "-" and results[0]["run"]["threads"] == 1 else ""
    return f"Recorded with {count} seed{'s' * (len(results) > 1)}: {told}{took}."


def _minutes(good: list[dict[str, Any]]) -> str:
    """The median of the trainings' minutes."""
    seconds = [r["seconds"] for r in good if r["seconds"] is not None]
    return f"{float(np.median(seconds)) / 60:.1f}" if seconds else "-"


_INTRODUCTION = """# Recorded results

Written by `rl record`; do not edit. A score is the mean return of whole games with the final policy, raw and
undiscounted, of seeds 0, 1, 2, ... in order; a failed seed stays in the table. IQM is over the seeds that did not fail.
Minutes are the median of the training itself, with the number of trainings that ran side by side as jobs; a file's
`others` says how many cores work outside `rl record` kept busy meanwhile. Fingerprints: how many versions of the recipe
have results; one that is not the recipe's present one is marked stale.
"""


def write_table(results: Path = RESULTS) -> Path:
    """Writes README.md of the results folder: one row for each recipe and fingerprint, stale rows marked.

    Of our own results the recipes tell too, each in a line of its docstring.
    """
    from rl.stats import iqm

    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in read_results(results):
        groups.setdefault((r["recipe"], r["fingerprint"]), []).append(r)
    current = {name: fingerprint(resolve_recipe(name)) for name in recipe_names() if (RECIPES / f"{name}.py").exists()}
    lines = [
        _INTRODUCTION,
        "| recipe | environment | protocol | steps | games | policy | IQM | scores by seed | minutes | jobs "
        "| fingerprints | commit |",
        "|---" * 12 + "|",
    ]
    for (recipe, mark), group in sorted(groups.items()):
        good = [r for r in group if r["status"] == "ok"]
        run = group[0]["run"]
        scores = ", ".join(f"{r['score']['mean']:.1f}" if r["status"] == "ok" else "failed" for r in group)
        recorded = sum(1 for name, _ in groups if name == recipe)
        stale = "" if current.get(recipe) == mark else " (stale)"
        if results == RESULTS and not stale:
            write_line(recipe, group)
        value = f"{float(iqm([r['score']['mean'] for r in good])):.1f}" if good else "-"
        value += f" (of {len(good)} of {len(group)})" if len(good) < len(group) else ""
        minutes = _minutes(good)
        first = good[0]["score"] if good else {}
        lines.append(
            f"| {recipe}{stale} | {run['env']} | {first.get('protocol') or '-'} | {run['steps']:,} "
            f"| {first.get('episodes', '-')} | {'sampled' if first.get('sample') else 'greedy'} | {value} | {scores} "
            f"| {minutes} | {group[0]['machine']['jobs']} | {recorded} | {group[0]['commit'][:7]} |"
        )
    path = results / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return path
