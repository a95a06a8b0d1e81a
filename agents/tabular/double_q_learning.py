"""Double Q-learning (van Hasselt 2010): one table chooses the next action, the other one says its value."""

from __future__ import annotations

from dataclasses import dataclass

from agents.tabular.td import TDConfig, TemporalDifference


@dataclass(frozen=True)
class DoubleQLearningConfig(TDConfig):
    """Double Q-learning's own fields: none."""


class DoubleQLearning(TemporalDifference):
    """Draws which table each update changes; acts by the mean of both."""

    name = "double_q_learning"
    Config = DoubleQLearningConfig
    config: DoubleQLearningConfig
    bootstrap = "max"
    tables = 2
