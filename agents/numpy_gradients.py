"""Gradients that are written by hand, in NumPy or compiled, for small MLPs on vector observations.

Why: an update of DQN or PPO on a small MLP is about 50 microseconds of arithmetic for 32 rows. PyTorch needs 300: it
looks up every operation, records it for autograd, and walks the record backwards. In NumPy the whole update takes half
of the time. Compiled by numba, PPO's gradient takes half of NumPy's time and DQN's update three quarters (measured).

The losses are defined in `dqn.py`, `a2c.py` and `ppo.py`, in PyTorch. Read them there. `agents/row_losses.py` repeats
them with their derivatives. `rl/networks/dense.py` evaluates an MLP and goes backwards through it on the memory of
PyTorch's parameters and gradients, and so does `rl/networks/compiled.py` if no layer is wider than 128.

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
from rl.networks.small import SmallNetwork, small_network
from rl.schedules import value_at

METHODS = {
    "dqn": ("loss", "regression_target", "next_action", "best_action"),
    "a2c": ("loss", "evaluate_actions"),
    "ppo": ("loss", "evaluate_actions"),
}
"""By `numpy_loss`: the methods that no subclass may override."""
METRICS = {
    "a2c": ("policy_loss", "value_loss", "entropy"),
    "ppo": ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction"),
}
"""The means behind the loss that `agents.row_losses.policy_gradient` returns."""


class Gradient(NamedTuple):
    """What `gradient` returns; the gradient itself is in the parameters' `.grad`."""

    loss: Tensor  # the weighted mean, a scalar
    priority: Tensor | None  # [B], of value learners
    metrics: dict[str, Tensor]  # scalars


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
    from agents.row_losses import q_learning  # numba takes most of a second to import

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
    return Gradient(_scalar(loss), torch.from_numpy(priority), {"q_mean": _scalar(q_mean)})


def _actor_critic(agent: Any, batch: Any) -> Gradient | None:
    """`A2C.loss` or `PPO.loss`."""
    c = agent.config
    if batch.mask is not None or getattr(c, "value_clip", None) is not None:
        return None
    from agents.row_losses import policy_gradient

    logits, value, steps = agent.dense.forward(batch.obs)
    rows = (x.numpy() for x in (batch.action, batch.log_prob, batch.advantage, batch.target))
    clip = value_at(c.clip, agent.step) if agent.numpy_loss == "ppo" else -1.0
    costs = float(c.value_cost), value_at(c.entropy_cost, agent.step)
    grads = np.empty_like(logits), np.empty_like(value)
    found = np.array(policy_gradient(logits, value, *rows, clip, *costs, *grads), np.float32)
    agent.dense.backward(*grads, steps)
    loss, *means = torch.from_numpy(found).unbind()
    return Gradient(loss, None, dict(zip(METRICS[agent.numpy_loss], means, strict=False)))


def _scalar(number: float) -> Tensor:
    """A float32 tensor; `torch.tensor` takes twice as long."""
    return torch.from_numpy(np.array(number, np.float32))


class DensePolicy:
    """A small actor-critic in NumPy: one plain vector, one discrete action of A choices, a critic of its own."""

    def __init__(self, network: ActorCritic, head: DiscreteHead, actor: SmallNetwork, critic: SmallNetwork) -> None:
        self.network, self.head, self.actor, self.critic = network, head, actor, critic

    @classmethod
    def of(cls, network: ActorCritic) -> DensePolicy | None:
        """`network` in NumPy, or None if it is not of this kind. The parameters must have their `.grad` already."""
        head, critic_torso = network.policy, network.critic_torso
        if type(network) is not ActorCritic or type(head) is not DiscreteHead:  # a subclass may compute something else
            return None
        if critic_torso is None or network.bf16 or head.kind != "discrete":
            return None
        actor, critic = small_network(network.torso, head.logits), small_network(critic_torso, network.value)
        return None if actor is None or critic is None else cls(network, head, actor, critic)

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
        from agents.row_losses import draw

        x = self._leaf(obs)
        logits, value = self.actor(x), self.critic(x)[:, 0]
        action, log_prob = np.empty(len(x), np.int64), np.empty(len(x), np.float32)
        draw(logits, torch.rand(len(x), 1, generator=generator).numpy(), action, log_prob)
        return Choice(action, {"raw": action, "log_prob": log_prob, "value": value}, None)

    def forward(self, obs: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray, tuple[Any, Any]]:
        """(logits [B, A], value [B, 1], what `backward` needs)."""
        x = self._leaf(obs)
        (logits, actor), (value, critic) = self.actor.forward(x), self.critic.forward(x)
        return logits, value, (actor, critic)

    def backward(self, logits_grad: np.ndarray, value_grad: np.ndarray, steps: tuple[Any, Any]) -> None:
        """Sets every parameter's gradient to that of a loss with these gradients at the outputs."""
        self.actor.backward(logits_grad, steps[0])
        self.critic.backward(value_grad, steps[1])

    def _leaf(self, obs: dict[str, Tensor]) -> np.ndarray:
        """The one observation leaf as the network reads it, [B, F]."""
        if self.network.normaliser is not None:
            obs = self.network.normaliser(obs)
        (x,) = obs.values()
        return x.numpy()
