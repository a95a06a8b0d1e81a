"""Gymnasium spaces as named leaves. Unusual dtypes and shapes are cast here and nowhere else.

An agent sees four kinds of leaves (`rl.interface.ObsLeaf`): a float32 vector, a uint8 or float32 image, a
bool board, or int64 categories that count from 0. Nested Dict and Tuple observations become leaves whose names join
the path with "." ("arm.joints", "0").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces

from rl.errors import InputError, RunError
from rl.interface import ActionSpec, ObsLeaf

MASK = "action_mask"
"""The name under which an observation Dict or an info carries the action mask."""

MASKS = "action_masks"
"""Name of sb3-contrib's method that gives the action mask; an info may use it instead of `action_mask`."""

UNSUPPORTED = "is not supported: an agent here reads Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple"


@dataclass
class LeafCast:
    """How one leaf of the observation space becomes one column."""

    name: str
    path: tuple[str | int, ...]
    """Keys from the root of the observation to this leaf; empty for a plain observation."""
    raw_shape: tuple[int, ...]
    """Shape as the environment gives it."""
    leaf: ObsLeaf
    bounds: tuple[np.ndarray, np.ndarray] | None = None
    """Lowest and highest values [*leaf.shape] of a leaf that is stored as float32; None if it has none."""

    def __post_init__(self) -> None:
        self.may_be_non_finite = self.leaf.dtype == "float32"

    def __call__(self, raw: np.ndarray, index: int = 0) -> np.ndarray:
        """The column for a batch `raw` [N, *raw_shape]: always a new array [N, *leaf.shape] of the leaf's dtype.

        `raw` belongs to the environments `index`, `index` + 1, ... Raises `RunError` for a value that the leaf's whole
        numbers, bytes or bits cannot hold: the cast would change it silently.
        """
        try:
            column, fits = self.leaf.column(raw)
        except (TypeError, ValueError) as error:
            raise RunError(f"the environments gave leaf {self.name!r} something that is no number: {error}") from error
        if fits is None or fits.all():
            return column
        place = np.argwhere(~fits)[0]
        value = raw.reshape(column.shape)[tuple(place)]
        says = {"bool": "only 0 and 1", "uint8": "whole numbers from 0 to 255"}.get(self.leaf.dtype)
        if says is None:
            entry = place[1]
            first = self.leaf.start[entry] if self.leaf.start else 0
            says = f"whole numbers from {first} to {first + self.leaf.nvec[entry] - 1}"
        raise RunError(
            f"environment {index + place[0]} gave leaf {self.name!r} the value {value}, its space says {says}"
        )

    def outside(self, column: np.ndarray) -> str:
        """The first value of a `column` [N, *leaf.shape] outside the leaf's bounds, in words; "" if there is none."""
        if self.bounds is None:
            return ""
        low, high = self.bounds
        beyond = (column < low) | (column > high)
        if not beyond.any():
            return ""
        index, *entry = np.argwhere(beyond)[0].tolist()
        least, most = low[tuple(entry)], high[tuple(entry)]
        value = column[index][tuple(entry)]
        return f"environment {index} gave leaf {self.name!r} the value {value:g}, its space says {least:g} to {most:g}"

    def find(self, observation: Any, index: int | None = None) -> Any:
        """This leaf's value in a (possibly nested) observation, of environment `index` alone or of all (None).

        Raises `RunError` if the observation lacks it.
        """
        try:
            for key in self.path:
                observation = observation[key]
        except (LookupError, TypeError) as error:
            who = "the environments" if index is None else f"environment {index}"
            raise RunError(f"{who} gave no leaf {self.name!r}, which the observation space names") from error
        return observation

    def one(self, observation: Any, index: int) -> np.ndarray:
        """This leaf's value in the observation of environment `index`. Raises `RunError` for another shape."""
        value = np.asarray(self.find(observation, index) if self.path else observation)
        if value.shape != self.raw_shape:
            raise RunError(
                f"environment {index} gave leaf {self.name!r} the shape {value.shape}, its space says {self.raw_shape}"
            )
        return value


class MaskCast(LeafCast):
    """The action mask: entries that are not 0 are allowed, as in a mask of an info."""

    def __call__(self, raw: np.ndarray, index: int = 0) -> np.ndarray:
        return np.asarray(raw != 0).reshape(-1, *self.leaf.shape)


def observation_casts(space: spaces.Space, action: ActionSpec) -> tuple[list[LeafCast], LeafCast | None]:
    """The columns of an observation space, and its `action_mask` leaf, None if it has none.

    Raises `InputError` for Text, Graph, Sequence, OneOf and other spaces that have no fixed numeric layout.
    """
    mask: LeafCast | None = None
    if isinstance(space, spaces.Dict) and MASK in space.spaces and action.logits:
        inner = space.spaces[MASK]
        size = int(np.prod(inner.shape or (1,)))
        if size != action.logits:
            raise InputError(f"the observation's {MASK!r} has {size} entries, the action space {action.logits} choices")
        mask = MaskCast(MASK, (MASK,), inner.shape or (), ObsLeaf((size,), "bool", "vector"))
        space = spaces.Dict({key: value for key, value in space.spaces.items() if key != MASK})
    casts = _leaves(space, ())
    names = [cast.name for cast in casts]
    if not casts:
        raise InputError(f"the observation space {space} has no entries to learn from")
    for cast in casts:
        if 0 in cast.leaf.shape:
            raise InputError(f"leaf {cast.name!r} of the observation space has the shape {cast.raw_shape}: no numbers")
        cast.leaf = replace(cast.leaf, given=cast.raw_shape)
    if len(set(names)) < len(names):
        raise InputError(f"the observation space {space} has two leaves of one name: {', '.join(names)}")
    return casts, mask


def _leaves(space: spaces.Space, path: tuple[str | int, ...]) -> list[LeafCast]:
    if isinstance(space, spaces.Dict):
        return [cast for key, inner in space.spaces.items() for cast in _leaves(inner, (*path, key))]
    if isinstance(space, spaces.Tuple):
        return [cast for i, inner in enumerate(space.spaces) for cast in _leaves(inner, (*path, i))]
    name = ".".join(map(str, path)) or "obs"
    if isinstance(space, spaces.Box):
        leaf = _box_leaf(space, name)
        return [LeafCast(name, path, space.shape, leaf, _bounds(space, leaf))]
    if isinstance(space, spaces.Discrete):
        start = (int(space.start),) if space.start else ()
        return [LeafCast(name, path, (), ObsLeaf((1,), "int64", "index", nvec=(int(space.n),), start=start))]
    if isinstance(space, spaces.MultiDiscrete):
        nvec = tuple(int(n) for n in space.nvec.flatten())
        start = tuple(space.start.flatten().tolist()) if np.any(space.start) else ()
        return [LeafCast(name, path, space.shape, ObsLeaf((len(nvec),), "int64", "index", nvec=nvec, start=start))]
    if isinstance(space, spaces.MultiBinary):
        if len(space.shape) == 3:
            return [LeafCast(name, path, space.shape, _board(space.shape))]
        return [LeafCast(name, path, space.shape, ObsLeaf((math.prod(space.shape),), "float32", "vector"))]
    mend = f"; --set env.drop={path[0]} leaves it out" if path and isinstance(path[0], str) else ""
    raise InputError(f"the observation space {type(space).__name__} of leaf {name!r} {UNSUPPORTED}{mend}")


SMALLEST_PICTURE = 8
"""Pixels of the smaller side from which an array of signed or wide numbers counts as a picture."""

LARGEST_PIXEL = 65_535
"""The largest bound of a whole-number pixel; a larger one says nothing about the values that occur."""


def _box_leaf(space: spaces.Box, name: str) -> ObsLeaf:
    """A picture stays a picture, a grid of 0 and 1 becomes a bool board, any other array a flat float32 vector."""
    shape, dtype = space.shape, space.dtype
    if len(shape) > 3 and dtype == np.uint8:
        raise InputError(
            f"leaf {name!r} is a stack of pictures {shape}: give single frames (stacking is a field of the agent)"
        )
    if len(shape) == 3 or (len(shape) == 2 and dtype in (np.uint8, np.uint16, np.bool_)):
        low, high = float(np.min(space.low, initial=0)), float(np.max(space.high, initial=0))
        if dtype.kind in "bui" and low >= 0 and high <= 1:
            return _board(shape)
        stored, layout = _layout(shape)
        if dtype == np.uint8:
            return ObsLeaf(stored, "uint8", "image", layout, scale=255.0)
        if _is_picture(stored, layout, dtype, low, high):
            whole = dtype.kind in "ui" and low >= 0 and high <= 255
            return ObsLeaf(stored, "uint8" if whole else "float32", "image", layout, scale=max(-low, high))
    return ObsLeaf((math.prod(shape),), "float32", "vector")


def _bounds(space: spaces.Box, leaf: ObsLeaf) -> tuple[np.ndarray, np.ndarray] | None:
    if leaf.dtype != "float32" or (np.isinf(space.low).all() and np.isinf(space.high).all()):
        return None
    with np.errstate(over="ignore"):  # a bound beyond float32 is infinite
        return space.low.astype(np.float32).reshape(leaf.shape), space.high.astype(np.float32).reshape(leaf.shape)


def _is_picture(shape: tuple[int, ...], layout: str, dtype: np.dtype, low: float, high: float) -> bool:
    """Whether a 3-D array within [low, high] is a picture: bounded, and large enough unless its floats start at 0."""
    if not 0 < max(-low, high) < np.inf:
        return False
    if dtype.kind == "f" and low >= 0:
        return True
    height, width = shape[:2] if layout == "HWC" else shape[1:]
    return min(height, width) >= SMALLEST_PICTURE and (dtype.kind == "f" or max(-low, high) <= LARGEST_PIXEL)


def _board(shape: tuple[int, ...]) -> ObsLeaf:
    shape, layout = _layout(shape)
    return ObsLeaf(shape, "bool", "board", layout)


def _layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], Any]:
    """The stored shape and its axis order: a grey picture gets a channel, else the shorter end is the channels."""
    if len(shape) == 2:
        return (1, *shape), "CHW"
    if shape[0] == shape[1] != shape[2]:
        return shape, "HWC"
    return shape, "CHW" if shape[0] < shape[2] else "HWC"


def action_cast(space: spaces.Space) -> tuple[ActionSpec, Callable[[np.ndarray], np.ndarray]]:
    """What an agent may return, and the function from its [N, ...] actions to elements of the space.

    The function is `ActionSpec.to_space`, or the identity if the agent's actions are elements already. Raises
    `InputError` for a space that is not supported.
    """
    spec = _action_spec(space)
    same = spec.kind == "discrete" and not spec.start and space.dtype == np.int64
    return spec, _same if same else spec.to_space


def _action_spec(space: spaces.Space) -> ActionSpec:
    own: dict[str, Any] = {"space_shape": space.shape, "space_dtype": str(space.dtype)}
    if isinstance(space, spaces.Discrete):
        start = (int(space.start),) if space.start else ()
        return ActionSpec("discrete", nvec=(int(space.n),), start=start, **own)
    if isinstance(space, spaces.MultiDiscrete):
        start = tuple(space.start.flatten().tolist()) if np.any(space.start) else ()
        return ActionSpec("multidiscrete", nvec=tuple(space.nvec.flatten().tolist()), start=start, **own)
    if isinstance(space, spaces.MultiBinary):
        return ActionSpec("multibinary", nvec=(2,) * math.prod(space.shape), **own)
    if isinstance(space, spaces.Box):
        low, high = (tuple(side.astype(np.float64).flatten().tolist()) for side in (space.low, space.high))
        return ActionSpec("box", low=low, high=high, **own)
    raise InputError(
        f"the action space {type(space).__name__} is not supported: an agent here returns Discrete, MultiDiscrete, "
        "MultiBinary or Box actions"
    )


def mask_of(info: Mapping[str, Any]) -> Any:
    """The action mask of an info: of one environment, or of N as [N, A] or a list with None for "not given"."""
    mask = info.get(MASK)
    return info.get(MASKS) if mask is None else mask


def flat_mask(mask: Any, choices: int) -> np.ndarray:
    """An action mask as bool [choices]: every entry that is not 0 is allowed.

    mask: an array of any shape, a list, or a tuple with one array for each element of the action, as
    `gymnasium.spaces.MultiDiscrete.sample` takes it. Raises `InputError` for another size and for other values.
    """
    try:
        flat = np.ravel(np.hstack(mask) if isinstance(mask, tuple | list) else np.asarray(mask))
    except (TypeError, ValueError):
        flat = np.zeros(0, object)
    if flat.dtype.kind not in "biuf":
        raise InputError(f"the action mask {short(mask)}: it must be an array of 0 and 1")
    if flat.size != choices:
        raise InputError(f"an action mask of {flat.size} entries, the action space has {choices} choices")
    return np.asarray(flat != 0)


def short(value: Any) -> str:
    """`repr(value)` on one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def random_actions(spec: ActionSpec, num_envs: int, mask: Any, rng: np.random.Generator) -> np.ndarray:
    """Uniform allowed actions as an agent returns them, [N, *spec.shape]; boxes within -1 to 1 and their bounds.

    mask: None, or one mask of `spec.logits` entries (or None) for each environment.
    """
    if spec.kind == "box":
        actions = rng.uniform(-1, 1, (num_envs, spec.size)).astype(np.float32)
        return np.clip(actions, spec.low, spec.high).astype(np.float32)
    actions = np.zeros((num_envs, spec.size), np.int64)
    ends = np.cumsum(spec.nvec).tolist()
    for i in range(num_envs):
        given = None if mask is None else mask[i]
        allowed = np.ones(spec.logits, bool) if given is None else flat_mask(given, spec.logits)
        for k, end in enumerate(ends):
            choices = np.flatnonzero(allowed[end - spec.nvec[k] : end])
            actions[i, k] = rng.choice(choices) if len(choices) else 0
    return actions.reshape(num_envs, *spec.shape)


def _same(action: np.ndarray) -> np.ndarray:
    return action
