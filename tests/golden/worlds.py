"""An environment with a Dict observation and a choice of actions, for value and policy agents alike."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Compass(gymnasium.Env[dict[str, Any], np.int64]):
    """Walk on a ring of 6 fields. The reward is 1 on the goal, else -0.1; an episode ends there or after 20 steps.

    The observation is a Dict of the position (float32, 2) and the goal's field (an integer).
    """

    observation_space = spaces.Dict({"place": spaces.Box(-1.0, 1.0, (2,), np.float32), "goal": spaces.Discrete(6)})
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        self.field, self.goal = (int(x) for x in self.np_random.permutation(6)[:2])
        return self.observe(), {}

    def observe(self) -> dict[str, Any]:
        angle = self.field * np.pi / 3
        return {"place": np.array([np.cos(angle), np.sin(angle)], np.float32), "goal": np.int64(self.goal)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        self.field = (self.field + int(action) - 1) % 6
        there = self.field == self.goal
        return self.observe(), 1.0 if there else -0.1, there, self.t >= 20, {}
