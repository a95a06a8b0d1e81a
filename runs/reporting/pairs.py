"""Pairs of contenders: differences with intervals and verdicts, per task and over all tasks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl import stats as st
from rl.seeding import generator
from runs.reporting.curves import rounded

RETURNS = {
    "CartPole-v0": (0.0, 200.0),
    "CartPole-v1": (0.0, 500.0),
    "Acrobot-v1": (-500.0, 0.0),
    "MountainCar-v0": (-200.0, 0.0),
    "ALE/Pong-v5": (-21.0, 21.0),
    "FrozenLake-v1": (0.0, 1.0),
}
"""Lowest and highest return of an episode."""


def pairs_of(contenders: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The pairs that are compared: each of our agents with every peer, then with our other agents.

    If no agent is ours, all pairs of peers are compared. The random policy is in a pair only if there is at most one
    other contender.
    """
    ours = [c["name"] for c in contenders if c.get("source", "ours") in ("ours", "run") and c["name"] != "random"]
    others = [c["name"] for c in contenders if c.get("source") in ("sb3", "zoo")]
    names = ours + others
    if len(names) < 2:
        names = [c["name"] for c in contenders]
        return [(a, b) if a != "random" else (b, a) for a, b in itertools.combinations(names, 2)]
    if not ours:
        return list(itertools.combinations(others, 2))
    return [pair for k, a in enumerate(ours) for pair in itertools.product([a], others + ours[k + 1 :])]


def task_pairs(
    comparison: Mapping[str, Any],
    env: str,
    scores: Mapping[str, Sequence[Any]],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    margin: float,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """The verdicts on all pairs of a task of which both sides have a score."""
    together = {frozenset(pair) for pair in comparison.get("paired", [])}
    sides, names, noise = [], [], []
    for a, b in pairs_of(comparison["contenders"]):
        x, y = _known(scores[a]), _known(scores[b])
        if not x or not y:
            continue
        same = [r["seed"] for r in results[a]] == [r["seed"] for r in results[b]] and len(x) == len(y)
        sides.append((x, y, same and frozenset((a, b)) in together))
        names.append((a, b))
        noise.append(math.hypot(_noise(results[a]), _noise(results[b])))
    found = _compared(names, sides, rng, margin, noise)
    for pair in found:
        pair["interval"] = _bounded(env, pair["interval"])
        pair["lost"] = [name for name in (pair["a"], pair["b"]) if all(r["status"] != "ok" for r in results[name])]
    return found


def interval(found: st.Estimate | st.Verdict) -> list[float] | None:
    return [found.low, found.high] if found.low is not None and found.high is not None else None


def _bounded(env: str, difference: list[float] | None) -> list[float] | None:
    """An interval of a difference of scores, limited to the differences that are possible on `env`."""
    if difference is None or env not in RETURNS:
        return difference
    low, high = RETURNS[env]
    return [max(difference[0], low - high), min(difference[1], high - low)]


def _noise(results: Sequence[Mapping[str, Any]]) -> float:
    """The standard error of the mean score that the finite number of games causes, if all seeds were equally good."""
    games = [r["returns"] for r in results if len(r.get("returns") or ()) > 1]
    return math.sqrt(sum(np.var(g, ddof=1) / len(g) for g in games)) / len(games) if games else 0.0


def _known(scores: Sequence[Any]) -> list[float]:
    return [s for s in scores if s is not None]


def _compared(
    names: Sequence[tuple[str, str]],
    sides: Sequence[tuple[Any, Any, bool]],
    rng: np.random.Generator,
    margin: float,
    noise: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """The verdict on each pair of `names`, from the `sides` (scores of a, scores of b, paired)."""
    found = []
    for (a, b), (x, y, paired), v in zip(names, sides, st.compare_all(sides, rng, margin, noise=noise), strict=True):
        better = st.estimate_improvement(x, y, rng, paired)
        found.append(
            {
                "a": a,
                "b": b,
                "paired": paired,
                "runs": min(len(x), len(y)),
                "seeds": [len(x), len(y)],
                "difference": v.difference,
                "interval": interval(v),
                "level": v.level,
                "p_value": v.p_value,
                "margin": v.margin,
                "verdict": v.word,
                "more_seeds": v.more_seeds,
                "improvement": [better.point, better.low, better.high],
            }
        )
    return found


def only_ours(comparison: Mapping[str, Any]) -> bool:
    """Whether all contenders are agents of ours, and at least three."""
    sources = [c.get("source", "ours") for c in comparison["contenders"] if c["name"] != "random"]
    return len(sources) > 2 and not {"sb3", "zoo"} & set(sources)


def leader(task: Mapping[str, Any]) -> dict[str, Any]:
    """The contender with the highest IQM on a task, and how the verdicts rank the others beside it."""
    ranked = [c for c in task["contenders"] if c["iqm"] is not None and c["name"] != "random"]
    ranked.sort(key=lambda c: (-c["iqm"], -c["mean"]))
    out: dict[str, Any] = {"env": task["env"], "best": None, "worse": [], "equivalent": [], "open": [], "one": []}
    if not ranked:
        return out
    best = out["best"] = ranked[0]["name"]
    out["iqm"] = ranked[0]["iqm"]
    for pair in task["pairs"]:
        if best in (pair["a"], pair["b"]):
            other = pair["b"] if pair["a"] == best else pair["a"]
            # no contender is better than the leader by IQM, so a difference means that the other is worse
            kind = {"better": "worse", "worse": "worse", "equivalent": "equivalent", "no": "one"}
            out[kind.get(pair["verdict"].split()[0], "open")].append(other)
    out["seeds"] = min((p["runs"] for p in task["pairs"] if best in (p["a"], p["b"]) and p["interval"]), default=1)
    return out


def aggregate(comparison: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any] | None:
    """Normalised scores over all tasks, of every contender that has played them all.

    None if there is no such contender, or only one without a human scale: its own score would be the scale.
    """
    games = [st.atari_game(t["env"]) for t in tasks]
    human = all(games)
    scale = {t["env"]: _scale(t, human) for t in tasks}
    if any(low is None or high is None or high <= low for low, high in scale.values()):
        return None
    matrices: dict[str, np.ndarray] = {}
    seeds: dict[str, list[list[int]]] = {}
    """The seeds of each contender and task that are the rows of its matrix."""
    for k, c in enumerate(comparison["contenders"]):
        columns = [st.normalise(_known(t["contenders"][k]["scores"]), *scale[t["env"]]) for t in tasks]
        runs = min(len(column) for column in columns)
        if runs and c["name"] != "random":
            matrices[c["name"]] = np.stack([column[:runs] for column in columns], axis=1)
            seeds[c["name"]] = [
                [s for s, x in zip(its["seeds"], its["scores"], strict=True) if x is not None][:runs]
                for its in (t["contenders"][k] for t in tasks)
            ]
    if len(matrices) < (1 if human else 2):
        return None
    five = [games.index(g) for g in st.ATARI5] if set(games) == set(st.ATARI5) else []
    top = max(1.0, max(float(m.max()) for m in matrices.values()))
    taus = np.linspace(0, min(top, 8.0), 81)
    contenders = []
    for name, m in matrices.items():
        rng = generator(seed, "aggregate", name)
        e, mean, gap = st.estimate(m, rng), st.estimate(m, rng, st.mean), st.estimate(m, rng, st.optimality_gap)
        contenders.append(
            {
                "name": name,
                "runs": len(m),
                "iqm": e.point,
                "interval": interval(e),
                "mean": mean.point,
                "mean_interval": interval(mean),
                "median": float(st.median(m)),
                "optimality_gap": gap.point,
            }
        )
        if five:
            estimate = st.estimate(m[:, five], rng, st.atari5)
            contenders[-1] |= {"atari5": estimate.point, "atari5_interval": interval(estimate)}
    names = [(a, b) for a, b in pairs_of(comparison["contenders"]) if a in matrices and b in matrices]
    together = {frozenset(pair) for pair in comparison.get("paired", [])}
    sides = [(matrices[a], matrices[b], frozenset((a, b)) in together and seeds[a] == seeds[b]) for a, b in names]
    return {
        "scale": "human-normalised: 0 random, 1 human" if human else "0 the random policy, 1 the task's best contender",
        "human": human,
        "tasks": [t["env"] for t in tasks],
        "contenders": contenders,
        "pairs": _compared(names, sides, generator(seed, "aggregate", "pairs"), st.MARGIN),
        "profiles": [_profile(name, m, taus, generator(seed, "profile", name)) for name, m in matrices.items()],
    }


def _scale(task: Mapping[str, Any], human: bool) -> tuple[Any, Any]:
    """The scores of a task that become 0 and 1."""
    game = st.atari_game(task["env"])
    if human and game:
        return st.atari_scores()[game]
    return task["random"] if task["random"] is not None else task["floor"], task["best"]


def _profile(name: str, m: np.ndarray, taus: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """The share of runs above each of `taus`, with its 95% interval (Agarwal et al. 2021)."""
    middle = st.performance_profile(m, taus)
    low = high = None
    if len(m) > 1:
        drawn = st.resampled(m, st.resample_indices(rng, len(m), m.shape[1], 2000))
        low, high = st.percentile_interval(
            st.performance_profile(drawn, taus), st.calibrated_level(0.95, len(m), m.shape[1])
        )
    return {
        "name": name,
        "x": rounded(taus),
        "middle": rounded(middle),
        "low": rounded(np.minimum(low, middle)) if low is not None else None,
        "high": rounded(np.maximum(high, middle)) if high is not None else None,
    }
