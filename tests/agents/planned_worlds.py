"""Environments that a planner meets: one it can copy, one that draws by chance, and some that refuse to be copied."""

from __future__ import annotations

import random
import threading
from typing import Any, ClassVar

import gymnasium
import numpy as np


class World(gymnasium.Env):
    observation_space: ClassVar[Any] = gymnasium.spaces.Discrete(100)
    action_space: ClassVar[Any] = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.at = 0
        return self.at, {}


class Corridor(World):
    """Action 1 walks on, and the second step pays 10; action 0 ends the episode and pays 1."""

    def step(self, action: Any) -> Any:
        if action == 0:
            return 99, 1.0, True, False, {}
        self.at += 1
        return self.at, 10.0 * (self.at == 2), self.at == 2, False, {}


class Coin(World):
    """Pays 1 for the side that the coin will show."""

    def step(self, action: Any) -> Any:
        return 1, float(action == self.np_random.integers(2)), True, False, {}


class OwnCoin(World):
    """A coin whose generators are not `np_random`: one of NumPy's, an old one of NumPy's, or one of Python's."""

    def __init__(self, kind: str) -> None:
        self._np_random = None
        made: dict[str, Any] = {"new": np.random.default_rng, "old": np.random.RandomState, "python": random.Random}
        self.game = {"rng": made[kind](5)}
        draw = "integers" if kind == "new" else "randint"
        self.bounds, self.draw = (0, 1 if kind == "python" else 2), draw

    def step(self, action: Any) -> Any:
        return 1, float(action == getattr(self.game["rng"], self.draw)(*self.bounds)), True, False, {}


class Locked(World):
    """Holds a lock, which no copy can share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def step(self, action: Any) -> Any:
        return 1, 0.0, True, False, {}


class Silent(World):
    """Refuses a copy without a word."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise AssertionError

    def step(self, action: Any) -> Any:
        return 1, 0.0, True, False, {}


class Foreign(World):
    """Draws without its np_random."""

    def step(self, action: Any) -> Any:
        return int(np.random.default_rng().integers(99)), 0.0, False, False, {}
