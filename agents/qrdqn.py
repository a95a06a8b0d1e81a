"""QR-DQN (Dabney et al. 2018): the return's distribution as quantiles at fixed fractions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.value import Batch, Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork
from rl.fields import at_least, positive
from rl.losses import bootstrap, midpoints, quantile_huber, take


@dataclass(frozen=True)
class QRDQNConfig(ValueConfig):
    """QR-DQN's own fields."""

    quantiles: int = at_least(1, 50)
    """Quantiles of each action's return."""
    kappa: float = positive(1.0)
    """Error above which the loss is linear instead of quadratic."""


class QRDQN(ValueAgent):
    """Quantiles for each action, each fitted to all quantiles of the target."""

    name = "qrdqn"
    Config = QRDQNConfig
    cuda_graph_safe = True
    config: QRDQNConfig

    def build_network(self) -> ValueNetwork:
        self.taus = midpoints(self.config.quantiles).to(self.device)
        """The quantiles' fractions, [Z]."""
        return super().build_network()

    @property
    def outputs(self) -> int:
        return self.config.quantiles

    def read(self, head: Tensor) -> Q:
        quantiles = head.unsqueeze(-1) if self.outputs == 1 else head
        return Q(quantiles.mean(-1), quantiles=quantiles)

    def loss(self, batch: Batch) -> Loss:
        with torch.no_grad():
            after = self.target(batch.next_obs)
            reward, following, entropy = self.next_outputs(batch, after, after.quantiles)
            target = bootstrap(reward[:, None], batch.discount[:, None], following + entropy[:, None])  # [B, Z]
        quantiles = take(self.network(batch.obs).quantiles, batch.action)
        loss = quantile_huber(quantiles, self.taus, target, self.config.kappa)
        return Loss(loss, loss.detach(), {"q_mean": quantiles.detach().mean()})
