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
import textwrap
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import agents
from rl.errors import InputError
from rl.schedules import Ramp
from runs.settings.plain import describe, scalar
from runs.settings.text import entry_type, has_plain_choice, parse, shown

T = TypeVar("T")


ALIASES = {"run.": "", "env.": "env_config."}
"""What users may write in front of a field: `run.seed` is the run's own, `env.frame_skip` the environment config's."""


def apply_settings(config: T, settings: Iterable[str]) -> T:
    """A copy of `config` with every `FIELD=VALUE` of `settings`.

    FIELD is dotted (`agent.lr`), or bare if only one field of the tree has that name. All changes are made at once, so
    that fields which constrain each other can be set together. Raises `InputError` that names the field, the value and
    what was expected.
    """
    settings = list(settings)
    if not settings:  # a comparison asks for every recipe, as it stands, for each of its trainings
        return config
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
            changes[path] = {**changes.get(path, value), key: parse(text, entry_type(annotation), f"{path}.{key}")}
        elif _group(value) and not has_plain_choice(annotation):
            inner, held = next((p, v) for p, (_, v) in fields.items() if p.startswith(path + ".") and not _group(v))
            raise InputError(f"{path} is a group of fields: set one of them, such as {inner}={scalar(held)}")
        else:
            changes[path] = parse(text, annotation, path)
    new = _rebuild(config, changes, "")
    _refuse_idle(new, changes)
    return new


def _refuse_idle(config: Any, changes: Iterable[str]) -> None:
    """Raises InputError for a changed field that has no effect because of the switch beside it (`SWITCHES`).

    `name: "switch"` needs the switch on, `name: "not switch"` needs it off. False, none and 1 are off.
    """
    for path in changes:
        owner = config
        *groups, name = path.split(".")
        for group in groups:
            owner = getattr(owner, group)
        switch = getattr(owner, "SWITCHES", {}).get(name)
        if switch is None:
            continue
        beside = switch.removeprefix("not ")
        value = getattr(owner, beside)
        off = value is None or value is False or value == "none" or (type(value) is int and value == 1)
        default = next(f.default for f in dataclasses.fields(owner) if f.name == name)
        if off == switch.startswith("not ") or getattr(owner, name) == default:
            continue
        mend = "set both" if off else "leave one out"
        raise InputError(f"{path} has no effect while {'.'.join([*groups, beside])} is {scalar(value)}: {mend}")


def differences(config: Any, other: Any) -> dict[str, tuple[str, str]]:
    """Dotted name -> both values in words, of each field in which two configs differ; "-" if one lacks the field."""
    both = [{path: shown(v) for path, (_, v) in _fields(c).items() if not _group(v)} for c in (config, other)]
    pairs = {path: (both[0].get(path, "-"), both[1].get(path, "-")) for path in {**both[0], **both[1]}}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def field_names(config: Any) -> list[str]:
    """The dotted name of every field that `--set` can change."""
    return list(_fields(config))


def explain(config: Any, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Dotted name -> `value` and `accepts`, as words for `--set`, and `meaning`, the text below the field in its class.

    Groups are left out, their fields are included.
    """
    found: dict[str, dict[str, Any]] = {}
    hints, texts = typing.get_type_hints(type(config)), _texts(type(config))
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if _group(value):
            found |= explain(value, f"{prefix}{f.name}.")
        elif f.init:
            meaning = " ".join(texts.get(f.name, "").split())
            found[prefix + f.name] = {"value": shown(value), "accepts": describe(hints[f.name]), "meaning": meaning}
    return found


def _texts(cls: type) -> dict[str, str]:
    """The string below each field of a class and of its base classes, as far as their source can be read."""
    texts: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        except (OSError, TypeError, SyntaxError):  # built in, or written at a prompt
            continue
        body = getattr(tree.body[0], "body", [])
        for field, below in itertools.pairwise(body):
            words = below.value if isinstance(below, ast.Expr) else None  # not the default of the next field
            if isinstance(field, ast.AnnAssign) and isinstance(words, ast.Constant) and isinstance(words.value, str):
                texts[ast.unparse(field.target)] = words.value
    return texts


def _group(value: Any) -> bool:
    """Whether a field holds fields of its own; a schedule is one value."""
    return dataclasses.is_dataclass(value) and not isinstance(value, (type, Ramp))


def _fields(config: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted name -> (annotation, value), groups before their own fields."""
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
    """The full name of the field that `name` means, and the key if it is an entry of a dict-valued field."""
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
    raise _unknown_field(name, full, fields)


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
"""Stable-Baselines3's name of a field -> our names."""


def _unknown_field(name: str, full: str, known: Mapping[str, tuple[Any, Any]]) -> InputError:
    """The error for an unknown name: it may be SB3's name, a field of another agent, or a misspelling.

    full: the name without abbreviations (`ALIASES`).
    The nearest name is searched by the whole name, then by its last part: `agent.lrr` and `lrr` both find `agent.lr`.
    Entries of dict-valued fields count too: `self_play` finds `env_config.options.self_play` if the recipe sets that.
    """
    entries = [f"{path}.{key}" for path, (_, value) in known.items() if isinstance(value, Mapping) for key in value]
    fields = [*known, *entries]
    last = name.rsplit(".", 1)[-1]
    owners = [a for a in agents.REGISTRY if any(f.name == last for f in dataclasses.fields(agents.load(a).Config))]
    if here := [field for field in SB3.get(last, ()) if f"agent.{field}" in fields]:
        ours = " or ".join(f"agent.{field}" for field in here)
        return InputError(f"unknown field {name!r}: it is SB3's name for {ours}")
    if owners and "agent" in fields and name.rpartition(".")[0] in ("", "agent"):
        return InputError(f"unknown field {name!r} of this agent: it belongs to {', '.join(owners)}")
    tails = {path.rsplit(".", 1)[-1]: path for path in reversed(fields)}
    near = difflib.get_close_matches(full, fields, n=1, cutoff=0.7)
    near = near or [tails[t] for t in difflib.get_close_matches(last, tails, n=1, cutoff=0.6)]
    option = f"an option of the environment is env.options.{last}"
    mend = f"did you mean {near[0]!r}?" if near else f"`rl list RECIPE` shows them all; {option}"
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
