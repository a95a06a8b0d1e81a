"""Ranges and choices that config fields declare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from rl.errors import InputError
from rl.fields import at_least, check_fields, finite_cost, fraction, not_negative, positive, positive_or_none, within
from rl.schedules import Ramp


@dataclass(frozen=True)
class Config:
    steps: int = at_least(1, 3)
    hidden: int | None = at_least(1, None)
    gamma: float | Ramp = fraction(0.9)
    lr: float | Ramp = positive(0.1)
    clip: float | None = positive_or_none(1.0)
    sigma: float = not_negative(0.0)
    cost: float | Ramp = finite_cost(0.0)
    tau: float = within(1.0, lambda x: 0 < x <= 1, "lie in (0, 1]", why=": it would not move")
    store: Literal["auto", "raw"] = "auto"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Other(Config):
    steps: int = 5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"hidden": 0}, "hidden must be at least 1 or none, got 0"),
        ({"gamma": 1.5}, "gamma must lie in [0, 1], got 1.5"),
        ({"gamma": Ramp(0.5, 1.5, 9)}, "gamma must lie in [0, 1], got Ramp(start=0.5, end=1.5, steps=9)"),
        ({"lr": Ramp(0.0, 0.0, 9)}, "lr must be above 0 and finite, got Ramp(start=0.0, end=0.0, steps=9)"),
        ({"lr": Ramp(0.1, -0.1, 9)}, "lr must be above 0 and finite, got Ramp(start=0.1, end=-0.1, steps=9)"),
        ({"lr": float("nan")}, "lr must be above 0 and finite, got nan"),
        ({"clip": 0.0}, "clip must be above 0 or none, got 0.0"),
        ({"sigma": -1.0}, "sigma must not be negative, got -1.0"),
        ({"cost": float("inf")}, "cost must be 0 or more and finite, got inf"),
        ({"tau": 0.0}, "tau must lie in (0, 1], got 0.0: it would not move"),
        ({"store": "zip"}, "unknown store 'zip': known: auto, raw"),
        ({"store": "rae"}, "unknown store 'rae': did you mean 'raw'?"),
    ],
)
@pytest.mark.parametrize("kind", [Config, Other])
def test_a_value_outside_its_range_is_named(kind: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        kind(**given)
    assert str(error.value) == words


def test_values_inside_their_ranges_pass() -> None:
    Config(hidden=None, clip=None, lr=Ramp(0.1, 0.0, 9), gamma=Ramp(0.0, 1.0, 9), steps=1)
    assert Other().steps == 5
