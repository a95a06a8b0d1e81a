"""SARSA (Rummery and Niranjan 1994) on a table: the target takes the value of the action that is taken next."""

from __future__ import annotations

from dataclasses import dataclass

from agents.tabular.td import TDConfig, TemporalDifference


@dataclass(frozen=True)
class SarsaConfig(TDConfig):
    """SARSA's own fields: none."""


class Sarsa(TemporalDifference):
    """With `trace_lambda`, SARSA(lambda)."""

    name = "sarsa"
    Config = SarsaConfig
    config: SarsaConfig
    bootstrap = "next"
