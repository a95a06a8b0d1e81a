"""Environments that a planner meets: one it can copy, one that draws by chance, and some that refuse to be copied."""

from __future__ import annotations

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


class Locked(World):
    """Holds a lock, which no copy can share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def step(self, action: Any) -> Any:
        return 1, 0.0, True, False, {}


class Foreign(World):
    """Draws without its np_random."""

    def step(self, action: Any) -> Any:
        return int(np.random.default_rng().integers(99)), 0.0, False, False, {}
