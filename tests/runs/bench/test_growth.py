"""The page on growth shows the recorded measurements, and the exponents are those of the points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runs.bench import growth

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_has_the_recorded_numbers() -> None:
    result = json.loads((ROOT / "runs/results/growth/2026-11-29.json").read_text())
    assert growth.table(result) in (ROOT / "docs/growth.md").read_text() and result["machine"]["processor"]


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_is_the_power_of_the_larger_half(power: float) -> None:
    points = [growth.point(x, {"s": 7.0 * x**power if x > 4 else 1e-9}, 5) for x in (1, 4, 16, 64, 256)]
    assert growth.slope(points[1:], lambda p: p["times"]["s"] if p["x"] > 4 else 7.0 * 4**power) == pytest.approx(power)
    assert growth.slope(points, lambda p: p["bytes"] - 5) is None


def test_each_measurement_gives_positive_times_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "seconds", lambda call, least=0.0: call() is not None or 1.0)
    found = [
        next(growth.rows(True, (1_000,))),
        next(growth.widths((8,))),
        next(growth.environments("CartPole-v1", (2,))),
    ]
    assert [p["x"] for p in found] == [1_000, 8, 2]
    assert all(min(p["times"].values()) > 0 for p in found) and found[0]["bytes"] > 0
