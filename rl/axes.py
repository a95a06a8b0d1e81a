"""The search space of `rl tune`: a table beside a config's fields, from a field's name to the values worth trying.

    SPACE: ClassVar[dict[str, Axis]] = {**DQNConfig.SPACE, "my_rate": rate(1e-4, 1e-1)}

A name may be dotted (`net.hidden`, `epsilon.steps`). The search moves along a coordinate, which need not be the field's
value itself: 1 - gamma, or a schedule's length as a share of the budget.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from rl.schedules import Ramp


@dataclass(frozen=True)
class Axis:
    """One dimension of the search."""

    kind: Literal["rate", "complement", "size", "share", "number", "left", "choice"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()
    """Of a choice: the field's values as words for `--set`."""

    def coordinate(self, value: Any, steps: int) -> float | None:
        """Where a field's value lies on this axis in a run of `steps` steps; None if it lies on no such axis."""
        if self.kind == "rate" and type(value) in (int, float) and value == 0:
            return self.low  # off, which is as good as the lowest rate
        if self.kind == "left":
            value = max(value.end / value.start, self.low) if isinstance(value, Ramp) else 1.0
        value = value.start if isinstance(value, Ramp) else value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        found = {"complement": 1 - value, "share": value / steps}.get(self.kind, value)
        return None if self.kind != "number" and found <= 0 else float(f"{found:.6g}")

    def value(self, coordinate: float, before: Any, steps: int) -> Any:
        """The field's value at `coordinate`, with three digits. A schedule keeps its shape and starts there."""
        short = float(f"{coordinate:.3g}")
        if self.kind == "left":
            start, length = (before.start, before.steps) if isinstance(before, Ramp) else (before, steps)
            return start if short == 1 else Ramp(start, float(f"{start * short:.3g}"), length)
        if isinstance(before, Ramp):
            return dataclasses.replace(before, start=short, end=float(f"{before.end * short / before.start:.3g}"))
        if self.kind == "complement":
            return round(1 - short, 8)
        return max(1, round(short * (steps if self.kind == "share" else 1))) if self.kind in WHOLE else short


WHOLE = ("size", "share")
"""The kinds whose fields are whole numbers."""


def rate(low: float, high: float) -> Axis:
    """Log-uniform: learning rates, costs, target_tau. A schedule is scaled as a whole."""
    return Axis("rate", low, high)


def complement(low: float, high: float) -> Axis:
    """1 - value is log-uniform in [low, high]: gamma and lambda."""
    return Axis("complement", low, high)


def size(low: int, high: int) -> Axis:
    """Log-uniform whole numbers: batches, intervals."""
    return Axis("size", low, high)


def share(low: float, high: float) -> Axis:
    """Whole numbers of steps, log-uniform as a share of the run's budget: the length of a schedule."""
    return Axis("share", low, high)


def left(low: float) -> Axis:
    """The share of a rate that is left at the end of the run's budget, log-uniform in [low, 1]; 1 keeps it constant.

    Named `rate.end`, after the axis of the rate itself: `{"lr": rate(1e-5, 1e-2), "lr.end": left(0.01)}`.
    """
    return Axis("left", low, 1.0)


def number(low: float, high: float) -> Axis:
    """Uniform."""
    return Axis("number", low, high)


def choice(*words: str) -> Axis:
    """One of some values, as words for `--set`."""
    return Axis("choice", choices=words)
