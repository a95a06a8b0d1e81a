"""Configs as plain JSON values and back.

Not pydantic: it ignores unknown fields unless each of the 38 config classes says otherwise, takes `true` and "0.1" for
a number, and reports four lines for each member of a union, so that its errors would be translated one by one.
Importing it takes 120 ms, and building the reader of DQN's config 70 ms; `from_json` reads a whole run in 10 ms.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import agents
from rl.errors import InputError, unknown
from rl.schedules import Ramp

T = TypeVar("T")

PLAIN = (type(None), bool, int, float, str, list, dict)
"""The types of JSON values."""


class Mismatch(InputError):
    """A value is not of the type that its field takes."""


def to_json(config: Any) -> Any:
    """`config` as plain JSON values: dataclasses become objects, tuples lists.

    An agent's config carries the agent's name as "name", so that `from_json` finds its class again.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        name = _agent_name(config)
        fields = {f.name: to_json(getattr(config, f.name)) for f in dataclasses.fields(config) if f.init}
        return {"name": name, **fields} if name else fields
    if isinstance(config, Mapping):
        return {str(key): to_json(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_json(item) for item in config]
    if isinstance(config, pathlib.PurePath):
        return str(config)
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    if hasattr(config, "item"):  # a NumPy scalar
        return config.item()
    raise TypeError(f"{type(config).__name__} is no plain value: {config!r}")


def digest(value: Any) -> str:
    """Twelve hexadecimal digits of plain JSON, which tie a result to the settings that it was made with."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def from_json(cls: type[T], data: Any) -> T:
    """A `cls` from what `to_json` made. Raises `InputError` for unknown or missing fields and wrong types."""
    return typing.cast(T, read(data, cls, ""))


def read(data: Any, annotation: Any, where: str) -> Any:
    """Plain JSON as a value of `annotation`. Raises `Mismatch`, which names the field `where`, the value and the type.

    A config's own complaint, and an unknown or missing field, is another `InputError`.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    kind = type(None) if annotation is None else origin or annotation
    if kind in (Union, types.UnionType):
        return _read_union(data, args, where)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(data, kind, where)
    if kind in (Any, object):
        return _read_named(data, where) if isinstance(data, Mapping) and "name" in data else data
    if kind is Literal:
        if any(type(data) is type(choice) and data == choice for choice in args):
            return data
    elif kind is tuple:
        kinds = args[:1] * len(data) if args[1:] == (Ellipsis,) and isinstance(data, Sequence) else args
        if isinstance(data, (list, tuple)) and len(kinds) == len(data):
            return tuple(read(item, member, f"{where}[{i}]") for i, (item, member) in enumerate(zip(data, kinds)))
    elif kind is list and args:
        if isinstance(data, list):
            return [read(item, args[0], f"{where}[{i}]") for i, item in enumerate(data)]
    elif origin and issubclass(origin, Mapping):
        if isinstance(data, Mapping):
            of = args[1]
            return {key: value if of is Any else read(value, of, f"{where}.{key}") for key, value in data.items()}
    elif kind is pathlib.Path:
        if isinstance(data, str):
            return pathlib.Path(data)
    elif kind is float and type(data) is int:
        return float(data)
    elif kind in PLAIN:
        if type(data) is kind:
            return data
    elif isinstance(kind, type) and isinstance(data, Mapping) and "name" in data:  # a base class or protocol
        return _read_named(data, where)
    raise Mismatch(f"{where or 'value'}={data!r}: expected {describe(annotation)}")


def _read_union(data: Any, members: tuple[Any, ...], where: str) -> Any:
    problem: InputError | None = None
    exact = [m for m in members if isinstance(m, type) and type(data) is m]
    for member in [*exact, *sorted((m for m in members if m not in exact), key=_rank)]:
        try:
            return read(data, member, where)
        except InputError as error:
            # The complaint of the member that the data was meant for: an object for a dataclass, a name for a choice.
            if problem is None or (isinstance(data, Mapping) and dataclasses.is_dataclass(member)):
                problem = error
    if problem is not None and isinstance(data, Mapping):
        raise problem
    raise Mismatch(f"{where or 'value'}={data!r}: expected {' or '.join(describe(m) for m in members)}")


def _rank(annotation: Any) -> int:
    """None before numbers and numbers before text, so that 3 is a number for `str | float`."""
    order = [type(None), bool, int, float, Ramp]
    if annotation in order:
        return order.index(annotation)
    return 9 if annotation in (str, Any) else 6


def _read_dataclass(data: Any, cls: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise Mismatch(f"{where or cls.__name__}={data!r}: expected an object with the fields of {cls.__name__}")
    prefix = f"{where}." if where else ""
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    given = {key: value for key, value in data.items() if not (key == "name" and "name" not in fields)}
    named = data.get("name") if "name" not in fields else None
    if named not in (None, getattr(cls, "name", None)):  # an agent's config where the annotation is its base class
        return _read_dataclass(given, agents.load(named).Config, where)
    for key in given:
        if key not in fields:
            raise unknown("field", prefix + key, [prefix + name for name in fields])
    for name, f in fields.items():
        if name not in given and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise InputError(f"the field {prefix + name} is missing")
    hints = typing.get_type_hints(cls)
    return cls(**{key: read(value, hints[key], prefix + key) for key, value in given.items()})


def _read_named(data: Mapping[str, Any], where: str) -> Any:
    return _read_dataclass(data, agents.load(data["name"]).Config, where)


def _agent_name(config: Any) -> str | None:
    """The class attribute `name` of an agent's config, which is no field of it."""
    name = getattr(type(config), "name", None)
    is_field = any(f.name == "name" for f in dataclasses.fields(config))
    return name if isinstance(name, str) and not is_field else None


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
        return f"one of {', '.join(scalar(choice) for choice in args)}"
    if origin is tuple and args[1:] != (Ellipsis,):
        return f"{len(args)} values joined by x"
    if origin is tuple:
        numbers = args[0] in (int, float)
        return "numbers joined by x, such as 256x256" if numbers else f"a list, each {describe(args[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a JSON object"
    return getattr(annotation, "__name__", str(annotation))


def scalar(value: Any) -> str:
    """A plain value as it is typed: true, false and none in lower case."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
