"""Numbers that change with the step. A schedule is a value, never a string that is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from rl.errors import InputError


@dataclass(frozen=True)
class Ramp:
    """Linear from `start` to `end` over `steps` counted steps, then constant. Written `1.0:0.05:20000`."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"a ramp's steps must be at least 1, got {self.steps}")

    def at(self, step: int) -> float:
        fraction = min(1.0, max(0.0, step / self.steps))
        return self.start + fraction * (self.end - self.start)


def value_at(value: float | Ramp, step: int) -> float:
    """The value of a number or schedule at `step`."""
    return value.at(step) if isinstance(value, Ramp) else float(value)


def crossed(before: int, now: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, now]; it works for any number of environments."""
    return every > 0 and now // every > before // every
