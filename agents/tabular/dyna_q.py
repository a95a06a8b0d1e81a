"""Dyna-Q (Sutton 1990): Q-learning that also learns from transitions drawn from a counted model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.tabular.counted import CountedModel, Outcome
from agents.tabular.td import TDConfig, TemporalDifference
from rl.fields import at_least
from rl.interface import EnvSpec


@dataclass(frozen=True)
class DynaQConfig(TDConfig):
    """Dyna-Q's own fields."""

    planning_steps: int = at_least(0, 10)
    """Updates from the model after each real one."""


class DynaQ(TemporalDifference):
    """Sutton and Barto 2018, section 8.2, with outcomes drawn by their counts, so that chance is learned as well."""

    name = "dyna_q"
    Config = DynaQConfig
    config: DynaQConfig

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self.model = CountedModel(self.states.size, self.actions)

    def learn(
        self, i: int, s: int, a: int, reward: float, discount: float, after: int, then: int, mask: np.ndarray | None
    ) -> float | None:
        error = super().learn(i, s, a, reward, discount, after, then, mask)
        self.model.add(s * self.actions + a, Outcome(after, reward, discount))
        gamma = self.config.gamma
        for _ in range(self.config.planning_steps):
            pair, outcome = self.model.draw(self.rng)
            value = outcome.discount * self.state_value(0, outcome.after, 0, None)
            self.move(0, *divmod(pair, self.actions), outcome.reward + gamma * value)
        return error

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "model": self.model}
