"""Policy iteration (Howard 1960) and modified policy iteration (Puterman and Shin 1978)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.tabular.planning import Planner, PlannerConfig
from rl.errors import InputError
from rl.fields import at_least
from rl.interface import EnvSpec


@dataclass(frozen=True)
class PolicyIterationConfig(PlannerConfig):
    """Policy iteration's own fields."""

    evaluation_sweeps: int = at_least(0, 0)
    """Sweeps of each policy's evaluation without the clock; 0 evaluates it exactly, by a linear solve."""


class PolicyIteration(Planner):
    """An update evaluates the greedy policy of the present values and backs its values up once."""

    name = "policy_iteration"
    Config = PolicyIterationConfig
    config: PolicyIterationConfig

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        sweeps = config.evaluation_sweeps
        if self.timed and sweeps:
            raise InputError(f"evaluation_sweeps={sweeps} is for clock=False: with the clock an evaluation is exact")
        if not self.timed and not sweeps and config.gamma == 1:
            raise InputError(f"policy_iteration on {spec.id}: set gamma below 1, or evaluation_sweeps to 1 or more")
        self.ready = 0

    def sweep(self, model: Any, backup: Any) -> float:
        before, rows = self.values.copy(), np.arange(self.states.size)
        policy = before.argmax(2)  # [horizon, states]
        if self.timed:
            value = np.zeros(self.states.size)
            for t in reversed(range(self.horizon)):
                self.values[t] = backup(model, value)
                value = self.values[t, rows, policy[t]]
        elif sweeps := self.config.evaluation_sweeps:
            value = before[0].max(1)
            for _ in range(sweeps):
                value = backup(model, value)[rows, policy[0]]
            self.values[0] = backup(model, value)
        else:
            self.values[0] = backup(model, model.solve(policy[0], self.config.gamma))
        return float(np.abs(self.values - before).max())
