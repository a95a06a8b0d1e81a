"""C51 (Bellemare et al. 2017): the return's distribution on fixed atoms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agents.value import Batch, Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork
from rl.errors import InputError
from rl.losses import bootstrap, project, take

DEPTH = 20.0
"""Nats between the logits of `initial` and of the atom farthest from it."""


@dataclass(frozen=True)
class C51Config(ValueConfig):
    """C51's own fields."""

    atoms: int = 51
    """Points of the support."""
    v_min: float = -10.0
    """Lowest return that can be told apart, discounted and clipped as the learner sees it."""
    v_max: float = 10.0
    """Highest return that can be told apart."""
    initial: float | None = None
    """Return at which an untrained network's distributions are heaped up; none as published, even over the support.

    Even ones bootstrap from the support's middle, which takes as many target networks to forget as gamma is near 1.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.atoms < 2:
            raise InputError(f"atoms must be at least 2, got {self.atoms}")
        if not self.v_min < self.v_max:
            raise InputError(f"v_min must be below v_max, got {self.v_min} and {self.v_max}")
        if self.initial is not None and not self.v_min <= self.initial <= self.v_max:
            raise InputError(
                f"initial must lie between v_min and v_max, {self.v_min} and {self.v_max}, got {self.initial}"
            )


class C51(ValueAgent):
    """A categorical distribution for each action, fitted to the projected one of what follows."""

    name = "c51"
    Config = C51Config
    recordable = True
    config: C51Config

    def build_network(self) -> ValueNetwork:
        c = self.config
        self.support = torch.linspace(c.v_min, c.v_max, c.atoms, device=self.device)
        """The atoms' returns, [Z]."""
        self.prior = torch.zeros_like(self.support)
        """What the logits of an untrained network are about, [Z]: steps down on both sides of `initial`."""
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
        loss = -(target * F.log_softmax(take(logits, batch.action), -1)).sum(-1)
        # the Kullback-Leibler divergence: what the network can still lose, as in Rainbow
        priority = (loss.detach() - torch.special.entr(target).sum(-1)).clamp(min=0.0)
        return Loss(loss, priority, {"q_mean": (target @ self.support).mean()})

    def _target(self, batch: Batch) -> Tensor:
        """The distribution of the n-step return, projected onto the support. [B, Z]"""
        after = self.target(batch.next_obs)
        reward, shift = batch.reward, torch.zeros_like(batch.reward)
        probabilities = after.logits.softmax(-1)
        if self.config.munchausen:  # distributions mix where quantiles average; entropy moves the atoms
            policy, shift = self.soft_policy(after, batch.next_mask)
            chosen = (policy.unsqueeze(-1) * probabilities).sum(1)
            reward = reward + self.bonus(batch)
        else:
            chosen = take(probabilities, self.next_action(batch, after))
        atoms = bootstrap(reward[:, None], batch.discount[:, None], self.support + shift[:, None])
        # after the end every atom is the reward: whatever the network says there, it weighs 1 in sum
        chosen = torch.where(batch.discount[:, None] > 0, chosen, 1.0 / len(self.support))
        return project(self.support, atoms, chosen)
