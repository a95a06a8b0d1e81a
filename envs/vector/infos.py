"""Merging the info dictionaries of several environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.vector.base import Info


def by_key(infos: Sequence[Mapping[str, Any]]) -> Info:
    """One list for each key, None if an environment's info lacks it."""
    keys = {key: None for info in infos for key in info}
    return {key: [info.get(key) for info in infos] for key in keys}


def present(info: Mapping[str, Any], num_envs: int) -> Info:
    """Gymnasium's batched info as one list for each key. Its entry `_key` marks the environments that gave `key`."""
    found: Info = {}
    for key, values in info.items():
        if key.startswith(("_", "final_")):
            continue
        given = info.get(f"_{key}")
        if isinstance(values, Mapping):  # a nested info is for logging only: left as it is
            found[key] = [values] * num_envs
        else:
            if given is None or bool(np.all(given)):
                found[key] = values
            else:
                found[key] = [v if g else None for v, g in zip(values, given, strict=True)]
    return found


def merge(info: Info, reset_info: Mapping[str, Any], restarted: list[int]) -> None:
    """Replaces the entries of restarted environments in `info` by those of their reset."""
    for key, values in reset_info.items():
        if key.startswith("_") or isinstance(values, Mapping):
            continue
        known = info.get(key)
        if isinstance(known, np.ndarray) and isinstance(values, np.ndarray):
            info[key] = known = known.copy()
            known[restarted] = values[restarted]
        else:
            row = [None] * len(values) if known is None else list(known)
            for i in restarted:
                row[i] = values[i]
            info[key] = row
