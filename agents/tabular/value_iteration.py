"""Value iteration (Bellman 1957): each sweep backs up the best value of every next state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.tabular.planning import Planner, PlannerConfig
from rl.interface import EnvSpec


@dataclass(frozen=True)
class ValueIterationConfig(PlannerConfig):
    """Value iteration's own fields: none."""


class ValueIteration(Planner):
    """With the clock a sweep plans for one step of the episode, the last one first: the horizon's sweeps are exact."""

    name = "value_iteration"
    Config = ValueIterationConfig
    config: ValueIterationConfig

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self._next = self.horizon - 1
        """The step of the episode that the next sweep plans for."""

    def sweep(self, model: Any, backup: Any) -> float:
        t = self._next
        value = np.zeros(self.states.size)
        if t + 1 < self.horizon or not self.timed:
            value = self.values[t + 1 if self.timed else 0].max(1)
        found = backup(model, value)
        change = float(np.abs(found - self.values[t]).max())
        self.values[t] = found
        self.ready = min(self.ready, t)
        self._next = t - 1 if t else self.horizon - 1
        return 0.0 if self.timed and t == 0 else change

    def learner_state(self) -> dict[str, Any]:
        return {"next": self._next, **super().learner_state()}

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._next = state["next"]
