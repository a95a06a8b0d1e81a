"""PPO (Schulman et al. 2017) with the details that decide results as fields (Huang et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from agents.base import unchanged
from agents.numpy_gradients import Said, Slopes
from agents.policy import PolicyAgent, PolicyLoss
from agents.policy_config import PolicyLearnerConfig, check_schedule
from agents.rollout import PolicyBatch, Rollout, average
from rl.errors import InputError
from rl.schedules import Ramp, value_at


@dataclass(frozen=True)
class PPOConfig(PolicyLearnerConfig):
    """PPO's own fields."""

    epochs: int = 10
    """Passes over each rollout."""
    minibatch_size: int = 64
    """Transitions in one gradient update; with a memory whole environments of about as many rows."""
    clip: float | Ramp = 0.2
    """How far the ratio may leave 1 before it stops paying."""
    value_clip: float | None = None
    """How far a value may move from the one acted with before its error stops counting; off by default."""
    target_kl: float | None = None
    """Stop the passes over a rollout where the policy has moved further than 1.5 times this."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epochs", "minibatch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_schedule("clip", self.clip, above_0=True)
        for name in ("value_clip", "target_kl"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0 or none, got {getattr(self, name)}")


class PPO(PolicyAgent):
    """Several passes over each rollout, the policy's change held in by clipping its ratio."""

    name = "ppo"
    Config = PPOConfig
    config: PPOConfig

    def batches(self, rollout: Rollout) -> Iterator[PolicyBatch]:
        """Each pass in a new order, cut into near-equal parts, so that none is left with a single row."""
        c, items = self.config, self.items(rollout)
        rows = len(items) * (len(rollout.ended) if self.recurrent else 1)
        parts = min(len(items), max(1, round(rows / c.minibatch_size)))
        if parts == 1:  # all at once: no order to draw
            yield from [self.select(rollout)] * c.epochs
            return
        for _ in range(c.epochs):
            order = items[torch.randperm(len(items), generator=self._shuffle).to(self.device)]
            for index in order.tensor_split(parts):
                yield self.select(rollout, index)

    def loss(self, batch: PolicyBatch) -> PolicyLoss:
        c = self.config
        log_prob, entropy, value = self.evaluate_actions(batch)
        log_ratio = log_prob - batch.log_prob
        ratio = log_ratio.exp()
        clip = value_at(c.clip, self.step)
        # equation 7
        gain = torch.min(ratio * batch.advantage, ratio.clamp(1 - clip, 1 + clip) * batch.advantage)
        error = (value - batch.target).square()
        if c.value_clip is not None:
            near = batch.value + (value - batch.value).clamp(-c.value_clip, c.value_clip)
            error = torch.max(error, (near - batch.target).square())
        loss = -gain + c.value_cost * error - value_at(c.entropy_cost, self.step) * entropy
        metrics = {"policy_loss": -gain, "value_loss": error, "entropy": entropy}
        with torch.no_grad():
            metrics["approx_kl"] = ratio - 1 - log_ratio  # Schulman's estimator, never negative
            metrics["clip_fraction"] = ((ratio - 1).abs() > clip).float()
        return PolicyLoss(loss, metrics)

    def slopes(self, batch: PolicyBatch, said: Said) -> Slopes | None:
        c = self.config
        if c.value_clip is not None or not unchanged(self, PPO, "loss", "evaluate_actions"):
            return None
        clip, advantage = value_at(c.clip, self.step), batch.advantage.numpy()
        log_ratio = said.log_prob - batch.log_prob.numpy()
        ratio = np.exp(log_ratio)
        gain, held = ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage
        error = said.value - batch.target.numpy()
        metrics = {
            "policy_loss": -np.minimum(gain, held),
            "value_loss": error * error,
            "entropy": said.entropy,
            "approx_kl": ratio - 1 - log_ratio,
            "clip_fraction": (np.abs(ratio - 1) > clip).astype(np.float32),
        }
        loss = metrics["policy_loss"] + np.float32(c.value_cost) * metrics["value_loss"]
        log_prob = np.where(gain > held, np.float32(0), -gain)  # d ratio / d log_prob = ratio; NaN stays NaN
        return Slopes(loss, metrics, log_prob=log_prob, value=error * np.float32(2 * c.value_cost))

    def enough(self, out: PolicyLoss, batch: PolicyBatch) -> bool:
        limit = self.config.target_kl
        return limit is not None and bool(average(out.metrics["approx_kl"], batch.valid) > 1.5 * limit)
