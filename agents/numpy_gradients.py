"""Hand-written gradients for small dense networks, evaluated in NumPy instead of autograd."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.actor_critic import ActorCritic, Policy
from agents.base import Choice
from rl.distributions import DiscreteHead
from rl.networks import Dense
from rl.networks.dense import log_softmax


class Said(NamedTuple):
    """What a `DensePolicy` says of B rows, and what going back needs."""

    log_prob: np.ndarray  # [B], of the batch's actions
    entropy: np.ndarray  # [B]
    value: np.ndarray  # [B]
    log_probs: np.ndarray  # [B, A]
    actor: list[Any]
    critic: list[Any]


class Slopes(NamedTuple):
    """What a sibling's `slopes` returns: its loss without the entropy's share, and where that goes."""

    loss: np.ndarray  # [B]
    metrics: dict[str, np.ndarray]  # [B]
    log_prob: np.ndarray  # [B]: d loss / d log-probability
    value: np.ndarray  # [B]: d loss / d value


class DensePolicy:
    """A small network with a critic of its own, on one plain vector and for a choice among A, by NumPy."""

    def __init__(self, network: ActorCritic, head: DiscreteHead, actor: Dense, critic: Dense) -> None:
        self.network, self.head, self.actor, self.critic = network, head, actor, critic

    @classmethod
    def of(cls, network: ActorCritic) -> DensePolicy | None:
        """`network` by NumPy, or None where it is more than that. Call it when the gradients have their place."""
        head = network.policy
        if type(network) is not ActorCritic or type(head) is not DiscreteHead:  # a subclass may say something else
            return None
        if network.critic_torso is None or network.bf16:
            return None
        actor, critic = Dense.of(network.torso, head.logits), Dense.of(network.critic_torso, network.value)
        if actor is None or critic is None or head.kind != "discrete":
            return None
        return cls(network, head, actor, critic)

    @property
    def learns(self) -> bool:
        """Whether no parameter is frozen."""
        return self.actor.learns and self.critic.learns

    def __call__(self, obs: dict[str, Tensor], state: Tensor, mask: Tensor | None) -> Policy:
        """What the network would say."""
        x = self._leaf(obs)
        logits, value = torch.from_numpy(self.actor(x)), torch.from_numpy(self.critic(x))
        return Policy(self.head.read(logits, mask), value.squeeze(-1), state)

    def draw(self, obs: dict[str, Tensor], generator: torch.Generator) -> Choice:
        """What exploring takes, drawn as `Categorical.sample` does; all actions allowed. Nobody looks at its output."""
        x = self._leaf(obs)
        log_probs, value = log_softmax(self.actor(x)), self.critic(x)[:, 0]
        cumulated = np.add.accumulate(np.exp(log_probs), 1)
        total = cumulated[:, -1:]
        below = torch.rand(total.shape, generator=generator).numpy() * total
        action = np.add.reduce(cumulated <= below, 1)
        log_prob = log_probs[np.arange(len(x)), action]
        return Choice(action, {"raw": action, "log_prob": log_prob, "value": value}, None)

    def forward(self, obs: dict[str, Tensor], action: np.ndarray) -> Said:
        """What is said of actions, int64 [B], all of them allowed."""
        x = self._leaf(obs)
        logits, actor = self.actor.forward(x)
        value, critic = self.critic.forward(x)
        log_probs = log_softmax(logits)
        entropy = -np.einsum("ba,ba->b", np.exp(log_probs), log_probs)
        return Said(log_probs[np.arange(len(x)), action], entropy, value[:, 0], log_probs, actor, critic)

    def backward(self, said: Said, action: np.ndarray, slopes: Slopes, entropy_cost: float) -> None:
        """Sets the gradient to that of the rows' mean loss."""
        rows, share = np.arange(len(action)), np.float32(1 / len(action))
        cost = np.float32(entropy_cost) * (said.log_probs + said.entropy[:, None])  # d entropy / d logits is -pi (...)
        at_logits = np.exp(said.log_probs) * (cost - slopes.log_prob[:, None])  # d log pi(a) / d logits is [a] - pi
        at_logits[rows, action] += slopes.log_prob
        self.actor.backward(at_logits * share, said.actor)
        self.critic.backward((slopes.value * share)[:, None], said.critic)

    def _leaf(self, obs: dict[str, Tensor]) -> np.ndarray:
        """The one observation leaf as the network reads it, [B, F]."""
        if self.network.normaliser is not None:
            obs = self.network.normaliser(obs)
        (x,) = obs.values()
        return x.numpy()
