"""REINFORCE (Williams 1992): whole episodes, the whole return, with a learned baseline as a field."""

from __future__ import annotations

from dataclasses import dataclass

import torch

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


class Reinforce(PolicyAgent):
    """One policy-gradient update for every few finished episodes.

    Rows of episodes that are still going on are left out; what comes after the update joins the next one.
    """

    name = "reinforce"
    Config = ReinforceConfig
    config: ReinforceConfig

    def due(self) -> bool:
        first = self.replay.newest(min(self.replay.count - self._begun, self.replay.slots))[0].first
        ended = int(first[1:].sum())
        return ended >= self.config.episodes or super().due()

    def rollout(self, length: int) -> Rollout:
        rollout = super().rollout(length)
        if not self.config.baseline:  # the return alone: values are neither subtracted nor bootstrapped from
            zero = torch.zeros_like(torch.cat([rollout.value, rollout.value[:1]]))
            from rl import returns

            seen = self.seen(self._reward)
            advantage, target = returns.gae(seen, self._discount, self._first, zero, self.config.gamma, 1.0)
            rollout = rollout._replace(advantage=advantage, target=target, value=zero[:-1])
        if length <= self.config.rollout:  # else an episode filled the replay, and is taken as it is
            ends = self._first[1:].flip(0).cummax(0).values.flip(0)  # [T, N]: an end comes at or after this row
            rollout = rollout._replace(valid=rollout.valid & ends)
        return rollout

    def loss(self, batch: PolicyBatch) -> PolicyLoss:
        c = self.config
        log_prob, entropy, value = self.evaluate_actions(batch)
        error = (value - batch.target).square()
        loss = -log_prob * batch.advantage - value_at(c.entropy_cost, self.step) * entropy
        if c.baseline:
            loss = loss + c.value_cost * error
        with torch.no_grad():
            valid = batch.valid
            metrics = {"entropy": entropy[valid].mean(), "value_loss": error[valid].mean()}
        return PolicyLoss(loss, metrics)
