"""`predict`, as Stable-Baselines3 defines it: observations of any layout in, actions out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rl.errors import InputError
from rl.interface import EnvSpec, Obs, ObsLeaf, TimeStep


def _find(observation: Any, name: str) -> np.ndarray:
    """The leaf "arm.joints" or "0" of a Dict or Tuple observation. Raises `InputError` where it is missing."""
    found = _walk(observation, name)
    if found is None:
        raise InputError(f"predict: the observation has no leaf {name!r}")
    return np.asarray(found)


def _walk(part: Any, name: str) -> Any:
    if isinstance(part, dict):
        inner = ((key, part[key]) for key in part)
    elif isinstance(part, tuple | list):
        inner = ((str(key), value) for key, value in enumerate(part))
    else:
        return None
    for key, value in inner:
        if name == key:
            return value
        if name.startswith(f"{key}.") and (found := _walk(value, name[len(key) + 1 :])) is not None:
            return found
    return None


def _counts(leaf: ObsLeaf, name: str, raw: np.ndarray, row: bool) -> list[int | None]:
    """How many observations a leaf's array may be, likeliest first; None for one alone. `InputError` if not any."""
    shapes = [leaf.shape if leaf.given is None else leaf.given, leaf.shape][:: -1 if row else 1]
    possible = [None if raw.shape == shape else len(raw) for shape in shapes if shape in (raw.shape, raw.shape[1:])]
    if raw.ndim == 0 and math.prod(leaf.shape) == 1:  # a plain number
        possible.append(None)
    if not possible:
        raise InputError(f"predict: leaf {name!r} is {shapes[0]} or a batch of such, got {raw.shape}")
    return possible


def _column(leaf: ObsLeaf, name: str, raw: np.ndarray) -> np.ndarray:
    """[N, *leaf.shape], as stored, of an array that an environment may show."""
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise InputError(f"predict: leaf {name!r} of the observation is not finite")
    column, fits = leaf.column(raw)
    if fits is not None and not fits.all():
        raise InputError(f"predict: leaf {name!r} of the observation holds a number outside its space")
    return column


def first_row(spec: EnvSpec, obs: Obs, first: np.ndarray) -> TimeStep:
    """A row of which only the observation is known."""
    count = len(first)
    zeros = np.zeros(count, np.float32)
    return TimeStep(
        obs=obs,
        mask=None,
        action=np.zeros((count, *spec.action.shape), spec.action.dtype),
        reward=zeros,
        discount=zeros,
        first=first,
        last=np.zeros(count, bool),
        info={},
    )
