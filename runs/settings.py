"""From text to typed fields and back: `--set agent.lr=3e-4`, and run.json.

Works on any tree of frozen dataclasses. What a field accepts is read off its annotation; ranges and combinations are
checked by the dataclass itself when the changed tree is built.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import itertools
import json
import math
import pathlib
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import agents
from rl.errors import InputError, unknown
from rl.schedules import Ramp

T = TypeVar("T")

ALIASES = {"run.": "", "env.": "env_config."}
"""What users may write in front of a field: `run.seed` is the run's own, `env.frame_skip` the environment config's."""


def apply_settings(config: T, settings: Iterable[str]) -> T:
    """A copy of `config` with every `FIELD=VALUE` of `settings` in its place.

    FIELD is dotted (`agent.lr`) or bare where only one field of the tree has that name. All changes are made at once,
    so that fields which constrain each other can be set together. Raises `InputError` naming the field, the value and
    what was expected.
    """
    fields = _fields(config)
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InputError(f"--set {setting}: write FIELD=VALUE, such as agent.lr=3e-4")
        path, key = _find(name, fields)
        annotation, value = fields[path]
        if key:  # one entry of a dict-valued field
            if not isinstance(changes.get(path, value), Mapping):
                raise InputError(f"--set {setting}: {path} is {value!r}, which has no entries")
            changes[path] = {**changes.get(path, value), key: _parse(text, _entry_type(annotation), f"{path}.{key}")}
        elif _group(value) and not _has_plain_choice(annotation):
            inner, held = next((p, v) for p, (_, v) in fields.items() if p.startswith(path + ".") and not _group(v))
            raise InputError(f"{path} is a group of fields: set one of them, such as {inner}={_example(held)}")
        else:
            changes[path] = _parse(text, annotation, path)
    new = _rebuild(config, changes, "")
    _refuse_idle(new, changes)
    return new


def _refuse_idle(config: Any, changes: Iterable[str]) -> None:
    """Raises InputError for a changed field that means nothing because the switch beside it (`SWITCHES`) is off."""
    for path in changes:
        owner = config
        *groups, name = path.split(".")
        for group in groups:
            owner = getattr(owner, group)
        switch = getattr(owner, "SWITCHES", {}).get(name)
        if switch is None or getattr(owner, switch) not in (False, "none"):
            continue
        default = next(f.default for f in dataclasses.fields(owner) if f.name == name)
        if getattr(owner, name) != default:
            beside = ".".join([*groups, switch])
            raise InputError(f"{path} has no effect while {beside} is {_example(getattr(owner, switch))}: set both")


def differences(config: Any, other: Any) -> dict[str, tuple[str, str]]:
    """Dotted name -> both values in words, of each field in which two configs differ; "-" where one lacks the field."""
    both = [{path: _written(v) for path, (_, v) in _fields(c).items() if not _group(v)} for c in (config, other)]
    pairs = {path: (both[0].get(path, "-"), both[1].get(path, "-")) for path in {**both[0], **both[1]}}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def field_names(config: Any) -> list[str]:
    """The dotted name of every field that `--set` can change."""
    return list(_fields(config))


def explain(config: Any, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Dotted name -> `value` and `accepts`, as words for `--set`, and `meaning`, the text below the field in its class.

    Groups are left out, what they hold is in.
    """
    said: dict[str, dict[str, Any]] = {}
    hints, texts = typing.get_type_hints(type(config)), _texts(type(config))
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if _group(value):
            said |= explain(value, f"{prefix}{f.name}.")
        elif f.init:
            meaning = " ".join(texts.get(f.name, "").split())
            said[prefix + f.name] = {"value": _written(value), "accepts": describe(hints[f.name]), "meaning": meaning}
    return said


def _texts(cls: type) -> dict[str, str]:
    """The string below each field of a class and of those it inherits from, where their source is at hand."""
    texts: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        except (OSError, TypeError, SyntaxError):  # built in, or written at a prompt
            continue
        body = getattr(tree.body[0], "body", [])
        for field, below in itertools.pairwise(body):
            words = getattr(below, "value", None)
            if isinstance(field, ast.AnnAssign) and isinstance(words, ast.Constant) and isinstance(words.value, str):
                texts[ast.unparse(field.target)] = words.value
    return texts


def _written(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, Ramp):
        return f"{value.start}:{value.end}:{value.steps}"
    if isinstance(value, tuple) and all(isinstance(item, (int, float)) for item in value):
        return "x".join(map(str, value)) or "()"
    return json.dumps(to_json(value)) if isinstance(value, (tuple, list, Mapping)) else _example(value)


def _group(value: Any) -> bool:
    """Whether a field holds fields of its own; a schedule is one value."""
    return dataclasses.is_dataclass(value) and not isinstance(value, (type, Ramp))


def _fields(config: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """dotted name -> (annotation, present value), groups before what they hold."""
    found: dict[str, tuple[Any, Any]] = {}
    hints = typing.get_type_hints(type(config))
    for f in dataclasses.fields(config):
        if not f.init:
            continue
        value = getattr(config, f.name)
        found[prefix + f.name] = (hints[f.name], value)
        if _group(value):
            found.update(_fields(value, f"{prefix}{f.name}."))
    return found


def _find(name: str, fields: Mapping[str, tuple[Any, Any]]) -> tuple[str, str]:
    """The full name of the field that `name` means, and the key where it is an entry of a dict-valued field."""
    full = next((to + name.removeprefix(short) for short, to in ALIASES.items() if name.startswith(short)), name)
    for candidate in (name, full):
        if candidate in fields:
            return candidate, ""
    ends = [path for path in fields if path.endswith("." + full)]
    if len(ends) == 1:
        return ends[0], ""
    if ends:
        raise InputError(f"field {name!r} is ambiguous: write one of {', '.join(ends)}")
    if "." in full:
        head, key = full.rsplit(".", 1)
        owners = [path for path in fields if path == head or path.endswith("." + head)]
        if len(owners) == 1 and isinstance(fields[owners[0]][1], Mapping):
            return owners[0], key
    raise _unknown_field(name, fields)


SB3 = {
    "learning_rate": ("lr",),
    "n_steps": ("rollout", "n_step"),
    "n_epochs": ("epochs",),
    "ent_coef": ("entropy_cost",),
    "vf_coef": ("value_cost",),
    "clip_range": ("clip",),
    "tau": ("target_tau",),
    "target_update_interval": ("target_every",),
    "train_freq": ("update_every",),
    "gradient_steps": ("replay_ratio",),
    "exploration_fraction": ("epsilon",),
    "exploration_initial_eps": ("epsilon",),
    "exploration_final_eps": ("epsilon",),
}
"""What Stable-Baselines3 calls a field -> what agents call it here."""


def _unknown_field(name: str, fields: Iterable[str]) -> InputError:
    """Nearest by the whole name first, then by its last part: `agent.lrr` and `lrr` both find `agent.lr`.

    The field of another agent is called that, not a misspelling.
    """
    fields = list(fields)
    last = name.rsplit(".", 1)[-1]
    owners = [a for a in agents.REGISTRY if any(f.name == last for f in dataclasses.fields(agents.load(a).Config))]
    if here := [ours for ours in SB3.get(last, ()) if f"agent.{ours}" in fields]:
        told = " or ".join(f"agent.{ours}" for ours in here)
        return InputError(f"unknown field {name!r}: what SB3 calls so is {told} here")
    if owners and "agent" in fields and name.rpartition(".")[0] in ("", "agent"):
        return InputError(f"unknown field {name!r} of this agent: it belongs to {', '.join(owners)}")
    tails = {path.rsplit(".", 1)[-1]: path for path in reversed(fields)}
    near = difflib.get_close_matches(name, fields, n=1, cutoff=0.7)
    near = near or [tails[t] for t in difflib.get_close_matches(last, tails, n=1, cutoff=0.6)]
    mend = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
    return InputError(f"unknown field {name!r}: {mend}")


def _rebuild(config: Any, changes: Mapping[str, Any], prefix: str) -> Any:
    new: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        path = prefix + f.name
        value = getattr(config, f.name)
        if path in changes:
            new[f.name] = changes[path]
        elif any(changed.startswith(path + ".") for changed in changes):
            new[f.name] = _rebuild(value, changes, path + ".")
    try:
        return dataclasses.replace(config, **new)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"{', '.join(f'{prefix}{k}={v!r}' for k, v in new.items())}: {error}") from error


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
