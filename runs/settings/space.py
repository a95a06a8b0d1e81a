"""The search space of a run, and a point in it as words for `--set`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rl.axes import WHOLE, Axis
from rl.errors import InputError
from rl.schedules import Ramp
from runs.recipe import Run, agent_name
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
