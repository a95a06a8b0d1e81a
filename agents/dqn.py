"""DQN (Mnih et al. 2015), with its extensions as fields: see ValueConfig."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import unchanged
from agents.value import Batch, Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import LOWEST, Q, ValueNetwork
from rl.losses import bootstrap, forbid, regression, soft_value, take
from rl.networks import Dense


@dataclass(frozen=True)
class DQNConfig(ValueConfig):
    """DQN's own fields."""

    huber: bool = True
    """Huber loss with delta 1, the error's gradient clipped; else squared error."""


class DQN(ValueAgent):
    """One value for each action, regressed on the bootstrapped return."""

    name = "dqn"
    Config = DQNConfig
    recordable = True
    config: DQNConfig

    @cached_property
    def dense(self) -> Dense | None:
        return self._by_numpy(self.network)

    @cached_property
    def dense_target(self) -> Dense | None:
        """The target network by NumPy."""
        return self._by_numpy(self.target)

    def _by_numpy(self, network: nn.Module) -> Dense | None:
        # else the network says more than its head, or is looked at in another way
        ours = unchanged(self, DQN, "read", "look") and not self._wants_bf16()
        return network.dense() if ours and type(network) is ValueNetwork else None

    def read(self, head: Tensor) -> Q:
        return Q(head)

    def loss(self, batch: Batch) -> Loss:
        with torch.no_grad():
            target = self.regression_target(batch)
        q = take(self.network(batch.obs).q_values, batch.action)
        error = q - target
        return Loss(regression(error, self.config.huber), error.detach().abs(), {"q_mean": q.detach().mean()})

    def gradient(self, batch: Batch, weight: np.ndarray | None) -> Loss:
        """As the base, by NumPy where the network and the target are plain: the same, in half of the time."""
        c = self.config
        by_hand = unchanged(self, DQN, "loss", "regression_target", "next_action") and not c.munchausen
        if self.dense is None or self.dense_target is None or not by_hand or not self.dense.learns:
            return super().gradient(batch, weight)
        (obs,), (next_obs,) = ([x.numpy() for x in leaves.values()] for leaves in (batch.obs, batch.next_obs))
        action, reward, discount = batch.action.numpy(), batch.reward.numpy(), batch.discount.numpy()
        rows = np.arange(len(action))
        after = self.dense_target(next_obs)
        values = self.dense(next_obs) if c.double else after
        if batch.next_mask is not None:
            values = np.where(batch.next_mask.numpy(), values, LOWEST)
        target = reward + np.where(discount > 0, discount * after[rows, values.argmax(1)], np.float32(0))
        q_values, steps = self.dense.forward(obs)
        q = q_values[rows, action]
        error = q - target
        slope = error.clip(-1, 1) if c.huber else error  # of 0.5 e^2 within 1, of |e| - 0.5 beyond
        loss = slope * (error - 0.5 * slope)
        if weight is not None:
            loss, slope = loss * weight, slope * weight
        at_output = np.zeros(q_values.shape, np.float32)
        at_output[rows, action] = slope / np.float32(len(rows))
        self.dense.backward(at_output, steps)
        mean, q_mean = (torch.from_numpy(np.asarray(np.add.reduce(x) / len(rows))) for x in (loss, q))
        return Loss(mean, torch.from_numpy(np.abs(error)), {"q_mean": q_mean})

    def regression_target(self, batch: Batch) -> Tensor:
        """The n-step return plus the discounted value of the next observation. [B]"""
        c = self.config
        after = self.target(batch.next_obs)
        if not c.munchausen:
            return bootstrap(batch.reward, batch.discount, take(after.q_values, self.next_action(batch, after)))
        value = soft_value(forbid(after.q_values, batch.next_mask), c.munchausen_tau)
        return bootstrap(batch.reward + self.bonus(batch), batch.discount, value)
