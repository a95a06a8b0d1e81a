"""DQN (Mnih et al. 2015); its extensions are fields of `ValueConfig`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.value import Batch, Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q
from rl.losses import bootstrap, regression, take


@dataclass(frozen=True)
class DQNConfig(ValueConfig):
    """DQN's own fields."""

    huber: bool = True
    """Huber loss with delta 1, which clips the error's gradient; else the squared error."""


class DQN(ValueAgent):
    """One value for each action, regressed on the n-step return plus the bootstrap."""

    name = "dqn"
    Config = DQNConfig
    cuda_graph_safe = True
    numpy_loss = "dqn"
    config: DQNConfig

    def read(self, head: Tensor) -> Q:
        return Q(head)

    def loss(self, batch: Batch) -> Loss:
        with torch.no_grad():
            target = self.regression_target(batch)
        q = take(self.network(batch.obs).q_values, batch.action)
        error = q - target  # of equation 1
        return Loss(regression(error, self.config.huber), error.detach().abs(), {"q_mean": q.detach().mean()})

    def regression_target(self, batch: Batch) -> Tensor:
        """y of equation 1: the n-step return plus the discounted value of the next observation. [B]"""
        after = self.target(batch.next_obs)
        if self.config.munchausen:
            value = self.soft_value(after.q_values, batch.next_mask)
            return bootstrap(batch.reward + self.bonus(batch), batch.discount, value)
        return bootstrap(batch.reward, batch.discount, take(after.q_values, self.next_action(batch, after)))
