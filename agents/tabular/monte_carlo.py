"""Monte Carlo control: the target is the return of the whole episode (Sutton and Barto 2018, section 5.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.tabular.base import LearnerTableConfig
from agents.tabular.td import TargetLearner
from rl.fields import fraction, positive
from rl.schedules import Ramp


@dataclass(frozen=True)
class MonteCarloConfig(LearnerTableConfig):
    """Monte Carlo control's own fields."""

    gamma: float = fraction(1.0)
    lr: float | Ramp = positive(1.0)
    lr_decay: float = fraction(1.0)
    first_visit: bool = True
    """Of several visits of a state and action in an episode, only the first one counts."""


class MonteCarlo(TargetLearner):
    """Learns at the end of each episode; one that a time limit cuts bootstraps from its final state's best value."""

    name = "monte_carlo"
    Config = MonteCarloConfig
    config: MonteCarloConfig

    def learn(
        self, i: int, s: int, a: int, reward: float, discount: float, after: int, then: int, mask: np.ndarray | None
    ) -> float | None:
        self._waiting[i].append((s, a, reward))
        return None if discount else self.flush(i, 0, 0.0, self.config.first_visit)

    def cut(self, i: int, after: int, then: int) -> None:
        if self._waiting[i]:
            self.flush(i, 0, self.state_value(0, after, then, None), self.config.first_visit)
