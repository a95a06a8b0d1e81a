"""REINFORCE (Williams 1992): whole episodes, the whole return, with a learned baseline as a field."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.policy import PolicyAgent, PolicyBatch, PolicyLearnerConfig, PolicyLoss, Rollout
from rl.errors import InputError
from rl.schedules import Ramp, value_at


@dataclass(frozen=True)
class ReinforceConfig(PolicyLearnerConfig):
    """REINFORCE's own fields."""

    baseline: bool = True
    """Subtract a learned value from the return, and bootstrap from it at a time limit."""
    episodes: int = 8
    """Finished episodes in one update."""
    rollout: int = 4_096
    """Most rows of an environment in one update; an episode that is longer is cut there."""
    gae_lambda: float = 1.0
    """The whole return; fixed."""
    lr: float | Ramp = 1e-3
    """Learning rate, or its schedule over counted steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.episodes < 1:
            raise InputError(f"episodes must be at least 1, got {self.episodes}")
        if self.gae_lambda != 1.0:
            raise InputError(f"reinforce learns from whole returns: gae_lambda must be 1, got {self.gae_lambda}")
        if not self.baseline and self.value_cost != PolicyLearnerConfig.value_cost:
            raise InputError(f"value_cost={self.value_cost} is for baseline=True: leave it out")


class Reinforce(PolicyAgent):
    """One policy-gradient update for every few finished episodes.

    Rows of episodes that are still going on are left out; what comes after the update joins the next one.
    """

    name = "reinforce"
    Config = ReinforceConfig
    config: ReinforceConfig

    def due(self) -> bool:
        return self.ended >= self.config.episodes or super().due()

    def rollout(self, length: int) -> Rollout:
        rollout = super().rollout(length)
        if length > self.config.rollout:  # the replay is full: rows are taken as they are
            return rollout
        finished = rollout.ended.flip(0).cummax(0).values.flip(0)  # [T, N]: an end comes at or after this row
        return rollout._replace(rows=rollout.rows._replace(valid=rollout.rows.valid & finished))

    def advantages(self, reward: Tensor, discount: Tensor, first: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        # without a baseline the return alone: values are neither subtracted nor bootstrapped from
        return super().advantages(reward, discount, first, value if self.config.baseline else torch.zeros_like(value))

    def loss(self, batch: PolicyBatch) -> PolicyLoss:
        c = self.config
        log_prob, entropy, value = self.evaluate_actions(batch)
        gain = log_prob * batch.advantage
        loss = -gain - value_at(c.entropy_cost, self.step) * entropy
        metrics = {"policy_loss": -gain, "entropy": entropy}
        if c.baseline:
            metrics["value_loss"] = (value - batch.target).square()
            loss = loss + c.value_cost * metrics["value_loss"]
        return PolicyLoss(loss, metrics)
