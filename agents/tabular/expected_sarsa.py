"""Expected SARSA (van Seijen et al. 2009): the target takes the mean value under the exploring policy."""

from __future__ import annotations

from dataclasses import dataclass

from agents.tabular.td import TDConfig, TemporalDifference


@dataclass(frozen=True)
class ExpectedSarsaConfig(TDConfig):
    """Expected SARSA's own fields: none."""


class ExpectedSarsa(TemporalDifference):
    """Less noisy than SARSA; with epsilon 0 it is Q-learning."""

    name = "expected_sarsa"
    Config = ExpectedSarsaConfig
    config: ExpectedSarsaConfig
    bootstrap = "expected"
