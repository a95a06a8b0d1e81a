"""Typed values from the words of `--set`, and values as words."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from rl.errors import InputError
from rl.schedules import Ramp
from runs.settings.plain import PLAIN, Mismatch, describe, read, scalar, to_json


def parse(text: str, annotation: Any, field: str) -> Any:
    """`text` as a value of `annotation`. Raises `InputError` that names the field, the value and what was expected."""
    for meaning in _meanings(text.strip(), annotation in (Any, object)):
        with contextlib.suppress(Mismatch):
            return read(meaning, annotation, field)
    choices = [choice for m in _members(annotation) if get_origin(m) is Literal for choice in get_args(m)]
    near = difflib.get_close_matches(text, map(str, choices), n=1, cutoff=0.5)
    mend = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"{field}={text}: expected {describe(annotation)}{mend}")


def _meanings(text: str, untyped: bool) -> Iterator[Any]:
    """The plain JSON values that a text may stand for, the most special one first.

    untyped: an entry of an untyped dict, which takes the first meaning: a number, true, false, none, JSON, else text.
    """
    for reader in (_none, _bool, _number):
        yield from _readable(reader, text)
    value = next(_readable(json.loads, text), None)
    if untyped:
        yield text if value is None else value
        return
    if text.count(":") == 2:
        yield from _readable(_ramp, text)
    if isinstance(value, (dict, list)):
        yield value
    yield from _readable(_numbers, text)
    yield text
    yield text.strip("()").replace(" ", "").split("+")


def _readable(reader: Callable[[str], Any], text: str) -> Iterator[Any]:
    with contextlib.suppress(ValueError, RecursionError):
        yield reader(text)


def _none(text: str) -> None:
    if text.lower() not in ("none", "null"):
        raise ValueError


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _int(text: str) -> int:
    """`50000`, `50_000`, `5e4`."""
    try:
        return int(text)
    except ValueError:
        number = _float(text)
        if not number.is_integer():
            raise
        return int(number)


def _float(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError
    return number


def _number(text: str) -> int | float:
    try:
        return _int(text)
    except ValueError:
        return _float(text)


def _ramp(text: str) -> dict[str, float]:
    start, end, steps = text.split(":")
    return {"start": _float(start), "end": _float(end), "steps": _int(steps)}


def _numbers(text: str) -> list[int | float]:
    """`256x256`; `()` is the empty one."""
    text = text.strip("()").replace(" ", "")
    return [_number(item) for item in text.split("x")] if text else []


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def entry_type(annotation: Any) -> Any:
    """The value type of a `dict[str, V]` annotation, alone or in a union."""
    for member in _members(annotation):
        origin, args = get_origin(member), get_args(member)
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
            return args[1]
    return Any


def has_plain_choice(annotation: Any) -> bool:
    """Whether a field that holds a group can also be one plain value, such as None or a name."""
    return any(m in PLAIN or m is Ramp or get_origin(m) is Literal for m in _members(annotation))


def written(value: Any) -> str:
    """A value as one would type it after `FIELD=`, with lists as JSON."""
    if isinstance(value, Ramp):
        return f"{value.start}:{value.end}:{value.steps}"
    value = value.tolist() if hasattr(value, "tolist") else value
    return json.dumps(to_json(value)) if isinstance(value, (Mapping, list, tuple)) else scalar(value)


def shown(value: Any) -> str:
    """A value as `written`, with numbers joined by x."""
    if isinstance(value, tuple) and all(isinstance(item, (int, float)) for item in value):
        return "x".join(map(str, value)) or "()"
    return written(value)
