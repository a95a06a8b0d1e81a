"""C51 (Bellemare et al. 2017): the return's distribution on fixed atoms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agents.scale import support_warning
from agents.value import Batch, Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork
from rl.errors import InputError
from rl.fields import at_least
from rl.losses import bootstrap, project, take

DEPTH = 20.0  # nats between the logits of `initial` and of the atom farthest from it


@dataclass(frozen=True)
class C51Config(ValueConfig):
    """C51's own fields."""

    atoms: int = at_least(2, 51)
    """Points of the support."""
    v_min: float = -10.0
    """Lowest return that the support covers, of discounted and clipped rewards."""
    v_max: float = 10.0
    """Highest return that the support covers."""
    initial: float | None = None
    """Return on which an untrained network's distributions are concentrated. None: uniform, as published. They start
    at the support's middle then, and the closer gamma is to 1, the more target updates it takes to unlearn that."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.v_min, self.v_max
        if not low < high:
            raise InputError(f"v_min must be below v_max, got {low} and {high}")
        if self.initial is not None and not low <= self.initial <= high:
            raise InputError(f"initial must lie between v_min and v_max, {low} and {high}, got {self.initial}")


class C51(ValueAgent):
    """A categorical distribution for each action, fitted to the projected distribution of its target."""

    name = "c51"
    Config = C51Config
    cuda_graph_safe = True
    config: C51Config

    def build_network(self) -> ValueNetwork:
        c = self.config
        self.support = torch.linspace(c.v_min, c.v_max, c.atoms, device=self.device)  # [Z]: the atoms' returns
        self.prior = torch.zeros_like(self.support)  # [Z]: an untrained network's logits, with their peak at `initial`
        if c.initial is not None:
            away = (self.support - c.initial).abs()
            self.prior = -DEPTH * away / away.max()
        return super().build_network()

    @property
    def outputs(self) -> int:
        return self.config.atoms

    def read(self, head: Tensor) -> Q:
        logits = head + self.prior
        return Q(logits.softmax(-1) @ self.support, logits=logits)

    def loss(self, batch: Batch) -> Loss:
        with torch.no_grad():
            target = self._target(batch)
        logits = self.network(batch.obs).logits
        loss = -(target * F.log_softmax(take(logits, batch.action), -1)).sum(-1)  # algorithm 1
        # the Kullback-Leibler divergence, as in Rainbow: the part of the loss that learning can remove
        priority = (loss.detach() - torch.special.entr(target).sum(-1)).clamp(min=0.0)
        return Loss(loss, priority, {"q_mean": (target @ self.support).mean()})

    def _target(self, batch: Batch) -> Tensor:
        """The distribution of the n-step return, projected onto the support (equation 7). [B, Z]"""
        after = self.target(batch.next_obs)
        reward, chosen, shift = self.next_outputs(batch, after, after.logits.softmax(-1))
        atoms = bootstrap(reward[:, None], batch.discount[:, None], self.support + shift[:, None])
        # after an episode's end every atom is the reward, so any weights that sum to 1 will do
        chosen = torch.where(batch.discount[:, None] > 0, chosen, 1.0 / len(self.support))
        return project(self.support, atoms, chosen)

    def settings_warning(self, value: float) -> str:
        return "" if self.config.normalize_return else support_warning(self.config.v_min, self.config.v_max, value)
