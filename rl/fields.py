"""Ranges and choices of config fields, declared with the field and checked in one place.

    @dataclass(frozen=True)
    class Config:
        n_step: int = at_least(1, 3)
        gamma: float = fraction(0.99)

        def __post_init__(self) -> None:
            check_fields(self)

Both ends of a schedule (`Ramp`) must lie in the range. A subclass that gives a field another default inherits the
range. A field annotated as a `Literal` must have one of its values.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from rl.errors import InputError, unknown
from rl.schedules import Ramp


class Range(NamedTuple):
    """The values that a field may have."""

    holds: Callable[[Any], bool]
    words: str
    """The rest of the sentence "n_step must ..."."""
    one_end: bool = False
    """Whether one end of a schedule may be 0 although 0 is outside the range."""
    why: str = ""
    """Words after the value that explain the range."""


def check_fields(config: Any) -> None:
    """Raises `InputError`, such as "n_step must be at least 1, got 0", for the first field with a wrong value."""
    kind: Any = type(config)
    choices = _choices(kind)
    for field in dataclasses.fields(config):
        limits = _range(kind, field.name)
        value = getattr(config, field.name)
        if value not in choices.get(field.name, (value,)):
            raise unknown(field.name, str(value), choices[field.name])
        if limits is None:
            continue
        ends = (value.start, value.end) if isinstance(value, Ramp) else (value,)
        good = map(limits.holds, ends)
        if not (any(good) and min(ends) >= 0 and math.isfinite(sum(ends)) if limits.one_end else all(good)):
            raise InputError(f"{field.name} must {limits.words}, got {value}{limits.why}")


def at_least(least: int, default: Any) -> Any:
    """At least `least`; also None if that is the default."""
    if default is None:
        return _field(default, lambda x: x is None or x >= least, f"be at least {least} or none")
    return _field(default, lambda x: x >= least, f"be at least {least}")


def fraction(default: Any) -> Any:
    """In [0, 1]."""
    return _field(default, lambda x: 0 <= x <= 1, "lie in [0, 1]")


def positive(default: Any) -> Any:
    """Above 0 and finite; one end of a schedule may be 0."""
    return _field(default, lambda x: x > 0 and math.isfinite(x), "be above 0 and finite", one_end=True)


def positive_or_none(default: Any) -> Any:
    return _field(default, lambda x: x is None or x > 0, "be above 0 or none")


def not_negative(default: Any) -> Any:
    return _field(default, lambda x: x >= 0, "not be negative")


def finite_cost(default: Any) -> Any:
    return _field(default, lambda x: x >= 0 and math.isfinite(x), "be 0 or more and finite")


def within(default: Any, holds: Callable[[Any], bool], words: str, why: str = "") -> Any:
    """Any other range: the words that follow "must", and the words after the value that explain it."""
    return _field(default, holds, words, why=why)


def _field(default: Any, *limits: Any, **more: Any) -> Any:
    return dataclasses.field(default=default, metadata={"range": Range(*limits, **more)})


def _range(kind: type, name: str) -> Range | None:
    for base in kind.__mro__:
        field = vars(base).get("__dataclass_fields__", {}).get(name)
        if field is not None and "range" in field.metadata:
            found: Range = field.metadata["range"]
            return found
    return None


@functools.cache
def _choices(kind: type) -> dict[str, tuple[str, ...]]:
    """The values of each field that is a `Literal`."""
    return {name: get_args(hint) for name, hint in get_type_hints(kind).items() if get_origin(hint) is Literal}
