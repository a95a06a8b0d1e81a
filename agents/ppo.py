"""PPO (Schulman et al. 2017); the implementation details of Huang et al. (2022) are fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar

import torch

from agents.policy import PolicyAgent, PolicyBatch
from agents.policy_config import PolicyLearnerConfig
from agents.rollout import Rollout, RowLoss, average
from rl.axes import Axis, rate, size
from rl.fields import at_least, positive, positive_or_none
from rl.schedules import Ramp, value_at


@dataclass(frozen=True)
class PPOConfig(PolicyLearnerConfig):
    """PPO's own fields."""

    SPACE: ClassVar[dict[str, Axis]] = {
        **PolicyLearnerConfig.SPACE,
        "epochs": size(1, 20),
        "minibatch_size": size(32, 1_024),
        "clip": rate(0.05, 0.4),
    }

    epochs: int = at_least(1, 10)
    """Passes over each rollout."""
    minibatch_size: int = at_least(1, 64)
    """Transitions in one gradient update; with a recurrent core, whole environments of about as many rows."""
    clip: float | Ramp = positive(0.2)
    """Epsilon of equation 7: how far the probability ratio may leave 1 before its gradient is cut."""
    value_clip: float | None = positive_or_none(None)
    """How far a value may move from its value while acting before its gradient is cut; off by default."""
    target_kl: float | None = positive_or_none(None)
    """Stop the passes over a rollout when the KL divergence exceeds 1.5 times this."""


class PPO(PolicyAgent):
    """Several passes over each rollout; clipping the probability ratio limits how far the policy moves."""

    name = "ppo"
    Config = PPOConfig
    numpy_loss = "ppo"
    config: PPOConfig

    def batches(self, rollout: Rollout) -> Iterator[PolicyBatch]:
        """Each pass in a new order, in near-equal parts, so that no part has a single row."""
        c, items = self.config, len(self.items(rollout))
        rows = items * (len(rollout.ended) if self.recurrent else 1)
        parts = min(items, max(1, round(rows / c.minibatch_size)))
        if parts == 1:  # one minibatch: no order to draw
            return repeat(self.select(rollout), c.epochs)
        return self.shuffled(rollout, c.epochs, parts)

    def loss(self, batch: PolicyBatch) -> RowLoss:
        c = self.config
        log_prob, entropy, value = self.evaluate_actions(batch)
        log_ratio = log_prob - batch.log_prob
        ratio = log_ratio.exp()
        clip = value_at(c.clip, self.step)
        gain = torch.min(ratio * batch.advantage, ratio.clamp(1 - clip, 1 + clip) * batch.advantage)  # equation 7
        error = (value - batch.target).square()
        if c.value_clip is not None:
            near = batch.value + (value - batch.value).clamp(-c.value_clip, c.value_clip)
            error = torch.max(error, (near - batch.target).square())
        # equation 9
        loss = -gain + c.value_cost * error - value_at(c.entropy_cost, self.step) * entropy
        metrics = {"policy_loss": -gain, "value_loss": error, "entropy": entropy}
        with torch.no_grad():
            metrics["approx_kl"] = ratio - 1 - log_ratio  # Schulman's estimator, never negative
            metrics["clip_fraction"] = ((ratio - 1).abs() > clip).float()
        return RowLoss(loss, metrics)

    def enough(self, out: RowLoss, batch: PolicyBatch) -> bool:
        limit = self.config.target_kl
        return limit is not None and bool(average(out.metrics["approx_kl"], batch.valid) > 1.5 * limit)
