"""IQN (Dabney et al. 2018): the return's quantile function at random fractions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.value import Batch, Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork, in_float32
from rl.fields import at_least, positive
from rl.losses import bootstrap, midpoints, quantile_huber, take
from rl.networks.heads import CosineEmbedding
from rl.networks.torso import Torso, build_torso
from rl.seeding import derive_seed


@dataclass(frozen=True)
class IQNConfig(ValueConfig):
    """IQN's own fields."""

    taus: int = at_least(1, 32)
    """N: fractions drawn for the quantiles that learn."""
    next_taus: int = at_least(1, 32)
    """N': fractions drawn for the quantiles they learn from."""
    act_taus: int = at_least(1, 32)
    """K: fractions whose mean is an action's value; evenly spaced, so that acting draws nothing."""
    cosines: int = at_least(1, 64)
    """Cosines that embed a fraction."""
    kappa: float = positive(1.0)
    """Error above which the loss is linear instead of quadratic."""


class QuantileNetwork(ValueNetwork):
    """Features times the embedding of a fraction, under the shared head."""

    midpoints: Tensor

    def __init__(self, torso: Torso, head: nn.Module, config: IQNConfig) -> None:
        super().__init__(torso, head, lambda quantiles: Q(quantiles.mean(-1), quantiles=quantiles))
        self.embedding = CosineEmbedding(torso.out_features, config.cosines)
        self.register_buffer("midpoints", midpoints(config.act_taus), persistent=False)

    def forward(self, obs: dict[str, Tensor], taus: Tensor | None = None) -> Q:  # type: ignore[override]
        """Values from evenly spaced fractions; quantiles at `taus` [B, N], or at the same fractions."""
        features = self.torso.encode(obs)
        out: Q = self.read(self.quantiles(features, self.midpoints))
        return out if taus is None else out._replace(quantiles=self.quantiles(features, taus), taus=taus)

    def quantiles(self, features: Tensor, taus: Tensor) -> Tensor:
        """Quantiles [B, A, N] at `taus`, [N] or [B, N], of features [B, F]."""
        out = in_float32(self.head, self.embedding(features, taus))  # [B, N, A]
        return out.transpose(-1, -2)


class IQN(ValueAgent):
    """Quantiles at drawn fractions, each fitted to target quantiles at other random fractions."""

    name = "iqn"
    Config = IQNConfig
    cuda_graph_safe = True
    config: IQNConfig
    network: QuantileNetwork
    target: QuantileNetwork

    def build_network(self) -> QuantileNetwork:
        self._taus = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "taus"))
        torso = build_torso(self.spec, self.config.net, self.config.stack)
        return QuantileNetwork(torso, self.build_head(torso.out_features), self.config)

    def read(self, head: Tensor) -> Q:
        return Q(head)

    @property
    def generators(self) -> list[torch.Generator]:
        return [self._taus]

    def draw_taus(self, batch: int, count: int) -> Tensor:
        """Fractions uniform in [0, 1), [batch, count]; all ranks draw those of the whole minibatch."""
        size = batch if self.own is None else self.config.batch_size
        return torch.rand(size, count, generator=self._taus, device=self.device)[self.own or slice(None)]

    def loss(self, batch: Batch) -> Loss:
        c, size = self.config, len(batch.action)
        taus = self.draw_taus(size, c.taus)
        with torch.no_grad():
            after = self.target(batch.next_obs, self.draw_taus(size, c.next_taus))
            reward, following, entropy = self.next_outputs(batch, after, after.quantiles)
            target = bootstrap(reward[:, None], batch.discount[:, None], following + entropy[:, None])  # [B, N']
        every = self.network.quantiles(self.network.torso.encode(batch.obs), taus)
        quantiles = take(every, batch.action)
        loss = quantile_huber(quantiles, taus, target, c.kappa)
        return Loss(loss, loss.detach(), {"q_mean": quantiles.detach().mean()})

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "taus": self._taus}
