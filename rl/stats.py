"""Statistics of comparisons between agents from a few seeds each.

Scores are float arrays [runs, tasks] (a vector [runs] is one task), as in rliable (Agarwal et al. 2021,
arXiv:2108.13264), against which every statistic here is tested. Statistics accept leading axes, [..., runs, tasks],
so that all bootstrap resamples are computed at once.

There are two intervals, whose coverage is measured in docs/coverage.md:
- one agent: the percentile bootstrap, stratified by task, with its quantiles moved outwards for Student's t and the
  lost degree of freedom (Hesterberg 2015, arXiv:1411.5279, section 5.3). The plain percentile interval covers too
  rarely below about 20 runs;
- two agents: Welch's t on the bootstrap's standard errors. It reaches the levels of Holm's correction, which ten runs
  cannot resolve by percentiles.

Why no SciPy: `scipy.stats.bootstrap` does not stratify by task, and gives the same interval for one task (within 1e-15)
in 1.5 times the time. It would replace only Student's distribution, 35 lines here (differences below 1e-6); importing
scipy.stats takes 1.2 s of CPU time and scipy.special 0.4 s, at the start of every training.
"""

from __future__ import annotations

import bisect
import functools
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np

from rl.errors import InputError, unknown

Statistic = Callable[[np.ndarray], np.ndarray]
"""Maps scores [..., runs, tasks] to numbers [...]."""


RESAMPLES = 10_000
MARGIN = 0.05
"""The margin of indifference: this share of the way from the random policy to the best contender."""
FEW_RUNS = 10
"""Below this many runs, pages warn that intervals are too narrow."""


def as_matrix(scores: Any) -> np.ndarray:
    """`scores` as finite float64 [..., runs, tasks]; a vector becomes [runs, 1]. Raises `InputError` otherwise."""
    x = np.asarray(scores, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim < 2 or 0 in x.shape:
        raise InputError(f"scores must be a non-empty [runs] or [runs, tasks] array, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise InputError("scores must be finite: give a failed run a score first")
    return x


def mean(scores: Any) -> np.ndarray:
    """Mean of the tasks' means."""
    return as_matrix(scores).mean(axis=(-2, -1))


def median(scores: Any) -> np.ndarray:
    """Median over tasks of the runs' mean. On one task: the median of the runs."""
    x = as_matrix(scores)
    return np.median(x[..., 0], axis=-1) if x.shape[-1] == 1 else np.median(x.mean(axis=-2), axis=-1)


def iqm(scores: Any) -> np.ndarray:
    """Interquartile mean: the mean without the lowest and the highest quarter (rounded down) of all runs and tasks."""
    x = as_matrix(scores)
    flat = np.sort(x.reshape(*x.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)


def optimality_gap(scores: Any, threshold: float = 1.0) -> np.ndarray:
    """How far normalised scores, capped at `threshold`, stay below it on average."""
    return threshold - np.minimum(as_matrix(scores), threshold).mean(axis=(-2, -1))


def probability_of_improvement(x: Any, y: Any) -> np.ndarray:
    """P(a run of x beats a run of y on the same task), ties counted half, averaged over tasks (Mann-Whitney's U)."""
    x, y = as_matrix(x), as_matrix(y)
    if x.shape[-1] != y.shape[-1]:
        raise InputError(f"both sides need the same tasks, got {x.shape[-1]} and {y.shape[-1]}")
    a, b = x[..., :, None, :], y[..., None, :, :]  # [..., runs of x, runs of y, tasks]
    return ((a > b) + 0.5 * (a == b)).mean(axis=(-3, -2, -1))


def performance_profile(scores: Any, thresholds: Any) -> np.ndarray:
    """The share of runs and tasks that score above each of `thresholds` [T]; returns [..., T]."""
    x = as_matrix(scores)[..., None]
    return (x > np.asarray(thresholds, dtype=np.float64)).mean(axis=(-3, -2))


def resample_indices(rng: np.random.Generator, runs: int, tasks: int, count: int = RESAMPLES) -> np.ndarray:
    """The runs of each resample, drawn separately for every task: int64 [count, runs, tasks]."""
    return rng.integers(0, runs, size=(count, runs, tasks))


def resampled(scores: Any, indices: np.ndarray) -> np.ndarray:
    """The resamples [B, runs, tasks] of `scores` [runs, tasks], by `indices` of the same shape."""
    return np.take_along_axis(as_matrix(scores)[None], indices, axis=1)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The plain percentile interval of bootstrap `values` [B, ...]; rliable's interval."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def calibrated_level(level: float, runs: int, tasks: int = 1) -> float:
    """The nominal level at which a percentile interval from `runs` runs covers about `level`.

    The spread of resamples of n runs is too small by sqrt((n-1)/n), and percentiles treat it as known. So the normal
    quantile is replaced by Student's with tasks * (n-1) degrees of freedom, times sqrt(n/(n-1)): 0.983 for n = 10 and
    0.95.
    """
    t = student_quantile((1 + level) / 2, tasks * (runs - 1)) * math.sqrt(runs / (runs - 1))
    return 1 - 2 * NormalDist().cdf(-t)


class Estimate(NamedTuple):
    """A number and its interval; `low` and `high` are None if there is only one run."""

    point: float
    low: float | None
    high: float | None


def estimate(
    scores: Any,
    rng: np.random.Generator,
    statistic: Statistic = iqm,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Estimate:
    """`statistic` of `scores` [runs, tasks] with its calibrated stratified bootstrap interval."""
    x = as_matrix(scores)
    point = float(statistic(x))
    runs, tasks = x.shape
    if runs < 2:
        return Estimate(point, None, None)
    values = statistic(resampled(x, resample_indices(rng, runs, tasks, resamples)))
    low, high = percentile_interval(values, calibrated_level(level, runs, tasks))
    return Estimate(point, min(float(low), point), max(float(high), point))


def estimate_improvement(
    x: Any,
    y: Any,
    rng: np.random.Generator,
    paired: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES // 5,
) -> Estimate:
    """`probability_of_improvement` with its interval. `paired` resamples the same runs on both sides.

    There is no interval if every run of one side beats every run of the other: all resamples are equal then.
    """
    x, y = as_matrix(x), as_matrix(y)
    point = float(probability_of_improvement(x, y))
    runs = min(len(x), len(y))
    if runs < 2:
        return Estimate(point, None, None)
    left, right = _two_resamples(x, y, rng, paired, resamples)
    low, high = percentile_interval(
        probability_of_improvement(resampled(x, left), resampled(y, right)), calibrated_level(level, runs, x.shape[1])
    )
    if low == high == point and point in (0.0, 1.0):
        return Estimate(point, None, None)
    return Estimate(point, min(float(low), point), max(float(high), point))


def _two_resamples(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, paired: bool, count: int
) -> tuple[np.ndarray, np.ndarray]:
    if x.shape[1] != y.shape[1]:
        raise InputError(f"both sides need the same tasks, got {x.shape[1]} and {y.shape[1]}")
    if paired and len(x) != len(y):
        raise InputError(f"a paired comparison needs the same seeds on both sides, got {len(x)} and {len(y)} runs")
    left = resample_indices(rng, len(x), x.shape[1], count)
    return left, left if paired else resample_indices(rng, len(y), y.shape[1], count)


def student_cdf(t: float, df: int) -> float:
    """P(T <= t) with `df` >= 1 degrees of freedom."""
    if df < 1:
        raise InputError(f"degrees of freedom must be at least 1, got {df}")
    if df > 300:  # 26.7.8, here within 1e-6
        return NormalDist().cdf(t * (1 - 1 / (4 * df)) / math.sqrt(1 + t * t / (2 * df)))
    theta = math.atan(t / math.sqrt(df))
    c2 = math.cos(theta) ** 2
    if df % 2:
        term, total = math.cos(theta), 0.0
        for k in range(3, df + 1, 2):
            total += term
            term *= c2 * (k - 1) / k
        inside = 2 / math.pi * (theta + math.sin(theta) * total)
    else:
        term, total = 1.0, 0.0
        for k in range(2, df + 1, 2):
            total += term
            term *= c2 * (k - 1) / k
        inside = math.sin(theta) * total
    return 0.5 + 0.5 * inside


@functools.lru_cache(maxsize=1024)
def student_quantile(p: float, df: int) -> float:
    """The t with P(T <= t) = p, for 0 < p < 1."""
    if p < 0.5:
        return -student_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while student_cdf(high, df) < p and high < 1e9:
        low, high = high, 2 * high
    for _ in range(60):
        mid = (low + high) / 2
        low, high = (mid, high) if student_cdf(mid, df) < p else (low, mid)
    return (low + high) / 2


@dataclass(frozen=True)
class Difference:
    """x minus y: the estimate, its standard error (None if a side has one run) and degrees of freedom."""

    point: float
    error: float | None
    df: int
    runs: int
    """Runs of the smaller side."""

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """`point` plus and minus Student's quantile times `error`; None without an error."""
        if self.error is None:
            return None
        half = student_quantile((1 + level) / 2, self.df) * self.error
        return self.point - half, self.point + half

    @property
    def p_value(self) -> float:
        """Two-sided: 1 minus the level at which the interval touches 0."""
        if self.error is None:
            return 1.0
        if self.error == 0:
            return float(self.point == 0)
        return 2 * student_cdf(-abs(self.point) / self.error, self.df)


def difference(
    x: Any,
    y: Any,
    rng: np.random.Generator,
    statistic: Statistic = iqm,
    paired: bool = False,
    resamples: int = RESAMPLES,
) -> Difference:
    """How much higher `statistic` is for `x` than for `y`, both [runs, tasks] on the same tasks.

    Each side is resampled independently. `paired` takes the same runs on both sides. It is only for variants of one
    agent, whose run k starts from the same weights and episodes; two libraries use a seed differently.
    """
    x, y = as_matrix(x), as_matrix(y)
    point = float(statistic(x) - statistic(y))
    runs, tasks = min(len(x), len(y)), x.shape[1]
    left, right = _two_resamples(x, y, rng, paired, resamples)
    if runs < 2:
        return Difference(point, None, 1, runs)
    a, b = statistic(resampled(x, left)), statistic(resampled(y, right))
    if paired:
        error = float(np.std(a - b, ddof=1)) * math.sqrt(runs / (runs - 1))
        return Difference(point, error, tasks * (runs - 1), runs)
    n, m = len(x), len(y)
    va, vb = float(np.var(a, ddof=1)) * n / (n - 1), float(np.var(b, ddof=1)) * m / (m - 1)
    if va + vb < 1e-24 * max(1.0, point * point):
        return Difference(point, 0.0, tasks * (n + m - 2), runs)
    df = (va + vb) ** 2 / (va**2 / (tasks * (n - 1)) + vb**2 / (tasks * (m - 1)))  # Welch-Satterthwaite
    return Difference(point, math.sqrt(va + vb), max(1, math.floor(df + 1e-9)), runs)


def holm_levels(p_values: Sequence[float], alpha: float = 0.05) -> list[float]:
    """For each hypothesis the level 1 - alpha_k of the interval that decides it under Holm's step-down correction.

    The k-th smallest of m p-values (from 0) is compared with alpha / (m - k). After the first larger one, all others
    are compared with the same level and are larger too. So the interval at this level excludes 0 if Holm rejects.
    """
    levels = [0.0] * len(p_values)
    stopped: float | None = None
    for k, i in enumerate(sorted(range(len(p_values)), key=lambda j: p_values[j])):
        share = stopped if stopped is not None else alpha / (len(p_values) - k)
        if stopped is None and p_values[i] > share:
            stopped = share
        levels[i] = 1 - share
    return levels


Word = Literal[
    "better",
    "worse",
    "equivalent within the margin",
    "not distinguishable with this many seeds",
    "no verdict from one seed",
]


UNDECIDED: Word = "not distinguishable with this many seeds"
NO_VERDICT: Word = "no verdict from one seed"


@dataclass(frozen=True)
class Verdict:
    """The verdict on x against y, and the interval that decides it."""

    word: Word
    difference: float
    low: float | None
    high: float | None
    level: float
    margin: float
    p_value: float
    more_seeds: int | None
    """Additional seeds on each side that would decide it if difference and spread stay the same. None: decided, or
    unknown from one seed; -1: more than 1,000."""


def verdict(diff: Difference, margin: float, level: float = 0.95) -> Verdict:
    """Compares the interval of `diff` at `level` with 0 and with the `margin` of indifference (in score units).

    Equivalent if the interval lies within the margin on both sides, even if it excludes 0: the difference is too small
    to matter. Else better or worse if it excludes 0, else not distinguishable. No verdict if a side has one run.
    """
    interval = diff.interval(level)
    if interval is None:
        return Verdict(NO_VERDICT, diff.point, None, None, level, margin, diff.p_value, None)
    low, high = interval
    word: Word
    if (-margin < low and high < margin) or low == high == 0:
        word = "equivalent within the margin"
    elif low > 0:
        word = "better"
    elif high < 0:
        word = "worse"
    else:
        word = UNDECIDED
    more = _more_seeds(diff, margin, level) if word == UNDECIDED else None
    return Verdict(word, diff.point, low, high, level, margin, diff.p_value, more)


def _more_seeds(diff: Difference, margin: float, level: float) -> int:
    """Additional seeds until the half-width, which shrinks as 1/sqrt(n), is below |d| or (equivalence) margin - |d|."""
    assert diff.error is not None
    error, target = diff.error, max(abs(diff.point), margin - abs(diff.point))

    def settles(more: int) -> bool:
        df = max(1, round(diff.df * (diff.runs + more - 1) / (diff.runs - 1)))
        return student_quantile((1 + level) / 2, df) * error * math.sqrt(diff.runs / (diff.runs + more)) < target

    if not settles(1000):
        return -1
    return bisect.bisect_left(range(1, 1001), True, key=settles) + 1


def compare_all(
    pairs: Sequence[tuple[Any, Any, bool]],
    rng: np.random.Generator,
    margin: float,
    statistic: Statistic = iqm,
    alpha: float = 0.05,
    noise: Sequence[float] | None = None,
) -> list[Verdict]:
    """Verdicts for `pairs` of (x, y, paired); any of them is wrong with probability at most about `alpha` (Holm 1979).

    `noise` is a lower bound of each pair's standard error, because scores are means over few games: two or three seeds
    may agree better than that by chance.
    """
    found = [difference(x, y, rng, statistic, paired) for x, y, paired in pairs]
    if noise is not None:
        bounded = zip(found, noise, strict=True)
        found = [d if d.error is None else replace(d, error=max(d.error, least)) for d, least in bounded]
    tested = iter(holm_levels([d.p_value for d in found if d.error is not None], alpha))  # one seed is no test
    return [verdict(d, margin, 1 - alpha if d.error is None else next(tested)) for d in found]


ATARI5 = {
    "battle_zone": 0.38198,
    "double_dunk": 0.06791,
    "name_this_game": 0.31080,
    "phoenix": 0.12413,
    "qbert": 0.08049,
}
"""Weights of Atari-5 (Aitchison et al. 2023, ICML): a regression, without an intercept, of the 57 games' log median on
the five games' log scores. Fitted by least squares to the 44 algorithms that have all five in dataset.csv of the
paper's repository (github.com/maitchison/Atari-5, commit 118cad5); the mean error there is 9%."""


def atari5(scores: Any) -> np.ndarray:
    """The median human-normalised score of 57 games as Atari-5 estimates it: 10^(sum of w log10(1 + 100 x)) - 1, in %.

    `scores`: human-normalised, [..., runs, 5], in the order of `ATARI5`; the runs' mean counts, and below 0 it is 0.
    Returns a share, as the scores are: 1 is human.
    """
    percent = 100 * np.maximum(as_matrix(scores).mean(axis=-2), 0.0)
    return (10 ** (np.log10(1 + percent) @ np.array(list(ATARI5.values()))) - 1) / 100


def normalise(scores: Any, low: float, high: float) -> np.ndarray:
    """0 at `low` (the random policy), 1 at `high` (the best, or a human). Raises `InputError` unless low < high."""
    if not high > low:
        raise InputError(f"normalising needs a best score above the random one, got random {low:g} and best {high:g}")
    return (np.asarray(scores, dtype=np.float64) - low) / (high - low)


@functools.lru_cache(maxsize=1)
def atari_scores() -> dict[str, tuple[float, float]]:
    """(random, human) by game in snake case, for the 57 games."""
    text = resources.files("rl").joinpath("atari_scores.json").read_text(encoding="utf-8")
    return {game: (low, high) for game, (low, high) in json.loads(text)["scores"].items()}


def atari_game(env: str) -> str | None:
    """`space_invaders` for `ALE/SpaceInvaders-v5`, `SpaceInvadersNoFrameskip-v4` or itself.

    None unless it is an Atari game with known human scores (`Arcade/Breakout-v1` is another game).
    """
    namespace, _, name = env.rpartition("/")
    return _snake(name) if namespace in ("", "ALE") and _snake(name) in atari_scores() else None


def _snake(name: str) -> str:
    name = re.sub(r"(NoFrameskip|Deterministic)?-v\d+$", "", name)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def human_normalised(env: str, scores: Any) -> np.ndarray:
    """Scores with 0 for random and 1 for human play. Raises `InputError` for a game without known human scores."""
    game = atari_game(env)
    if game is None:
        raise unknown("Atari game", _snake(env.removeprefix("ALE/")), atari_scores())
    return normalise(scores, *atari_scores()[game])


class Band(NamedTuple):
    """A curve of several runs on one grid: `middle`, and its pointwise interval (NaN with one run). All [points]."""

    grid: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


def on_grid(x: Any, y: Any, grid: np.ndarray, between: Literal["linear", "hold"] = "linear") -> np.ndarray:
    """One run's curve (x ascending, y) at `grid`; NaN before its first point, its last value after its last.

    "linear" is for steps. "hold" keeps the newest known value and is for time: a policy counts once it is evaluated.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.ndim != 1 or xs.shape != ys.shape or not len(xs) or (np.diff(xs) < 0).any():
        raise InputError("a curve needs x in ascending order and as many y")
    if between == "linear":
        values = np.interp(grid, xs, ys)
    else:
        values = ys[np.maximum(np.searchsorted(xs, grid, side="right") - 1, 0)]
    return np.where(grid < xs[0], np.nan, values)


def band(
    curves: Sequence[tuple[Any, Any]],
    rng: np.random.Generator,
    points: int = 101,
    between: Literal["linear", "hold"] = "linear",
    end: float | None = None,
    level: float = 0.95,
    resamples: int = 2_000,
) -> Band:
    """The IQM over runs of `curves` (x, y), pointwise, with calibrated bootstrap intervals.

    The grid runs from the latest of the runs' first points to `end` (default: the latest last point). Whole curves are
    resampled: the same runs at every point.
    """
    if not curves:
        raise InputError("a band needs at least one curve")
    start = max(float(np.asarray(x)[0]) for x, _ in curves)
    end = max(float(np.asarray(x)[-1]) for x, _ in curves) if end is None else end
    grid = np.linspace(start, max(start, end), points)
    y = np.stack([on_grid(a, b, grid, between) for a, b in curves])  # [runs, points]
    middle = iqm(y.T[:, :, None])
    runs = len(y)
    if runs < 2:
        nothing = np.full(points, np.nan)
        return Band(grid, middle, nothing, nothing)
    indices = resample_indices(rng, runs, 1, resamples)[:, :, 0]
    values = iqm(np.moveaxis(y[indices], 2, 1)[..., None])  # [B, points]
    low, high = percentile_interval(values, calibrated_level(level, runs))
    return Band(grid, middle, np.minimum(low, middle), np.maximum(high, middle))


def first_reach(x: Any, y: Any, threshold: float) -> float | None:
    """The x of the first point whose y is at least `threshold`; None if there is none."""
    hits = np.flatnonzero(np.asarray(y, dtype=np.float64) >= threshold)
    return float(np.asarray(x, dtype=np.float64)[hits[0]]) if len(hits) else None
