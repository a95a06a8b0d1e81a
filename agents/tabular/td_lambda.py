"""TD(lambda) control: SARSA(lambda), or Watkins's Q(lambda), with eligibility traces on a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agents.tabular.td import TDConfig, TemporalDifference
from rl.errors import InputError


@dataclass(frozen=True)
class TDLambdaConfig(TDConfig):
    """TD(lambda)'s own fields."""

    trace_lambda: float = 0.9
    watkins: bool = False
    """Bootstrap from the best action and cut the traces when an action explores: Q(lambda)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.trace_lambda:
            raise InputError("td_lambda needs trace_lambda above 0, got 0: use sarsa or q_learning without traces")


class TDLambda(TemporalDifference):
    """Sutton and Barto 2018, sections 12.7 and 12.10."""

    name = "td_lambda"
    Config = TDLambdaConfig
    config: TDLambdaConfig

    @property
    def bootstrap(self) -> Literal["max", "next"]:  # type: ignore[override]
        return "max" if self.config.watkins else "next"
