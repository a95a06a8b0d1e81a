"""Learning curves of a task's contenders, with bands over seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl import stats as st


def at_floor(curves: Sequence[Mapping[str, Any]], failed: int, floor: float | None) -> list[dict[str, Any]]:
    """One flat curve at `floor` for each failed seed, over the range of the other curves."""
    if not curves or floor is None:
        return []
    flat: dict[str, Any] = {}
    for axis in ("steps", "seconds"):
        known = [c[axis] for c in curves if c[axis]]
        flat[axis] = sorted({min(x[0] for x in known), max(x[-1] for x in known)}) if known else []
    flat["scores"] = [floor] * len(flat["steps"])
    return [flat] * failed


def step_names(steps: Sequence[Sequence[int]]) -> dict[int, int]:
    """Step of an evaluation -> the first step of the evaluations that are shown in the same column.

    Parallel environments overshoot an evaluation's step by a few, depending on their number. A column spans at most a
    thousandth of the longest run, and never two evaluations of one run.
    """
    gaps = [b - a for run in steps for a, b in itertools.pairwise(run)]
    most = min([0.001 * max((run[-1] for run in steps if run), default=0), *(gap / 2 for gap in gaps)])
    names: dict[int, int] = {}
    name = -1
    for step in sorted({step for run in steps for step in run}):
        name = name if name >= 0 and step - name <= most else step
        names[step] = name
    return names


def measured(
    curves: Sequence[Mapping[str, Any]], failed: int, floor: float | None, names: Mapping[int, int]
) -> list[list[float]]:
    """[step, IQM over seeds] at each step at which every run was evaluated. Failed seeds count as `floor`."""
    if not curves:
        return []
    scores = [{names[step]: score for step, score in zip(c["steps"], c["scores"], strict=True)} for c in curves]
    shared = sorted(set.intersection(*map(set, scores)))
    failures = [] if floor is None else [floor] * failed
    return [[step, float(st.iqm([s[step] for s in scores] + failures))] for step in shared]


def learning_curve(result: Mapping[str, Any]) -> dict[str, Any]:
    points = [p for p in result["curve"] if p[2] is not None]
    clock = [p[1] for p in points]
    return {
        "seed": result["seed"],
        "steps": [p[0] for p in points],
        "seconds": clock if all(s is not None for s in clock) else [],
        "scores": [p[2] for p in points],
        "alone": bool(result.get("alone", False)),
    }


def band(
    curves: Sequence[Mapping[str, Any]], axis: str, rng: np.random.Generator, points: int
) -> dict[str, Any] | None:
    """The IQM over seeds with its interval at `points` places along `axis`; None without a curve.

    Runs that were evaluated at their end only are left out, unless all were.
    """
    curves = [c for c in curves if len(c[axis]) > 1] or [c for c in curves if c[axis]]
    if not curves:
        return None
    if max(c[axis][0] for c in curves) == max(c[axis][-1] for c in curves):
        points = 1
    b = st.band([(c[axis], c["scores"]) for c in curves], rng, points, between="linear" if axis == "steps" else "hold")
    return {
        "x": rounded(b.grid),
        "middle": rounded(b.middle),
        "low": rounded(b.low) if len(curves) > 1 else None,
        "high": rounded(b.high) if len(curves) > 1 else None,
    }


def rounded(values: np.ndarray) -> list[float]:
    return [float(f"{v:.5g}") for v in values]


def time_to_goal(runs: Sequence[Mapping[str, Any]], goal: float | None, failed: int = 0) -> dict[str, Any] | None:
    """How many runs reached `goal`, and the median run's steps and seconds. `failed` further runs never reached it.

    The steps and seconds are None if the median run did not reach it, the seconds also if those of one run are unknown.
    None if a run was evaluated at its end only.
    """
    if goal is None or not runs or any(len(r["steps"]) < 2 for r in runs):
        return None
    steps = [st.first_reach(r["steps"], r["scores"], goal) for r in runs]
    timed = all(r["alone"] and r["seconds"] for r in runs)
    clock = [st.first_reach(r["seconds"], r["scores"], goal) for r in runs] if timed else []
    never = [None] * failed
    return {
        "runs": sum(s is not None for s in steps),
        "of": len(runs) + failed,
        "steps": _median_reached([*steps, *never]),
        "seconds": _median_reached([*clock, *never]) if timed else None,
    }


def _median_reached(values: Sequence[float | None]) -> float | None:
    ordered = sorted(math.inf if v is None else v for v in values)
    middle = float(ordered[len(ordered) // 2]) if ordered else math.inf
    return middle if math.isfinite(middle) else None
