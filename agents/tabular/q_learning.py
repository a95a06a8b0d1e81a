"""Q-learning (Watkins 1989) on a table: the target is the reward plus the best value of the next state."""

from __future__ import annotations

from dataclasses import dataclass

from agents.tabular.td import TDConfig, TemporalDifference


@dataclass(frozen=True)
class QLearningConfig(TDConfig):
    """Q-learning's own fields: none."""


class QLearning(TemporalDifference):
    """With `trace_lambda`, Watkins's Q(lambda): an exploring action cuts the traces."""

    name = "q_learning"
    Config = QLearningConfig
    config: QLearningConfig
    bootstrap = "max"
