"""QR-DQN (Dabney et al. 2018): the return's distribution as quantiles at fixed fractions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.value import Batch, Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork
from rl.errors import InputError
from rl.losses import bootstrap, midpoints, quantile_huber, take


@dataclass(frozen=True)
class QRDQNConfig(ValueConfig):
    """QR-DQN's own fields."""

    quantiles: int = 50
    """Quantiles of each action's return."""
    kappa: float = 1.0
    """Where the loss goes over from quadratic to linear."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quantiles < 1:
            raise InputError(f"quantiles must be at least 1, got {self.quantiles}")
        if not self.kappa > 0:
            raise InputError(f"kappa must be above 0, got {self.kappa}")


class QRDQN(ValueAgent):
    """Quantiles for each action, each fitted to all quantiles of what follows."""

    name = "qrdqn"
    Config = QRDQNConfig
    recordable = True
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
            reward, following = self.outlook(batch, after, after.quantiles)
            target = bootstrap(reward[:, None], batch.discount[:, None], following)  # [B, Z]
        quantiles = take(self.network(batch.obs).quantiles, batch.action)
        loss = quantile_huber(quantiles, self.taus, target, self.config.kappa)
        return Loss(loss, loss.detach(), {"q_mean": quantiles.detach().mean()})
