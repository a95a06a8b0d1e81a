"""DQN (Mnih et al. 2015), with its extensions as fields: see ValueConfig."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.value import Batch, Loss, Q, ValueAgent, ValueConfig
from rl.losses import bootstrap, forbid, regression, soft_value, take


@dataclass(frozen=True)
class DQNConfig(ValueConfig):
    """DQN's own fields."""

    huber: bool = True
    """Huber loss with delta 1, the error's gradient clipped; else squared error."""


class DQN(ValueAgent):
    """One value for each action, regressed on the bootstrapped return."""

    name = "dqn"
    Config = DQNConfig
    config: DQNConfig

    def read(self, head: Tensor) -> Q:
        return Q(head)

    def loss(self, batch: Batch) -> Loss:
        with torch.no_grad():
            target = self.regression_target(batch)
        q = take(self.network(batch.obs).q_values, batch.action)
        error = q - target
        return Loss(regression(error, self.config.huber), error.detach().abs(), {"q_mean": q.detach().mean()})

    def regression_target(self, batch: Batch) -> Tensor:
        """The n-step return plus the discounted value of the next observation. [B]"""
        c = self.config
        after = self.target(batch.next_obs)
        if not c.munchausen:
            return bootstrap(batch.reward, batch.discount, take(after.q_values, self.next_action(batch, after)))
        value = soft_value(forbid(after.q_values, batch.next_mask), c.munchausen_tau)
        return bootstrap(batch.reward + self.bonus(batch), batch.discount, value)
