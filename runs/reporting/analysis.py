"""The estimates, intervals and verdicts of a comparison.

A comparison is a folder with `comparison.json`, one JSON object that depends on no trainer:

    schema        1
    kind          "comparison"
    title         of the page, or ""
    left          trainings that are still to come, while it runs
    command       the command line that makes it again
    created       ISO time          commit    git commit or null
    machine       {"processor", "cores", "memory", "system", ...}         versions  {"torch": "2.13.0", ...}
    tasks         [{"env", "steps",            budget in environment steps, the same for all contenders
                    "random": score or null,   mean return of the uniformly random policy
                    "random_from": where it comes from, if it was not played for this comparison
                    "protocol": "", "evaluation": "one line: games, greedy or sampled, whose seeds",
                    "threshold": score or null  "solved", if the environment has such a score,
                    "optimum": the best expected return, if the environment has an exact model}]
    contenders    [{"name", "source": "ours" | "sb3" | "zoo" | "run" | "random",
                    "tasks": {env: {"config": {...}, "unmapped": ["one line", ...], "note": ""}}}]
    paired        [[name, name], ...]          variants of one agent, whose seed k starts from the same weights
    results       [{"contender", "task", "seed", "status": "ok" | "failed", "error": one line or null,
                    "score": mean return of the final evaluation or null, "returns": [...],
                    "exact": the policy's exact expected return, if it is known,
                    "curve": [[step, seconds, score], ...],    evaluations; seconds of training alone
                    "steps": trained for; a run that was trained before may have another number,
                    "seconds", "cpu_seconds", "steps_per_second", "peak_memory" (bytes),
                    "alone": whether the machine did nothing else; if not, the line above may be null,
                    "others": cores that other work kept busy, "jobs": trainings side by side,
                    "fingerprint", "commit", "versions", "machine", "run": folder or null,
                    "commits": [...], if several commits trained it}]
    videos        [{"contender", "task", "seed", "file": path in the folder}]

Fields after `results` and everything that is null may be missing. `analyse` turns it into plain JSON with the
estimates, intervals and verdicts that the page, the Markdown and `rl compare --json` show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl import stats as st
from rl.seeding import generator
from runs.reporting.comparison_file import SCHEMA, check_comparison
from runs.reporting.curves import at_floor, band, learning_curve, measured, step_names, time_to_goal
from runs.reporting.pairs import aggregate, interval, leader, only_ours, task_pairs
from runs.reporting.wording import headline, warnings

POINTS, FEW_POINTS = 101, 41
"""Grid points of a curve's band, on up to six tasks and on more."""


def analyse(comparison: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """Estimates, intervals and verdicts of a comparison, as plain JSON. `seed` draws the bootstrap's resamples.

    `tasks`, each with `contenders` and `pairs`; `aggregate` over several tasks; `suits`, the leader on each task, if
    three or more agents of ours are compared with each other; `headline`, one sentence; `warnings` for its readers.
    """
    check_comparison(comparison)
    points = POINTS if len(comparison["tasks"]) <= 6 else FEW_POINTS
    tasks = [_task(comparison, task, seed, points) for task in comparison["tasks"]]
    overall = aggregate(comparison, tasks, seed) if len(tasks) > 1 else None
    found: dict[str, Any] = {"schema": SCHEMA, "tasks": tasks, "aggregate": overall}
    found["suits"] = [leader(task) for task in tasks] if only_ours(comparison) else []
    found["headline"] = headline(found)
    found["warnings"] = warnings(comparison, found)
    return found


def flat(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """`contenders` and `pairs` over all tasks, without curves: what `rl compare --json` prints."""
    contenders = [
        {"task": task["env"], **{k: v for k, v in c.items() if k not in ("curve", "clock", "runs", "measured")}}
        for task in analysis["tasks"]
        for c in task["contenders"]
    ]
    pairs = [{"task": task["env"], **pair} for task in analysis["tasks"] for pair in task["pairs"]]
    out = {"contenders": contenders, "pairs": pairs, "headline": analysis["headline"], "warnings": analysis["warnings"]}
    if analysis["aggregate"]:
        out["aggregate"] = {k: v for k, v in analysis["aggregate"].items() if k != "profiles"}
    return out


def _task(comparison: Mapping[str, Any], task: Mapping[str, Any], seed: int, points: int) -> dict[str, Any]:
    env = task["env"]
    results: dict[str, list[Mapping[str, Any]]] = {c["name"]: [] for c in comparison["contenders"]}
    for r in sorted((r for r in comparison["results"] if r["task"] == env), key=lambda r: r["seed"]):
        results[r["contender"]].append(r)
    floor = _floor(task, results)
    scores = {name: [r["score"] if r["status"] == "ok" else floor for r in rs] for name, rs in results.items()}
    contenders = [
        _contender(c, results[c["name"]], scores[c["name"]], floor, generator(seed, env, c["name"]), points)
        for c in comparison["contenders"]
    ]
    best = max((c["iqm"] for c in contenders if c["iqm"] is not None), default=None)
    random = task.get("random")
    low = random if random is not None else floor
    room = max(0.0, best - low) if best is not None and low is not None else 0.0
    margin = st.MARGIN * room
    for c in contenders:
        c["normalised"] = (c["iqm"] - low) / room if c["iqm"] is not None and room > 0 else None
        c["human"] = float(st.human_normalised(env, c["iqm"])) if c["iqm"] is not None and st.atari_game(env) else None
    goal = _goal(task, low, best)
    for c in contenders:
        c["reach"] = time_to_goal(c["runs"], goal, len(c["failed"]))
    names = step_names([run["steps"] for c in contenders for run in c["runs"]])
    for c in contenders:
        c["measured"] = measured(c["runs"], len(c["failed"]), floor, names)
    best_known = {} if task.get("optimum") is None else {"optimum": task["optimum"]}
    for c in contenders if best_known else ():
        c |= to_optimum(task["optimum"], results[c["name"]])
    return {
        **best_known,
        "env": env,
        "steps": task["steps"],
        "protocol": task.get("protocol", ""),
        "evaluation": task.get("evaluation", ""),
        "random": random,
        **({"random_from": task["random_from"]} if task.get("random_from") else {}),
        "floor": floor,
        "best": best,
        "margin": margin,
        "goal": goal,
        "contenders": contenders,
        "pairs": task_pairs(comparison, env, scores, results, margin, generator(seed, env, "pairs")),
    }


def to_optimum(optimum: float, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`exact`, the mean of the exact expected returns of all seeds, or None, and how far they are `below` the optimum.

    A policy whose expected return is not known is judged by its sampled score.
    """
    ok = [r for r in results if r["status"] == "ok"]
    known = bool(ok) and all(r.get("exact") is not None for r in ok)
    mean = float(np.mean([r["exact"] if known else r["score"] for r in ok])) if ok else None
    return {"exact": mean if known else None, "below": None if mean is None else optimum - mean}


def _floor(task: Mapping[str, Any], results: Mapping[str, Sequence[Mapping[str, Any]]]) -> float | None:
    """The score of a failed seed: the random policy's, else the lowest on the task."""
    if task.get("random") is not None:
        return float(task["random"])
    return min((float(r["score"]) for rs in results.values() for r in rs if r["status"] == "ok"), default=None)


def _goal(task: Mapping[str, Any], low: float | None, best: float | None) -> float | None:
    """The score whose time is measured: the threshold if it was reached, else nine tenths of the way to the best.

    The way begins at the random policy's score. None if no contender is better.
    """
    if best is None or low is None:
        return None
    threshold = task.get("threshold")
    if threshold is not None and best >= threshold:
        return float(threshold)
    return low + 0.9 * (best - low) if best > low else None


def _contender(
    c: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    scores: Sequence[float | None],
    floor: float | None,
    rng: np.random.Generator,
    points: int,
) -> dict[str, Any]:
    known = [s for s in scores if s is not None]
    e = st.estimate(known, rng) if known else None
    m = st.estimate(known, rng, st.mean) if known else None
    ok = [r for r in results if r["status"] == "ok"]
    curves = [learning_curve(r) for r in ok if r.get("curve")]
    timed = [r for r in ok if r.get("alone", False)]
    drawn = [*curves, *at_floor(curves, len(results) - len(ok), floor)]
    longer = [curve for curve in curves if len(curve["steps"]) > 1]
    clocked = len(timed) == len(ok) and all(curve["seconds"] for curve in longer or curves)
    return {
        "name": c["name"],
        "source": c.get("source", "ours"),
        "seeds": [r["seed"] for r in results],
        "scores": list(scores),
        "failed": [{"seed": r["seed"], "error": r.get("error") or ""} for r in results if r["status"] != "ok"],
        "steps": _own_steps(c, ok),
        "iqm": e.point if e else None,
        "interval": interval(e) if e else None,
        "mean": m.point if m else None,
        "mean_interval": interval(m) if m else None,
        "median": float(st.median(known)) if known else None,
        "std": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "timed": len(timed),
        **{field: _median(timed, field) for field in ("steps_per_second", "seconds", "cpu_seconds")},
        "peak_memory": max((r["peak_memory"] for r in timed if r.get("peak_memory")), default=None),
        "runs": curves,
        "curve": band(drawn, "steps", rng, points),
        "clock": band(drawn, "seconds", rng, points) if clocked else None,
    }


def _own_steps(c: Mapping[str, Any], ok: Sequence[Mapping[str, Any]]) -> int | None:
    """The steps of its trainings, None if they differ. A run that was trained before may have its own budget."""
    steps = {r.get("steps") for r in ok}
    return steps.pop() if len(steps) == 1 and c["name"] != "random" else None


def _median(results: Sequence[Mapping[str, Any]], field: str) -> float | None:
    values = [r[field] for r in results if r.get(field) is not None]
    return float(np.median(values)) if values else None
