"""Configs as plain JSON values and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import agents
from rl.errors import InputError, unknown
from rl.schedules import Ramp
from runs.settings.text import _example, _rank, describe

T = TypeVar("T")


def _written(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, Ramp):
        return f"{value.start}:{value.end}:{value.steps}"
    if isinstance(value, tuple) and all(isinstance(item, (int, float)) for item in value):
        return "x".join(map(str, value)) or "()"
    return json.dumps(to_json(value)) if isinstance(value, (tuple, list, Mapping)) else _example(value)


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
    """Twelve hexadecimal digits of plain JSON: how results are tied to what made them."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def written(value: Any) -> str:
    """A value as one would type it after `FIELD=`."""
    if isinstance(value, Ramp):
        return f"{value.start}:{value.end}:{value.steps}"
    value = value.tolist() if hasattr(value, "tolist") else value
    return json.dumps(to_json(value)) if isinstance(value, Mapping | list | tuple) else str(value)


def from_json(cls: type[T], data: Any, where: str = "") -> T:
    """A `cls` from what `to_json` made. Raises `InputError` for unknown or missing fields and wrong types."""
    return _read(data, cls, where)


def _agent_name(config: Any) -> str | None:
    """The class attribute `name` of an agent's config, which is no field of it."""
    name = getattr(type(config), "name", None)
    is_field = any(f.name == "name" for f in dataclasses.fields(config))
    return name if isinstance(name, str) and not is_field else None


def _read(data: Any, annotation: Any, where: str) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _read_union(data, args, where)
    if annotation is Any or annotation is object:
        if isinstance(data, Mapping) and "name" in data:
            return _read_named(data, where)
        return data
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _read_dataclass(data, annotation, where)
    if origin is Literal:
        if data in args:
            return data
    elif origin is tuple:
        if isinstance(data, (list, tuple)):
            kinds = [args[0]] * len(data) if len(args) == 2 and args[1] is Ellipsis else list(args)
            if len(kinds) == len(data):
                return tuple(_read(item, kind, f"{where}[{i}]") for i, (item, kind) in enumerate(zip(data, kinds)))
    elif origin is list:
        if isinstance(data, list):
            return [_read(item, args[0], f"{where}[{i}]") for i, item in enumerate(data)]
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(data, Mapping):
            return {key: _read(value, args[1], f"{where}.{key}") for key, value in data.items()}
    elif annotation in (None, type(None)):
        if data is None:
            return None
    elif annotation is float:
        if isinstance(data, (int, float)) and not isinstance(data, bool):
            return float(data)
    elif annotation is int:
        if isinstance(data, int) and not isinstance(data, bool):
            return data
    elif annotation in (bool, str, dict, list):
        if isinstance(data, annotation):
            return data
    elif annotation is pathlib.Path:
        return pathlib.Path(data)
    elif isinstance(annotation, type) and isinstance(data, Mapping) and "name" in data:  # a base class or protocol
        return _read_named(data, where)
    raise InputError(f"{where or 'value'}={data!r}: expected {describe(annotation)}")


def _read_union(data: Any, members: tuple[Any, ...], where: str) -> Any:
    problem: InputError | None = None
    exact = [m for m in members if isinstance(m, type) and type(data) is m]
    for member in [*exact, *sorted((m for m in members if m not in exact), key=_rank)]:
        try:
            return _read(data, member, where)
        except InputError as error:
            # The complaint of the member that the data was meant for: an object for a dataclass, a name for a choice.
            if problem is None or (isinstance(data, Mapping) and dataclasses.is_dataclass(member)):
                problem = error
    if problem is not None and isinstance(data, Mapping):
        raise problem
    raise InputError(f"{where or 'value'}={data!r}: expected {' or '.join(describe(m) for m in members)}")


def _read_dataclass(data: Any, cls: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise InputError(f"{where or cls.__name__}={data!r}: expected an object with the fields of {cls.__name__}")
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
    return cls(**{key: _read(value, hints[key], prefix + key) for key, value in given.items()})


def _read_named(data: Mapping[str, Any], where: str) -> Any:
    return _read_dataclass(data, agents.load(data["name"]).Config, where)
