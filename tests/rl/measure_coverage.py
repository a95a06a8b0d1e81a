"""How often the intervals of rl/stats.py hold the true value.

Writes runs/reporting/page/coverage.json and docs/coverage.md.

python -m tests.rl.measure_coverage      # about 5 minutes on one core
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rl import stats as st

ROOT = Path(__file__).parents[2]
Shape = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
SHAPES: dict[str, Shape] = {
    "normal": lambda g, n: g.normal(300, 50, n),
    "skewed": lambda g, n: g.exponential(50, n),
    "saturated": lambda g, n: np.minimum(500, g.normal(490, 30, n)),
    "heavy tail": lambda g, n: 50 * g.lognormal(0, 1, n),
    "one in ten collapses": lambda g, n: np.where(g.random(n) < 0.1, g.normal(150, 50, n), 500.0),
}
MEANING = {
    "normal": "Normal(300, 50)",
    "skewed": "Exponential(50), skewness 2",
    "saturated": "Normal(490, 30) capped at 500: 37% of runs at the cap",
    "heavy tail": "50 LogNormal(0, 1), skewness 6",
    "one in ten collapses": "500, but Normal(150, 50) with probability 0.1",
}
STATISTICS: dict[str, st.Statistic] = {"iqm": st.iqm, "mean": st.mean}


def measure(
    shape: Shape, statistic: st.Statistic, runs: int, trials: int, resamples: int, rng: np.random.Generator
) -> dict[str, float]:
    """The share of `trials` in which 95% intervals from `runs` runs hold the truth.

    `interval`: one agent, calibrated. `percentile`: one agent, plain. `difference`: two agents of this same shape.
    """
    truth = float(statistic(shape(rng, (2_000_000,))))
    hits = {"interval": 0, "percentile": 0, "difference": 0}
    level = st.calibrated_level(0.95, runs)
    for _ in range(trials):
        x, y = shape(rng, (runs,)), shape(rng, (runs,))
        values = statistic(st.resampled(x, st.resample_indices(rng, runs, 1, resamples)))
        for name, share in (("interval", level), ("percentile", 0.95)):
            low, high = st.percentile_interval(values, share)
            hits[name] += bool(low - 1e-9 <= truth <= high + 1e-9)
        bounds = st.difference(x, y, rng, statistic, resamples=resamples).interval() or (math.nan, math.nan)
        hits["difference"] += bounds[0] - 1e-9 <= 0 <= bounds[1] + 1e-9
    return {name: count / trials for name, count in hits.items()}


def main(trials: int = 4000, resamples: int = 2000) -> None:
    rows: list[dict[str, Any]] = []
    for shape in SHAPES:
        for statistic in STATISTICS:
            for runs in (5, 10, 20):
                rng = np.random.default_rng([runs, list(SHAPES).index(shape), list(STATISTICS).index(statistic)])
                found = measure(SHAPES[shape], STATISTICS[statistic], runs, trials, resamples, rng)
                rows.append({"shape": shape, "statistic": statistic, "runs": runs} | found)
                print(rows[-1], flush=True)
    table = {"trials": trials, "resamples": resamples, "level": 0.95, "shapes": MEANING, "rows": rows}
    body = ",\n".join("  " + json.dumps(row) for row in rows)
    head = json.dumps({k: v for k, v in table.items() if k != "rows"}, indent=1)[:-2]
    page = ROOT / "runs" / "reporting" / "page"
    page.mkdir(parents=True, exist_ok=True)
    (page / "coverage.json").write_text(f'{head},\n "rows": [\n{body}\n ]\n}}\n', encoding="utf-8")
    (ROOT / "docs" / "coverage.md").write_text(markdown(table), encoding="utf-8")


def markdown(table: dict[str, Any]) -> str:
    lines = [
        "# How often the intervals contain the true value",
        "",
        f"Each cell: the share of {table['trials']:,} simulated comparisons in which a 95% interval held the truth",
        f"(Monte-Carlo error about 0.003), with {table['resamples']:,} bootstrap resamples each. Made by",
        "`python -m tests.rl.measure_coverage`.",
        "",
        "- *interval*: of one agent, as the page shows it, a calibrated percentile bootstrap (`rl.stats.estimate`).",
        "- *plain*: the uncalibrated percentile bootstrap, for comparison; this is rliable's.",
        "- *difference*: of two agents with the same distribution (`rl.stats.difference`); verdicts use it.",
        "",
        "| scores | statistic | runs | interval | plain | difference |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in table["rows"]:
        shown = f"{row['interval']:.3f} | {row['percentile']:.3f} | {row['difference']:.3f}"
        lines.append(f"| {row['shape']} | {row['statistic']} | {row['runs']} | {shown} |")
    lines += ["", "Scores drawn from:", ""] + [f"- {name}: {meaning}" for name, meaning in table["shapes"].items()]
    lines += [
        "",
        "Verdicts use the interquartile mean. At ten runs, its intervals contain the truth in 95% of cases",
        "or more on all five shapes.",
        "The intervals of the mean miss the truth too often if the tail is heavy or one seed in ten collapses:",
        "a third of the samples of ten runs contain no collapse, and no interval can show what its sample lacks.",
        "Therefore read the single runs too.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
