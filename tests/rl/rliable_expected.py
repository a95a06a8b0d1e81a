"""Writes data/rliable_expected.json: what rliable 1.2.0 says, for test_statistics.py. Not run by the tests.

rliable ships as a source distribution and needs old neighbours, so it stays out of the development environment:

    python -m venv /tmp/rliable && /tmp/rliable/bin/pip install "rliable==1.2.0" "arch<8" "pandas<3"
    /tmp/rliable/bin/python tests/rl/rliable_expected.py

rliable resamples with NumPy's global legacy generator, whose stream NumPy has frozen: the tests draw the same
resamples from `RandomState(seed)`.
"""

import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

HERE = Path(__file__).parent
REPS = 200
SEED = 7


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0.6, 0.3, (10, 3)).round(4)
    y = np.minimum(rng.exponential(0.5, (7, 3)), 1.0).round(4)  # ties at the ceiling
    one = np.minimum(500, rng.normal(480, 40, (5, 1))).round(2)
    taus = np.linspace(0, 1.2, 7)
    cases = {"x": x, "y": y, "one": one}
    functions = {
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
        "iqm": metrics.aggregate_iqm,
        "optimality_gap": metrics.aggregate_optimality_gap,
    }
    out: dict = {"rliable": "1.2.0", "reps": REPS, "seed": SEED, "taus": taus.tolist()}
    out["scores"] = {name: value.tolist() for name, value in cases.items()}
    out["points"] = {c: {f: float(g(v)) for f, g in functions.items()} for c, v in cases.items()}
    out["intervals"] = {}
    for c, v in cases.items():
        out["intervals"][c] = {}
        for f, g in functions.items():
            np.random.seed(SEED)  # noqa: NPY002
            _, interval = library.get_interval_estimates({"a": v}, lambda s, g=g: np.array([g(s)]), reps=REPS)
            out["intervals"][c][f] = interval["a"][:, 0].tolist()
    out["improvement"] = {
        "x over y": float(metrics.probability_of_improvement(x, y)),
        "y over x": float(metrics.probability_of_improvement(y, x)),
        "y over y": float(metrics.probability_of_improvement(y, y)),
    }
    np.random.seed(SEED)  # noqa: NPY002
    _, interval = library.get_interval_estimates(
        {"a": [x, y]}, lambda a, b: np.array([metrics.probability_of_improvement(a, b)]), reps=REPS
    )
    out["improvement interval"] = interval["a"][:, 0].tolist()
    np.random.seed(SEED)  # noqa: NPY002
    profile, band = library.create_performance_profile({"a": x}, taus, reps=REPS)
    out["profile"] = profile["a"].tolist()
    out["profile interval"] = band["a"].tolist()
    (HERE / "data" / "rliable_expected.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
