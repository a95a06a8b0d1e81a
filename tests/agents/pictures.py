"""An environment with a picture, a vector and a continuous action."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict


class PictureArm(gymnasium.Env):
    """A bright column shows where the arm should point; the reward is the closeness of the action."""

    def __init__(self) -> None:
        self.observation_space = Dict(
            {"picture": Box(0, 255, (36, 36, 3), np.uint8), "arm": Box(-1.0, 1.0, (2,), np.float32)}
        )
        self.action_space = Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))

    def _shown(self) -> dict[str, np.ndarray]:
        self.goal = int(self.np_random.integers(36))
        picture = np.zeros((36, 36, 3), np.uint8)
        picture[:, self.goal] = 255
        return {"picture": picture, "arm": self.np_random.uniform(-1, 1, 2).astype(np.float32)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.left = 10
        return self._shown(), {}

    def step(self, action: np.ndarray) -> Any:
        reward = -abs(float(action[0]) - (self.goal / 9 - 2))
        self.left -= 1
        return self._shown(), reward, False, self.left == 0, {}
