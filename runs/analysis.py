"""From the results of a comparison to what may be said of them.

A comparison is a folder with `comparison.json`, one JSON object that depends on no trainer:

    schema        1
    kind          "comparison"
    title         of the page, or ""
    command       the command line that makes it again
    created       ISO time          commit    git commit or null
    machine       {"processor", "cores", "memory", "system", ...}         versions  {"torch": "2.13.0", ...}
    tasks         [{"env", "steps",            budget in environment steps, the same for everybody
                    "random": score or null,   mean return of the uniformly random policy
                    "protocol": "", "evaluation": "one line: games, greedy or sampled, whose seeds",
                    "threshold": score or null  "solved", where the environment says so}]
    contenders    [{"name", "source": "ours" | "sb3" | "zoo" | "run" | "random",
                    "tasks": {env: {"config": {...}, "unmapped": ["one line", ...], "note": ""}}}]
    paired        [[name, name], ...]          variants of one agent, whose seed k starts from the same weights
    results       [{"contender", "task", "seed", "status": "ok" | "failed", "error": one line or null,
                    "score": mean return of the final evaluation or null, "returns": [...],
                    "curve": [[step, seconds, score], ...],    evaluations; seconds of training alone
                    "steps": trained for, which of a run may be another number than the task's,
                    "seconds", "cpu_seconds", "steps_per_second", "peak_memory" (bytes),
                    "alone": whether the machine did nothing else; where not, the line above may be null,
                    "others": cores that other work kept busy, "jobs": trainings side by side,
                    "fingerprint", "commit", "versions", "machine", "run": folder or null,
                    "commits": [...], of a training that several commits had a part in}]
    videos        [{"contender", "task", "seed", "file": path in the folder}]

Fields after `results` and everything that is null may be missing. `analyse` turns it into plain JSON with the
estimates, intervals and verdicts that the page, the Markdown and `rl compare --json` show.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl import statistics as st
from rl.errors import InputError
from rl.seeding import generator
from rl.storage import read_json

SCHEMA = 1
SHARED = 0.15
"""Cores that other work may keep busy during a training whose times are still taken."""
POINTS, FEW_POINTS = 101, 41
"""Grid points of a curve's band, on up to six tasks and on more."""


def read_comparison(folder: Path | str) -> dict[str, Any]:
    """The comparison in `folder`. Raises `InputError` where there is none or it is from another version."""
    path = Path(folder) / "comparison.json"
    if not path.is_file():
        raise InputError(f"{folder} is no comparison: it has no comparison.json")
    data = read_json(path)
    check_comparison(data, str(path))
    return dict(data)


def check_comparison(data: Any, where: str = "comparison.json") -> None:
    """Raises `InputError` naming the first thing that is not as the schema says."""
    if not isinstance(data, Mapping) or data.get("kind") != "comparison":
        raise InputError(f'{where} is no comparison: "kind" is not "comparison"')
    if data.get("schema") != SCHEMA:
        raise InputError(
            f"{where} has schema {data.get('schema')!r}, this version reads {SCHEMA}: use the one it is from"
        )
    for name in ("tasks", "contenders", "results"):
        if not isinstance(data.get(name), list):
            raise InputError(f"{where}: {name!r} must be a list")
    if not data["tasks"] or not data["contenders"]:
        raise InputError(f"{where}: it needs at least one task and one contender")
    tasks, names = [t["env"] for t in data["tasks"]], [c["name"] for c in data["contenders"]]
    for kind, known in (("task", tasks), ("contender", names)):
        if len(set(known)) != len(known):
            raise InputError(f"{where}: the same {kind} twice among {', '.join(known)}")
    seen = set()
    for r in data["results"]:
        who = (r.get("contender"), r.get("task"), r.get("seed"))
        if who in seen:
            raise InputError(f"{where}: {who[0]} seed {who[2]} on {who[1]} stands there twice")
        seen.add(who)
        for kind, known in (("task", tasks), ("contender", names)):
            if r.get(kind) not in known:
                raise InputError(f"{where}: a result is of {kind} {r.get(kind)!r}, which is not listed")
        if r.get("status") == "ok" and not _finite(r.get("score")):
            raise InputError(
                f"{where}: {r['contender']} seed {r.get('seed')} on {r['task']} is ok, yet scored {r.get('score')!r}"
            )


def _finite(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def analyse(comparison: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """Estimates, intervals and verdicts of a comparison, as plain JSON. `seed` draws the bootstrap's resamples.

    `tasks` (each with `contenders` and `pairs`) and, over several tasks, `aggregate`; among three or more of ours alone
    `suits`, who leads on which task; `headline` is one sentence, `warnings` what the reader must know before believing
    it.
    """
    check_comparison(comparison)
    points = POINTS if len(comparison["tasks"]) <= 6 else FEW_POINTS
    tasks = [_task(comparison, task, seed, points) for task in comparison["tasks"]]
    aggregate = _aggregate(comparison, tasks, seed) if len(tasks) > 1 else None
    found: dict[str, Any] = {"schema": SCHEMA, "tasks": tasks, "aggregate": aggregate}
    found["suits"] = [_suits(task) for task in tasks] if _only_ours(comparison) else []
    found["headline"] = _headline(found)
    found["warnings"] = _warnings(comparison, found)
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


# One task


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
        c["reach"] = _reach(c["runs"], goal, len(c["failed"]))
    alike = _alike([run["steps"] for c in contenders for run in c["runs"]])
    for c in contenders:
        c["measured"] = _measured(c["runs"], len(c["failed"]), floor, alike)
    return {
        "env": env,
        "steps": task["steps"],
        "protocol": task.get("protocol", ""),
        "evaluation": task.get("evaluation", ""),
        "random": random,
        "floor": floor,
        "best": best,
        "margin": margin,
        "goal": goal,
        "contenders": contenders,
        "pairs": _pairs(comparison, scores, results, margin, generator(seed, env, "pairs")),
    }


def _floor(task: Mapping[str, Any], results: Mapping[str, Sequence[Mapping[str, Any]]]) -> float | None:
    """What a failed seed counts as: the random policy's score, else the lowest score on the task."""
    if task.get("random") is not None:
        return float(task["random"])
    return min((float(r["score"]) for rs in results.values() for r in rs if r["status"] == "ok"), default=None)


def _goal(task: Mapping[str, Any], low: float | None, best: float | None) -> float | None:
    """The score that times are taken to: "solved" where somebody got there, else nine tenths of random-to-best.

    None where nobody is better than random.
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
    curves = [_curve(r) for r in ok if r.get("curve")]
    timed = [r for r in ok if r.get("alone", False)]
    told = [*curves, *_at_floor(curves, len(results) - len(ok), floor)]
    courses = [curve for curve in curves if len(curve["steps"]) > 1]
    clocked = len(timed) == len(ok) and all(curve["seconds"] for curve in courses or curves)
    return {
        "name": c["name"],
        "source": c.get("source", "ours"),
        "seeds": [r["seed"] for r in results],
        "scores": list(scores),
        "failed": [{"seed": r["seed"], "error": r.get("error") or ""} for r in results if r["status"] != "ok"],
        "steps": _own_steps(c, ok),
        "iqm": e.point if e else None,
        "interval": [e.low, e.high] if e and e.low is not None else None,
        "mean": m.point if m else None,
        "mean_interval": [m.low, m.high] if m and m.low is not None else None,
        "median": float(st.median(known)) if known else None,
        "std": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "timed": len(timed),
        "steps_per_second": _middle(timed, "steps_per_second"),
        "seconds": _middle(timed, "seconds"),
        "cpu_seconds": _middle(timed, "cpu_seconds"),
        "peak_memory": max((r["peak_memory"] for r in timed if r.get("peak_memory")), default=None),
        "runs": curves,
        "curve": _band(told, "steps", rng, points),
        "clock": _band(told, "seconds", rng, points) if clocked else None,
    }


def _at_floor(curves: Sequence[Mapping[str, Any]], failed: int, floor: float | None) -> list[dict[str, Any]]:
    """The curves of so many failed seeds, which count as `floor` all along, as far as the others' reach."""
    if not curves or floor is None:
        return []
    flat: dict[str, Any] = {}
    for axis in ("steps", "seconds"):
        known = [c[axis] for c in curves if c[axis]]
        flat[axis] = sorted({min(x[0] for x in known), max(x[-1] for x in known)}) if known else []
    flat["scores"] = [floor] * len(flat["steps"])
    return [flat] * failed


def _alike(steps: Sequence[Sequence[int]]) -> dict[int, int]:
    """The step that each evaluation is named by: several environments overshoot by a few, another number of them by
    others. At most a thousandth of the longest run earlier; evaluations of one run keep names of their own.
    """
    gaps = [b - a for run in steps for a, b in itertools.pairwise(run)]
    most = min([0.001 * max((run[-1] for run in steps if run), default=0), *(gap / 2 for gap in gaps)])
    names: dict[int, int] = {}
    name = -1
    for step in sorted({step for run in steps for step in run}):
        name = name if name >= 0 and step - name <= most else step
        names[step] = name
    return names


def _measured(
    curves: Sequence[Mapping[str, Any]], failed: int, floor: float | None, alike: Mapping[int, int]
) -> list[list[float]]:
    """[step, IQM over seeds] wherever every run was evaluated; failed ones count as `floor`. Nothing interpolated."""
    if not curves:
        return []
    scores = [{alike[step]: score for step, score in zip(c["steps"], c["scores"], strict=True)} for c in curves]
    shared = sorted(set.intersection(*map(set, scores)))
    fallen = [] if floor is None else [floor] * failed
    return [[step, float(st.iqm([s[step] for s in scores] + fallen))] for step in shared]


def _own_steps(c: Mapping[str, Any], ok: Sequence[Mapping[str, Any]]) -> int | None:
    """What all its trainings took, which for a run trained before need not be the task's budget."""
    steps = {r.get("steps") for r in ok}
    return steps.pop() if len(steps) == 1 and c["name"] != "random" else None


def _middle(results: Sequence[Mapping[str, Any]], field: str) -> float | None:
    values = [r[field] for r in results if r.get(field) is not None]
    return float(np.median(values)) if values else None


def _curve(result: Mapping[str, Any]) -> dict[str, Any]:
    points = [p for p in result["curve"] if p[2] is not None]
    clock = [p[1] for p in points]
    return {
        "seed": result["seed"],
        "steps": [p[0] for p in points],
        "seconds": clock if all(s is not None for s in clock) else [],
        "scores": [p[2] for p in points],
        "alone": bool(result.get("alone", False)),
    }


def _band(
    curves: Sequence[Mapping[str, Any]], axis: str, rng: np.random.Generator, points: int
) -> dict[str, Any] | None:
    curves = [c for c in curves if len(c[axis]) > 1] or [c for c in curves if c[axis]]  # an end is no course
    if not curves:
        return None
    if max(c[axis][0] for c in curves) == max(c[axis][-1] for c in curves):
        points = 1
    b = st.band([(c[axis], c["scores"]) for c in curves], rng, points, between="linear" if axis == "steps" else "hold")
    return {
        "x": _rounded(b.grid),
        "middle": _rounded(b.middle),
        "low": _rounded(b.low) if len(curves) > 1 else None,
        "high": _rounded(b.high) if len(curves) > 1 else None,
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{v:.5g}") for v in values]


def _reach(runs: Sequence[Mapping[str, Any]], goal: float | None, failed: int = 0) -> dict[str, Any] | None:
    """How many runs came to `goal`, and the median run's steps and seconds; `failed` others never came.

    These are None where that one never did, the seconds also where one run's are not known; all is where a run was
    evaluated at its end only.
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


def pairs_of(contenders: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Which contenders are held against each other: every pair with an agent of ours in it, ours first, peers before
    variants.

    Without one of ours, every pair. The random policy is the scale's zero, and a side only where nobody else is left.
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


def budget(task: Mapping[str, Any], names: Sequence[str] | None = None) -> str:
    """ "2,000 steps", and who of `names` (all, unless given) was trained for another number: "(run:a: 8,000)"."""
    named = [c for c in task["contenders"] if (names is None or c["name"] in names) and c["name"] != "random"]
    own = {c["name"]: c["steps"] or task["steps"] for c in named}
    if len(set(own.values())) == 1:
        return f"{own.popitem()[1]:,} steps"
    others = ", ".join(f"{name}: {steps:,}" for name, steps in own.items() if steps != task["steps"])
    if others and task["steps"] not in own.values():
        return f"different numbers of steps ({others})"
    return f"{task['steps']:,} steps" + (f" ({others})" if others else "")


def _pairs(
    comparison: Mapping[str, Any],
    scores: Mapping[str, Sequence[Any]],
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    margin: float,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
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
    verdicts = st.compare_all(sides, rng, margin, noise=noise)
    return [
        _pair(a, b, v, paired, st.estimate_improvement(x, y, rng, paired), [len(x), len(y)])
        for (a, b), (x, y, paired), v in zip(names, sides, verdicts, strict=True)
    ]


def _noise(results: Sequence[Mapping[str, Any]]) -> float:
    """Standard error of the mean score that playing so few games alone would give, were all seeds equally good."""
    games = [r["returns"] for r in results if len(r.get("returns") or ()) > 1]
    return math.sqrt(sum(np.var(g, ddof=1) / len(g) for g in games)) / len(games) if games else 0.0


def _known(scores: Sequence[Any]) -> list[float]:
    return [s for s in scores if s is not None]


def _pair(a: str, b: str, v: st.Verdict, paired: bool, p: st.Estimate, seeds: list[int]) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "paired": paired,
        "runs": min(seeds),
        "seeds": seeds,
        "difference": v.difference,
        "interval": [v.low, v.high] if v.low is not None else None,
        "level": v.level,
        "p_value": v.p_value,
        "margin": v.margin,
        "verdict": v.word,
        "more_seeds": v.more_seeds,
        "improvement": [p.point, p.low, p.high],
    }


def _only_ours(comparison: Mapping[str, Any]) -> bool:
    """Whether three or more of ours were held against each other, each against each, and no peer."""
    sources = [c.get("source", "ours") for c in comparison["contenders"] if c["name"] != "random"]
    return len(sources) > 2 and not {"sb3", "zoo"} & set(sources)


def _suits(task: Mapping[str, Any]) -> dict[str, Any]:
    """Who leads on a task, and by the verdicts of the pairs who is worse than it, as good, not told apart, or has one
    seed too few for a verdict."""
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
            # whoever leads by IQM is not worse than anybody: if the two differ, it is the other
            kind = {"better": "worse", "worse": "worse", "equivalent": "equivalent", "no": "one"}
            out[kind.get(pair["verdict"].split()[0], "open")].append(other)
    out["seeds"] = min((p["runs"] for p in task["pairs"] if best in (p["a"], p["b"]) and p["interval"]), default=1)
    return out


# Several tasks


def _aggregate(comparison: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any] | None:
    """Normalised scores over all tasks. None where no two contenders have played them all."""
    human = all(st.atari_game(t["env"]) for t in tasks)
    scale = {}
    for t in tasks:
        low = t["random"] if t["random"] is not None else t["floor"]
        game = st.atari_game(t["env"])
        low, high = st.atari_scores()[game] if human and game else (low, t["best"])
        if low is None or high is None or high <= low:
            return None
        scale[t["env"]] = (low, high)
    matrices: dict[str, np.ndarray] = {}
    seeds: dict[str, list[list[int]]] = {}
    """Of each contender and task, those of the matrix's rows."""
    for k, c in enumerate(comparison["contenders"]):
        columns = [st.normalise(_known(t["contenders"][k]["scores"]), *scale[t["env"]]) for t in tasks]
        runs = min(len(column) for column in columns)
        if runs and c["name"] != "random":
            matrices[c["name"]] = np.stack([column[:runs] for column in columns], axis=1)
            seeds[c["name"]] = [
                [s for s, x in zip(its["seeds"], its["scores"], strict=True) if x is not None][:runs]
                for its in (t["contenders"][k] for t in tasks)
            ]
    if len(matrices) < 2:
        return None
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
                "interval": [e.low, e.high] if e.low is not None else None,
                "mean": mean.point,
                "mean_interval": [mean.low, mean.high] if mean.low is not None else None,
                "median": float(st.median(m)),
                "optimality_gap": gap.point,
            }
        )
    names = [(a, b) for a, b in pairs_of(comparison["contenders"]) if a in matrices and b in matrices]
    together = {frozenset(pair) for pair in comparison.get("paired", [])}
    sides = [(matrices[a], matrices[b], frozenset((a, b)) in together and seeds[a] == seeds[b]) for a, b in names]
    rng = generator(seed, "aggregate", "pairs")
    verdicts = st.compare_all(sides, rng, st.MARGIN)
    return {
        "scale": "human-normalised: 0 random, 1 human" if human else "0 the random policy, 1 the task's best contender",
        "human": human,
        "tasks": [t["env"] for t in tasks],
        "contenders": contenders,
        "pairs": [
            _pair(a, b, v, paired, st.estimate_improvement(x, y, rng, paired), [len(x), len(y)])
            for (a, b), (x, y, paired), v in zip(names, sides, verdicts, strict=True)
        ],
        "profiles": [_profile(name, m, taus, generator(seed, "profile", name)) for name, m in matrices.items()],
    }


def _profile(name: str, m: np.ndarray, taus: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    middle = st.performance_profile(m, taus)
    low = high = None
    if len(m) > 1:
        drawn = st.resampled(m, st.resample_indices(rng, len(m), m.shape[1], 2000))
        low, high = st.percentile_interval(
            st.performance_profile(drawn, taus), st.calibrated_level(0.95, len(m), m.shape[1])
        )
    return {
        "name": name,
        "x": _rounded(taus),
        "middle": _rounded(middle),
        "low": _rounded(np.minimum(low, middle)) if low is not None else None,
        "high": _rounded(np.maximum(high, middle)) if high is not None else None,
    }


# Sentences


def number(x: float | None) -> str:
    """A score for people: three or four figures, thousands set apart."""
    if x is None:
        return "–"
    size = abs(x)
    if 0 < size < 1e-4:
        return f"{x:.2g}".replace("-", "−")
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.01 or x == 0 else 4
    text = f"{x:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "−")


def share(x: float | None) -> str:
    """A normalised score or a probability."""
    return "–" if x is None else f"{x:.2f}".replace("-", "−")


def say(pair: Mapping[str, Any], scale: str = "", more: bool = True) -> str:
    """One pair's verdict as a sentence, and a second one on what `more` seeds would do."""
    a, b, word = pair["a"], pair["b"], pair["verdict"]
    interval = pair["interval"]
    unit, shown = (f" {scale}", share) if scale else ("", number)
    x, y = pair["seeds"]
    seeds = f"{x} seed{'s' if x != 1 else ''} each" if x == y else f"{x} and {y} seeds"
    if interval is None:
        return (
            f"{a} scored {_signed(pair['difference'], shown)}{unit} against {b}, with {seeds}: one seed allows no "
            "interval and no verdict."
        )
    level = f"{100 * pair['level']:.3g}%"
    bounds = f"{level} interval {shown(interval[0])} to {shown(interval[1])}"
    inside = f"{_signed(pair['difference'], shown)}{unit}, {bounds}, {seeds}"
    if word in ("better", "worse"):
        return f"{a} is {word} than {b} ({inside})."
    if word.startswith("equivalent"):
        return f"{a} and {b} are equivalent within the margin of {shown(pair['margin'])} ({inside})."
    advice = _more(pair["more_seeds"]) if more else ""
    return f"{a} and {b} are not distinguishable with this many seeds ({inside}).{advice}"


def say_suits(lead: Mapping[str, Any]) -> str:
    """Who leads on a task, in words."""
    if lead["best"] is None:
        return f"{lead['env']}: no training has finished yet."
    seeds = f"{lead['seeds']} seed{'s' if lead['seeds'] != 1 else ''}"
    kinds = (
        ("worse", "Worse"),
        ("equivalent", "Equivalent within the margin"),
        ("open", f"Not told apart with {seeds}"),
        ("one", "No verdict, from one seed"),
    )
    others = "".join(f" {words}: {', '.join(lead[kind])}." for kind, words in kinds if lead[kind])
    return f"{lead['env']}: {lead['best']} scored highest (IQM {number(lead['iqm'])}).{others}"


def _lead(lead: Mapping[str, Any]) -> str:
    place = f"{lead['best']} on {lead['env']}"
    others = sum(len(lead[kind]) for kind in ("worse", "equivalent", "open", "one"))
    if len(lead["one"]) == others:
        return f"{place}, with one seed, which allows no verdict"
    told = f"{place}, better than {len(lead['worse']) or 'none'} of the {others} others"
    return told + (f", {len(lead['one'])} of which allow no verdict, with one seed" if lead["one"] else "")


def _signed(x: float, shown: Callable[[float], str] = number) -> str:
    return ("+" if x > 0 else "") + shown(x)


def _more(more: int | None) -> str:
    if more is None:
        return ""
    if more < 0:
        return " More than 1,000 further seeds would be needed to settle it."
    return (
        f" About {more:,} more seed{'s' if more != 1 else ''} each would settle it, should difference and spread stay."
    )


def _headline(found: Mapping[str, Any]) -> str:
    """What came out, after the contenders of which every training failed."""
    lost = [
        f"{c['name']} on {t['env']}"
        for t in found["tasks"]
        for c in t["contenders"]
        if c["failed"] and len(c["failed"]) == len(c["seeds"])
    ]
    said = _outcome(found)
    return f"Every training of {', '.join(lost)} failed and has no score of its own. {said}".strip() if lost else said


def _outcome(found: Mapping[str, Any]) -> str:
    """Who leads on which task, where only ours play; else the first pair with a peer in it, over all tasks."""
    leads = [lead for lead in found["suits"] if lead["best"] is not None]
    if leads:
        return "Highest score: {}.".format("; ".join(map(_lead, leads)))
    if found["aggregate"] and found["aggregate"]["pairs"]:
        pair = found["aggregate"]["pairs"][0]
        count = len(found["aggregate"]["tasks"])
        scale = "human-normalised" if found["aggregate"]["human"] else "normalised"
        return f"Over {count} tasks, {say(pair, scale, more=False)}"
    sentences = [
        f"On {t['env']} after {budget(t, _sides(t['pairs'][0]))}, {say(t['pairs'][0], more=False)}"
        for t in found["tasks"]
        if t["pairs"]
    ]
    if sentences:
        return " ".join(sentences)
    scores = [
        f"{c['name']} scored {number(c['iqm'])} on {t['env']}"
        + (f" after {budget(t, [c['name']])}" if c["name"] != "random" else "")
        for t in found["tasks"]
        for c in t["contenders"]
        if c["iqm"] is not None
    ]
    if scores:
        return "; ".join(scores) + "."
    begun = any(c["failed"] for t in found["tasks"] for c in t["contenders"])
    return "" if begun else "No training has finished yet."


def _sides(pair: Mapping[str, Any]) -> list[str]:
    return [pair["a"], pair["b"]]


def short_commit(commit: str) -> str:
    """Seven digits, and the + of a tree that was changed since."""
    return commit[:7] + "+" * commit.endswith("+")


def _few(seeds: int) -> str:
    """What intervals from fewer than `FEW_RUNS` seeds are worth.

    Below five, nearly every resample that counts is the lowest or the highest score again, so that one contender's
    interval is their span. That holds the median of what the seeds are drawn from with probability 1 - 2^(1-n).
    """
    said = f"{seeds} seeds: with fewer than {st.FEW_RUNS}, intervals are too narrow to lean on. Read them as a hint."
    if seeds > 4:
        return said
    return (
        f"{seeds} seeds: with fewer than {st.FEW_RUNS}, intervals are a hint. One contender's is the span of its "
        f"{seeds} scores, which holds the truth about {100 * (1 - 2 ** (1 - seeds)):.0f}% of the time at best. That of "
        "a difference is widened for so few, and may reach beyond the scores that are possible."
    )


def _warnings(comparison: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    warnings = []
    sides = [(c, t) for t in found["tasks"] for c in t["contenders"] if c["name"] != "random" and c["seeds"]]
    counts = [len(c["seeds"]) for c, _ in sides]
    single = list(dict.fromkeys(c["name"] for c, _ in sides if len(c["seeds"]) == 1))
    fewest = min((count for count in counts if count > 1), default=0)
    if single and not fewest:
        warnings.append("One seed: no interval is claimed, and the difference may be luck.")
    elif single:
        warnings.append(f"One seed of {', '.join(single)}: no interval and no verdict is claimed there.")
    if 0 < fewest < st.FEW_RUNS:
        warnings.append(_few(fewest))
    other = [
        f"{c['name']} on {t['env']}, {c['steps']:,} instead of {t['steps']:,}"
        for c, t in sides
        if c["steps"] not in (None, t["steps"])
    ]
    if other:
        warnings.append(f"Not trained for the comparison's number of steps: {'; '.join(other)}.")
    failed = [
        f"{c['name']} on {t['env']}: {len(c['failed'])} of {len(c['seeds'])}"
        for t in found["tasks"]
        for c in t["contenders"]
        if c["failed"]
    ]
    if failed:
        known = all(t["random"] is not None for t in found["tasks"])
        counted = "the random policy's score" if known else "the lowest score on the task"
        warnings.append(f"Failed seeds, counted as {counted}: {'; '.join(failed)}.")
    missing = [f"{c['name']} on {t['env']}" for t in found["tasks"] for c in t["contenders"] if not c["seeds"]]
    if missing:
        warnings.append(f"No result yet: {', '.join(missing)}.")
    if len(set(counts)) > 1:
        warnings.append(f"The contenders have different numbers of seeds, {min(counts)} to {max(counts)}.")
    ends = [
        f"{c['name']} on {t['env']}: {short} of {len(c['runs'])}"
        for t in found["tasks"]
        for c in t["contenders"]
        if 0 < (short := sum(len(r["steps"]) < 2 for r in c["runs"])) < len(c["runs"])
    ]
    if ends:
        warnings.append(f"Evaluated at their end only, and so left out of the curves: {'; '.join(ends)}.")
    idle = {c["name"] for c in comparison["contenders"] if c.get("source") in ("run", "random")}
    trained = [r for r in comparison["results"] if r["contender"] not in idle and r["status"] == "ok"]
    untimed = [r for r in trained if not r.get("alone", False)]
    shared = sum((r.get("others") or 0) >= SHARED or (r.get("jobs") or 1) > 1 for r in untimed)
    if shared:
        warnings.append(
            f"{shared} of {len(trained)} trainings shared the machine with other work: their times, speed and memory "
            "are left blank."
        )
    if len(untimed) > shared:
        warnings.append(
            f"{len(untimed) - shared} of {len(trained)} trainings: times unknown, for they were interrupted, recorded "
            "on another machine, or nothing says how busy this one was."
        )
    commits: dict[str, set[str]] = {}
    for r in trained:
        for commit in filter(None, r.get("commits") or [r.get("commit")]):
            commits.setdefault(r["contender"], set()).add(short_commit(commit))
    mixed = [f"{name} by {', '.join(sorted(of))}" for name, of in commits.items() if len(of) > 1]
    if mixed:
        warnings.append(f"Trained by more than one commit: {'; '.join(mixed)}.")
    stale = {str(r.get("versions")) for r in comparison["results"] if r.get("versions")}
    if len(stale) > 1:
        warnings.append("The trainings ran with different versions of the libraries; see the raw data.")
    return warnings
