"""Random generators, each derived from a named key, none of them global.

A key, for example ("train", 3, 17), under a run seed gives the same generator on every machine and for every number of
environments. Different keys give independent streams.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def derive_seed(seed: int, *key: str | int) -> int:
    """A seed in [0, 2**31) for `key` under the run's `seed`: by SHA-256, so that similar keys give unrelated seeds."""
    text = "/".join([str(seed), *map(str, key)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") >> 1


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """A NumPy generator for `key` under the run's `seed`."""
    text = "/".join([str(seed), *map(str, key)])
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")))


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """The generator's whole state as JSON-able values (integers of arbitrary size)."""
    return dict(rng.bit_generator.state)


def restore_generator(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Restores a state of `generator_state`."""
    rng.bit_generator.state = state
