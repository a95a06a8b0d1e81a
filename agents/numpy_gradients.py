"""Gradients that are written by hand in NumPy, for small MLPs on vector observations.

Why: an update of DQN or PPO on a small MLP is about 50 microseconds of arithmetic for 32 rows. PyTorch needs 300: it
looks up every operation, records it for autograd, and walks the record backwards. By hand the whole update takes half
of the time, and so does the training of the classic control recipes. Acting gains as much. DQN's rows, and its
network if that is small, are compiled by numba (`rl/networks/compiled.py`).

The losses are defined in `dqn.py`, `a2c.py` and `ppo.py`, in PyTorch. Read them there. This file repeats them with
their derivatives, and `rl/networks/dense.py` is its arithmetic: `Dense` evaluates an MLP and goes backwards through it
on the memory of PyTorch's parameters and gradients.

When: `gradient` is the one entry point. `ValueAgent.gradient` and `PolicyAgent.gradient` call it first, and use
autograd if it returns None. It returns None unless all of the following hold:

- The agent's class, or a class above it, names its loss as `numpy_loss`, and no subclass overrides a method on which
  that loss depends (`METHODS`). A subclass with its own loss or its own network output keeps autograd.
- `Dense.of` accepts the network: an MLP with ReLU or tanh, with or without LayerNorm, on one plain vector, without
  frame stack or recurrent core, with a linear head, on the CPU, of at most 300,000 parameters, none of them frozen. A
  policy also needs a critic of its own and one discrete action.
- The settings are those that are written here: DQN without Munchausen, PPO without `value_clip`, policies without
  action masks, no bfloat16.

One test compares loss, metrics and gradient of every case with autograd's (tests/agents/test_numpy_gradients.py).
Notation: `x_grad` is the derivative of a row's loss by x.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.actor_critic import ActorCritic, Policy
from agents.base import Agent, Choice
from rl.distributions import DiscreteHead
from rl.networks.dense import Dense, Steps, log_softmax
from rl.schedules import value_at

METHODS = {
    "dqn": ("loss", "regression_target", "next_action", "best_action"),
    "a2c": ("loss", "evaluate_actions"),
    "ppo": ("loss", "evaluate_actions"),
}
"""By `numpy_loss`: the methods that no subclass may override."""


class Gradient(NamedTuple):
    """What `gradient` returns; the gradient itself is in the parameters' `.grad`."""

    loss: Tensor  # the weighted mean, a scalar
    priority: Tensor | None  # [B], of value learners
    metrics: dict[str, Tensor]  # scalars of value learners, [B] of policy learners


def gradient(agent: Any, batch: Any, weight: np.ndarray | None = None) -> Gradient | None:
    """Sets the gradient of the batch's mean loss, each row weighted by `weight` [B] if given.

    Returns None, and sets nothing, if the agent's loss is not written here (see above).
    """
    if agent.dense is None or not agent.dense.learns or not inherited(agent, *METHODS.get(agent.numpy_loss, ())):
        return None
    if agent.numpy_loss == "dqn":
        return _dqn(agent, batch, weight)
    return _actor_critic(agent, batch) if agent.numpy_loss in ("a2c", "ppo") else None


def inherited(agent: Agent, *methods: str) -> bool:
    """True if no class below the one that names `numpy_loss` overrides these methods."""
    kind = type(agent)
    home = next((base for base in kind.__mro__ if "numpy_loss" in vars(base)), kind)
    return all(getattr(kind, name) is getattr(home, name) for name in methods)


def _dqn(agent: Any, batch: Any, weight: np.ndarray | None) -> Gradient | None:
    """`DQN.loss`. The Huber loss of an error e with delta 1 is s (e - s / 2), and s = clip(e, -1, 1) its derivative."""
    c = agent.config
    if c.munchausen or agent.dense_target is None:
        return None
    from rl.networks.compiled import q_learning  # numba takes most of a second to import

    (obs,), (next_obs,) = ([x.numpy() for x in leaves.values()] for leaves in (batch.obs, batch.next_obs))
    action, reward, discount = batch.action.numpy(), batch.reward.numpy(), batch.discount.numpy()
    after = agent.dense_target(next_obs)
    values = agent.dense(next_obs) if c.double else after
    q_values, steps = agent.dense.forward(obs)
    allowed = np.zeros((0, 0), bool) if batch.next_mask is None else batch.next_mask.numpy()
    weight = np.zeros(0, np.float32) if weight is None else weight
    output_grad, priority = np.zeros(q_values.shape, np.float32), np.empty(len(action), np.float32)
    made = (c.huber, output_grad, priority)
    loss, q_mean = q_learning(q_values, after, values, allowed, action, reward, discount, weight, *made)
    agent.dense.backward(output_grad, steps)
    mean, q_mean = torch.from_numpy(np.array((loss, q_mean), np.float32))
    return Gradient(mean, torch.from_numpy(priority), {"q_mean": q_mean})


class LossGradient(NamedTuple):
    """The loss of an actor-critic without its entropy bonus, and its derivatives."""

    loss: np.ndarray  # [B]
    metrics: dict[str, np.ndarray]  # [B]
    log_prob_grad: np.ndarray  # [B]
    value_grad: np.ndarray  # [B]


def _actor_critic(agent: Any, batch: Any) -> Gradient | None:
    """`A2C.loss` or `PPO.loss`, with the entropy bonus that they share."""
    if batch.mask is not None or getattr(agent.config, "value_clip", None) is not None:
        return None
    action = batch.action.numpy()
    out = agent.dense.forward(batch.obs, action)
    found = (_ppo if agent.numpy_loss == "ppo" else _a2c)(agent, batch, out)
    cost = value_at(agent.config.entropy_cost, agent.step)
    agent.dense.backward(out, action, found, cost)
    loss = torch.from_numpy(found.loss - np.float32(cost) * out.entropy).mean()
    return Gradient(loss, None, {name: torch.from_numpy(x) for name, x in found.metrics.items()})


def _a2c(agent: Any, batch: Any, out: DenseOutput) -> LossGradient:
    advantage, cost = batch.advantage.numpy(), np.float32(agent.config.value_cost)
    error = out.value - batch.target.numpy()
    metrics = {"policy_loss": -out.log_prob * advantage, "value_loss": error * error, "entropy": out.entropy}
    loss = metrics["policy_loss"] + cost * metrics["value_loss"]
    return LossGradient(loss, metrics, log_prob_grad=-advantage, value_grad=2 * cost * error)


def _ppo(agent: Any, batch: Any, out: DenseOutput) -> LossGradient:
    c = agent.config
    clip, advantage = value_at(c.clip, agent.step), batch.advantage.numpy()
    log_ratio = out.log_prob - batch.log_prob.numpy()
    ratio = np.exp(log_ratio)
    gain, clipped = ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage
    error = out.value - batch.target.numpy()
    metrics = {
        "policy_loss": -np.minimum(gain, clipped),
        "value_loss": error * error,
        "entropy": out.entropy,
        "approx_kl": ratio - 1 - log_ratio,
        "clip_fraction": (np.abs(ratio - 1) > clip).astype(np.float32),
    }
    loss = metrics["policy_loss"] + np.float32(c.value_cost) * metrics["value_loss"]
    log_prob_grad = np.where(gain > clipped, np.float32(0), -gain)  # d ratio / d log_prob = ratio; NaN stays NaN
    return LossGradient(loss, metrics, log_prob_grad, value_grad=error * np.float32(2 * c.value_cost))


class DenseOutput(NamedTuple):
    """The output of a `DensePolicy` for B rows, and what its `backward` needs."""

    log_prob: np.ndarray  # [B], of the batch's actions
    entropy: np.ndarray  # [B]
    value: np.ndarray  # [B]
    log_probs: np.ndarray  # [B, A]
    actor: Steps
    critic: Steps


class DensePolicy:
    """A small actor-critic in NumPy: one plain vector, one discrete action of A choices, a critic of its own."""

    def __init__(self, network: ActorCritic, head: DiscreteHead, actor: Dense, critic: Dense) -> None:
        self.network, self.head, self.actor, self.critic = network, head, actor, critic

    @classmethod
    def of(cls, network: ActorCritic) -> DensePolicy | None:
        """`network` in NumPy, or None if it is not of this kind. The parameters must have their `.grad` already."""
        head = network.policy
        if type(network) is not ActorCritic or type(head) is not DiscreteHead:  # a subclass may compute something else
            return None
        if network.critic_torso is None or network.bf16:
            return None
        actor, critic = Dense.of(network.torso, head.logits), Dense.of(network.critic_torso, network.value)
        if actor is None or critic is None or head.kind != "discrete":
            return None
        return cls(network, head, actor, critic)

    @property
    def learns(self) -> bool:
        """True if no parameter is frozen."""
        return self.actor.learns and self.critic.learns

    def __call__(self, obs: dict[str, Tensor], state: Tensor, mask: Tensor | None) -> Policy:
        """The network's output."""
        x = self._leaf(obs)
        logits, value = torch.from_numpy(self.actor(x)), torch.from_numpy(self.critic(x))
        return Policy(self.head.read(logits, mask), value.squeeze(-1), state)

    def draw(self, obs: dict[str, Tensor], generator: torch.Generator) -> Choice:
        """Exploring actions, drawn as `Categorical.sample` draws them; every action is allowed, no output is kept."""
        x = self._leaf(obs)
        log_probs, value = log_softmax(self.actor(x)), self.critic(x)[:, 0]
        cumulated = np.add.accumulate(np.exp(log_probs), 1)
        total = cumulated[:, -1:]
        below = torch.rand(total.shape, generator=generator).numpy() * total
        action = np.add.reduce(cumulated <= below, 1)
        log_prob = log_probs[np.arange(len(x)), action]
        return Choice(action, {"raw": action, "log_prob": log_prob, "value": value}, None)

    def forward(self, obs: dict[str, Tensor], action: np.ndarray) -> DenseOutput:
        """The output for given actions, int64 [B]; every action is allowed."""
        x = self._leaf(obs)
        logits, actor = self.actor.forward(x)
        value, critic = self.critic.forward(x)
        log_probs = log_softmax(logits)
        entropy = -np.einsum("ba,ba->b", np.exp(log_probs), log_probs)
        return DenseOutput(log_probs[np.arange(len(x)), action], entropy, value[:, 0], log_probs, actor, critic)

    def backward(self, out: DenseOutput, action: np.ndarray, grad: LossGradient, entropy_cost: float) -> None:
        """Sets the gradient of the rows' mean loss, minus `entropy_cost` times their mean entropy."""
        rows, share = np.arange(len(action)), np.float32(1 / len(action))
        # d entropy / d logits = -pi (log pi + entropy), and d log pi(a) / d logits = [a] - pi
        cost = np.float32(entropy_cost) * (out.log_probs + out.entropy[:, None])
        logits_grad = np.exp(out.log_probs) * (cost - grad.log_prob_grad[:, None])
        logits_grad[rows, action] += grad.log_prob_grad
        self.actor.backward(logits_grad * share, out.actor)
        self.critic.backward((grad.value_grad * share)[:, None], out.critic)

    def _leaf(self, obs: dict[str, Tensor]) -> np.ndarray:
        """The one observation leaf as the network reads it, [B, F]."""
        if self.network.normaliser is not None:
            obs = self.network.normaliser(obs)
        (x,) = obs.values()
        return x.numpy()
