"""A2C: the synchronous advantage actor-critic (Mnih et al. 2016), one gradient update on each short rollout."""

from __future__ import annotations

from dataclasses import dataclass

from agents.policy import PolicyAgent, PolicyBatch
from agents.policy_config import PolicyLearnerConfig
from agents.rollout import RowLoss
from rl.optim import OptimizerName
from rl.schedules import Ramp, value_at


@dataclass(frozen=True)
class A2CConfig(PolicyLearnerConfig):
    """A2C's defaults."""

    rollout: int = 5
    gae_lambda: float = 1.0
    lr: float | Ramp = 7e-4
    optimizer: OptimizerName = "rmsprop"
    normalize_advantage: bool = False


class A2C(PolicyAgent):
    """The policy gradient weighted by the advantage, plus a value regression."""

    name = "a2c"
    Config = A2CConfig
    numpy_loss = "a2c"
    config: A2CConfig

    def loss(self, batch: PolicyBatch) -> RowLoss:
        c = self.config
        log_prob, entropy, value = self.evaluate_actions(batch)
        gain = log_prob * batch.advantage
        error = (value - batch.target).square()
        # algorithm S3: the policy gradient, the value regression and the entropy bonus
        loss = -gain + c.value_cost * error - value_at(c.entropy_cost, self.step) * entropy
        return RowLoss(loss, {"policy_loss": -gain, "value_loss": error, "entropy": entropy})
