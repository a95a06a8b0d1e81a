"""The search space of a run, and a point in it as words for `--set`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rl.axes import WHOLE, Axis
from rl.errors import InputError
from rl.schedules import Ramp
from runs.recipe import Run, agent_name, recipe_names, resolve
from runs.settings.text import shown

Point = Mapping[str, Any]
"""Field -> coordinate on its axis."""


def space(run: Run, images: bool, fixed: Sequence[str] = ()) -> dict[str, Axis]:
    """The axes that apply to `run`, widened so that they hold its own values.

    An axis is left out if its field is `fixed` (dotted or bare names), is idle beside a switch, or has no place on it,
    such as a constant epsilon on the axis of its schedule's length. With `images`, network widths keep their values.
    Raises InputError if nothing is left.
    """
    config, found = run.agent, {}
    taken = {name.removeprefix("agent.") for name in fixed}
    for name, axis in getattr(config, "SPACE", {}).items():
        field = name.partition(".")[0]
        switch = getattr(config, "SWITCHES", {}).get(field, "")
        idle = switch and bool(getattr(config, switch.removeprefix("not "))) == switch.startswith("not ")
        if idle or taken & {name, field, name.rpartition(".")[2]} or (images and name == "net.hidden"):
            continue
        value = _own(config, name, axis)
        if axis.kind == "choice":
            own = () if value is None or shown(value) in axis.choices else (shown(value),)
            found[name] = dataclasses.replace(axis, choices=(*own, *axis.choices))
        elif (at := axis.coordinate(value, run.steps)) is not None:
            found[name] = dataclasses.replace(axis, low=min(axis.low, at), high=max(axis.high, at))
    if not found:
        raise InputError(
            f"{agent_name(config)} declares nothing to search: add a table SPACE to its config (docs/tuning.md)"
        )
    return found


def start(run: Run, axes: Mapping[str, Axis]) -> dict[str, Any]:
    """The coordinates of the run's own values; a choice that has none of them is left out."""
    values = {name: _own(run.agent, name, axis) for name, axis in axes.items()}
    found = {
        name: shown(values[name]) if axis.kind == "choice" else axis.coordinate(values[name], run.steps)
        for name, axis in axes.items()
    }
    return {name: x for name, x in found.items() if axes[name].kind != "choice" or x in axes[name].choices}


def neighbours(run: Run, axes: Mapping[str, Axis], count: int) -> dict[str, dict[str, Any]]:
    """Recipe -> its values as a point of `axes`, of the suite's recipes of `run`'s agent for other environments.

    The `count` recipes whose budgets in steps are nearest to that of `run`, with the same memory (core and stack). A
    value outside of its axis is moved to the axis' end; one that has no place on it is left out. A recipe whose point
    equals an earlier one is passed over.
    """
    found: dict[str, dict[str, Any]] = {}
    others = [(name, other) for name in recipe_names() if _comparable(other := resolve(name), run)]
    for name, other in sorted(others, key=lambda pair: abs(math.log(pair[1].steps / run.steps))):
        point = {}
        for field, x in start(other, axes).items():
            axis = axes[field]
            if x is not None:
                point[field] = x if axis.kind == "choice" else min(max(x, axis.low), axis.high)
        if len(found) < count and point not in [start(run, axes), *found.values()]:
            found[name] = point
    return found


def _comparable(other: Run, run: Run) -> bool:
    """Whether `other` trains the same agent with the same memory in another environment."""
    memory = ("net.core", "stack")
    same = all(_get(other.agent, name) == _get(run.agent, name) for name in memory)
    return same and agent_name(other.agent) == agent_name(run.agent) and other.env != run.env


def settings(run: Run, axes: Mapping[str, Axis], point: Point) -> list[str]:
    """`FIELD=VALUE` of every field at `point`, whole schedules included."""
    words, numbers = {}, dict[str, Any]()
    for name, axis in axes.items():
        owner, _, part = name.rpartition(".")
        before = numbers.get(owner, _get(run.agent, owner) if owner else None)
        if axis.kind == "choice":
            words[name] = str(point[name])
            continue
        if axis.kind == "left":
            name, found = owner, axis.value(point[name], before, run.steps)
        elif isinstance(before, Ramp):
            name, found = owner, dataclasses.replace(before, **{part: axis.value(point[name], None, run.steps)})
        else:
            found = axis.value(point[name], _get(run.agent, name), run.steps)
        numbers[name], words[name] = found, shown(found)
    return [f"agent.{name}={value}" for name, value in words.items()]


def is_whole(axis: Axis) -> bool:
    """Whether the coordinate itself is a whole number."""
    return axis.kind in WHOLE and axis.kind != "share"


def _own(config: Any, name: str, axis: Axis) -> Any:
    """The value whose coordinate on `axis` is the config's own: of what is left of a rate, the rate."""
    return _get(config, name.rpartition(".")[0] if axis.kind == "left" else name)


def _get(config: Any, name: str) -> Any:
    """The value of a dotted field; None if there is no such field."""
    for part in name.split("."):
        config = getattr(config, part, None)
    return config
