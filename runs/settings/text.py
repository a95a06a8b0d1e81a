"""Typed values from the words of `--set`."""

from __future__ import annotations

import difflib
import json
import math
import pathlib
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from rl.errors import InputError
from rl.schedules import Ramp


def _parse(text: str, annotation: Any, field: str) -> Any:
    """`text` as a value of `annotation`. Raises `InputError`: field, value, expected."""
    try:
        return _value(text.strip(), annotation)
    except _NoFit:
        pass
    choices = _choices(annotation)
    near = difflib.get_close_matches(text, map(str, choices), n=1, cutoff=0.5)
    mend = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"{field}={text}: expected {describe(annotation)}{mend}")


class _NoFit(Exception):
    """The text is no value of the annotation."""


def _value(text: str, annotation: Any) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        # None before numbers, numbers before text: "none" is None for `str | None`, "3" a number for `int | str`.
        for member in sorted(args, key=_rank):
            try:
                return _value(text, member)
            except _NoFit:
                continue
        raise _NoFit
    if origin is Literal:
        for choice in args:
            if text == str(choice) or (isinstance(choice, bool) and text.lower() == str(choice).lower()):
                return choice
        if None in args and text.lower() in ("none", "null"):
            return None
        raise _NoFit
    if origin is tuple:
        return _tuple(text, args)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _json(text, dict)
    if origin is list:
        return _json(text, list)
    reader = _READERS.get(annotation)
    if reader is None:
        raise _NoFit
    return reader(text)


def _rank(annotation: Any) -> int:
    order = [type(None), bool, int, float, Ramp]
    if annotation in order:
        return order.index(annotation)
    return 9 if annotation in (str, Any) else 6


def _none(text: str) -> None:
    if text.lower() not in ("none", "null"):
        raise _NoFit


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _NoFit
    return text.lower() == "true"


def _int(text: str) -> int:
    """`50000`, `50_000`, `5e4`."""
    try:
        return int(text)
    except ValueError:
        number = _float(text)
        if not number.is_integer():
            raise _NoFit from None
        return int(number)


def _float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _NoFit from None
    if not math.isfinite(number):
        raise _NoFit
    return number


def _ramp(text: str) -> Ramp:
    parts = text.split(":")
    if len(parts) != 3:
        raise _NoFit
    return Ramp(_float(parts[0]), _float(parts[1]), _int(parts[2]))


def _tuple(text: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`256x256`, or as JSON `[[32, 8, 4], [64, 4, 2]]`; `()` is the empty one."""
    if text in ("", "()", "[]"):
        items: list[str] = []
    elif text.startswith("["):
        items = [item if isinstance(item, str) else json.dumps(item) for item in _json(text, list)]
    else:
        items = text.strip("()").replace(" ", "").split("+" if args[:1] == (str,) else "x")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_value(item, args[0]) for item in items)
    if len(items) != len(args):
        raise _NoFit
    return tuple(_value(item, kind) for item, kind in zip(items, args))


def _json(text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        raise _NoFit from None
    if not isinstance(value, kind):
        raise _NoFit
    return value


def _anything(text: str) -> Any:
    """An entry of an untyped dict: a number, true, false, none, JSON, else the text itself."""
    for reader in (_none, _bool, _int, _float):
        try:
            return reader(text)
        except _NoFit:
            continue
    try:
        return json.loads(text)
    except ValueError:
        return text


_READERS: dict[Any, Callable[[str], Any]] = {
    type(None): _none,
    None: _none,
    bool: _bool,
    int: _int,
    float: _float,
    str: str,
    Ramp: _ramp,
    Any: _anything,
    object: _anything,
    dict: lambda text: _json(text, dict),
    pathlib.Path: pathlib.Path,
}


def _entry_type(annotation: Any) -> Any:
    """The value type of a `dict[str, V]` annotation, alone or in a union."""
    for member in get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,):
        origin, args = get_origin(member), get_args(member)
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
            return args[1]
    return Any


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _choices(annotation: Any) -> list[Any]:
    return [choice for member in _members(annotation) if get_origin(member) is Literal for choice in get_args(member)]


def _has_plain_choice(annotation: Any) -> bool:
    """Whether a field that holds a group can also be one plain value, such as None or a name."""
    return any(m in _READERS or get_origin(m) is Literal for m in _members(annotation) if m is not Any)


def describe(annotation: Any) -> str:
    """What an annotation accepts, in words."""
    names = {
        type(None): "none",
        bool: "true or false",
        int: "a whole number",
        float: "a finite number",
        str: "text",
        Ramp: "a schedule start:end:steps such as 1.0:0.05:20000",
        dict: "a JSON object",
        pathlib.Path: "a path",
    }
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in names:
        return names[annotation]
    if origin in (Union, types.UnionType):
        return " or ".join(describe(member) for member in args)
    if origin is Literal:
        return f"one of {', '.join(_example(choice) for choice in args)}"
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return (
                "numbers joined by x, such as 256x256"
                if args[0] in (int, float)
                else f"a list, each {describe(args[0])}"
            )
        return f"{len(args)} values joined by x"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a JSON object"
    return getattr(annotation, "__name__", str(annotation))


def _example(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
