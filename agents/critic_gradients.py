"""SAC's and TD3's gradients by hand on `rl.networks.dense`, as in `numpy_gradients` for DQN and PPO, and their acting.

The losses are defined in `critics.py`, `sac.py` and `td3.py`, in PyTorch. Read them there. An update of theirs is up to
eight passes through networks of 256 by 256. Autograd records every operation, and computes gradients that nobody reads:
those of the rows whose value another critic decides.

`DenseCritics.of` returns None, and autograd does it all, unless all of the following hold: continuous actions, one
plain vector as observation, MLPs that `Dense.of_mlp` accepts, a value for each critic (no quantiles), no
dropout or gSDE, and no subclass that overrides a method on which the loss depends (`METHODS`).

One test compares loss, metrics, priorities and gradients with autograd's (tests/agents/test_critic_gradients.py).
Notation: `x_grad` is the derivative of the mean loss by x. B rows, E critics, K action components.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.numpy_gradients import inherited
from rl.distributions import HALF_LOG_TAU, LOG_STD_RANGE
from rl.networks.dense import Dense
from rl.schedules import value_at

METHODS = (
    *("critic_loss", "next_policy", "values", "lowest", "learn_policy", "policy_loss", "loss_and_entropy"),
    *("policy_value", "build_policy", "build_network", "decide", "choose"),
)
"""A subclass that overrides one of them is learned by autograd."""


class DenseParts:
    """A network that says what it is in NumPy."""

    def dense_parts(self) -> list[Dense | None]:
        """The policy, or each critic; None where a subclass or a layer may compute something else."""
        raise NotImplementedError


class CriticGradient(NamedTuple):
    """What `learn_critics` returns; the gradient itself is in the parameters' `.grad`."""

    loss: Tensor  # the weighted mean, a scalar
    priority: Tensor  # [B]
    metrics: dict[str, Tensor]  # scalars


class Drawn(NamedTuple):
    """Squashed actions in [-1, 1] drawn from a policy, and what their derivatives need; all [B, K] but `log_prob`."""

    action: np.ndarray
    log_prob: np.ndarray  # [B]
    spread: np.ndarray  # the deviation times the noise
    within: np.ndarray  # bool: the logarithm of the deviation lies within its limits


class DenseCritics:
    """The networks of a SAC or TD3 agent in NumPy, on the memory of PyTorch's parameters."""

    def __init__(self, agent: Any, networks: dict[str, list[Dense]]) -> None:
        self.agent = agent
        self.policy, self.critics = networks["policy"][0], networks["critics"]
        self.target_critics = networks.get("target_critics", [])
        self.target_policy = networks.get("target_policy", networks["policy"])[0]

    @classmethod
    def of(cls, agent: Any) -> DenseCritics | None:
        """The agent's networks in NumPy, or None if their loss is not written here (see above)."""
        c = agent.config
        plain = agent.box and c.quantiles == 1 and not getattr(c, "gsde", False)
        methods = [name for name in METHODS if hasattr(agent, name)]
        if not (plain and agent.numpy_loss in ("sac", "td3") and inherited(agent, *methods)):
            return None
        parts = {name: agent.network[name] for name in ("policy", "critics")}
        parts |= {f"target_{name}": target.module for name, target in agent.targets.items()}
        found: dict[str, list[Any]] = {name: _dense(part) for name, part in parts.items()}
        if any(dense is None for every in found.values() for dense in every):
            return None
        return cls(agent, found)

    @property
    def learns(self) -> bool:
        """True if no parameter is frozen."""
        return self.policy.learns and all(critic.learns for critic in self.critics)

    # acting

    def explore(self, obs: np.ndarray, generator: torch.Generator) -> Tensor:
        """The actions of `SAC.decide` or `TD3.decide` in training, [N, K] in [-1, 1]."""
        out = self.policy(obs)
        if self.agent.numpy_loss == "sac":
            return torch.from_numpy(self._draw(out, generator).action)
        noise = float(value_at(self.agent.config.explore_noise, self.agent.step))
        drawn = torch.randn(out.shape, generator=generator).numpy()
        return torch.from_numpy((np.tanh(out) + noise * drawn).clip(-1, 1))

    # the critics' update

    @np.errstate(all="ignore")  # a next observation may be anything if the episode ended; `apply` refuses what is left
    def learn_critics(self, batch: Any, weight: np.ndarray | None) -> CriticGradient:
        """`CriticAgent.critic_loss`, its mean with each row weighted by `weight` [B] if given, and its gradient."""
        (obs,), (next_obs,) = ([x.numpy() for x in leaves.values()] for leaves in (batch.obs, batch.next_obs))
        seen = np.concatenate([obs, batch.action.numpy()], 1)
        action, bonus = self._next_sac(next_obs) if self.agent.numpy_loss == "sac" else self._next_td3(next_obs)
        coming = np.concatenate([next_obs, action], 1)
        if self.agent.config.batch_renorm:  # both time steps share statistics, and there is no target network
            seen = np.concatenate([seen, coming])
        passes = [critic.forward(seen, learns=True) for critic in self.critics]
        after = [critic(coming) for critic in self.target_critics] or [q[len(obs) :] for q, _ in passes]
        lowest = np.minimum.reduce(after)[:, 0] + bonus
        reward, discount = (x.numpy().astype(np.float32, copy=False) for x in (batch.reward, batch.discount))
        target = reward + np.where(discount > 0, discount * lowest, np.float32(0))
        q = np.concatenate([values[: len(obs)] for values, _ in passes], 1)  # [B, E]
        error = q - target[:, None]
        loss, q_grad = 0.5 * np.add.reduce(error * error, 1), error
        if weight is not None:
            loss, q_grad = loss * weight, error * weight[:, None]
        q_grad = np.concatenate([q_grad / np.float32(len(q)), np.zeros((len(seen) - len(q), q.shape[1]), np.float32)])
        for i, (critic, (_, steps)) in enumerate(zip(self.critics, passes, strict=True)):
            critic.backward(q_grad[:, i : i + 1], steps)
        spread = np.maximum.reduce(q, 1) - np.minimum.reduce(q, 1)
        metrics = {"q_mean": _mean(q), "q_spread": _mean(spread)}
        return CriticGradient(_mean(loss), torch.from_numpy(np.abs(error).mean(1)), metrics)

    def _next_sac(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`SAC.next_policy`: actions [B, K], and their entropy times the temperature [B]."""
        drawn = self._draw(self.policy(obs), self.agent._noise)
        return drawn.action, -float(self.agent.temperature) * drawn.log_prob

    def _next_td3(self, obs: np.ndarray) -> tuple[np.ndarray, np.float32]:
        """`TD3.next_policy`: noisy actions [B, K], to which nothing is added."""
        c = self.agent.config
        action = np.tanh(self.target_policy(obs))
        limit = float(c.target_noise_clip)  # a NumPy number would make it all float64
        noise = float(c.target_noise) * torch.randn(action.shape, generator=self.agent._noise).numpy()
        return (action + noise.clip(-limit, limit)).clip(-1, 1), np.float32(0)

    def _draw(self, out: np.ndarray, generator: torch.Generator) -> Drawn:
        """Actions of SAC's policy, whose output is the means and the logarithms of the deviations, [B, 2K].

        PyTorch finds the noise again as (raw - mean) / deviation, which is less exact for small deviations.
        """
        mean, log_std = np.split(out, 2, 1)
        kept = log_std.clip(*LOG_STD_RANGE)
        noise = torch.randn(mean.shape, generator=generator).numpy()
        spread = np.exp(kept) * noise
        raw = mean + spread
        # of the Gaussian, minus log d tanh(raw) / d raw = 2 (log 2 - raw - softplus(-2 raw))
        slope = 2 * (math.log(2) - raw - np.logaddexp(np.float32(0), -2 * raw))
        each = -0.5 * noise * noise - kept - HALF_LOG_TAU - slope
        return Drawn(np.tanh(raw), np.add.reduce(each, 1), spread, kept == log_std)

    # the policy's update

    @np.errstate(all="ignore")
    def learn_sac(self, batch: Any) -> tuple[Tensor, Tensor]:
        """`SAC.policy_loss` and the entropy [B]; sets the policy's gradient, and no critic's."""
        (obs,) = (x.numpy() for x in batch.obs.values())
        out, steps = self.policy.forward(obs, learns=True)
        drawn, temperature = self._draw(out, self.agent._noise), float(self.agent.temperature)
        seen, share = np.concatenate([obs, drawn.action], 1), np.float32(1 / len(obs))
        passes = [critic.forward(seen) for critic in self.critics]
        q = np.concatenate([values for values, _ in passes], 1)
        lowest = np.equal(q, np.minimum.reduce(q, 1, keepdims=True)).astype(np.float32)
        lowest /= np.add.reduce(lowest, 1, keepdims=True)  # equal ones share the gradient
        action_grad = self._action_gradient(passes, -share * lowest, drawn.action.shape[1])
        # d tanh = 1 - action^2, and d log_prob / d raw = 2 action, since raw moves with the mean at a given noise
        raw_grad = action_grad * (1 - drawn.action**2) + (2 * temperature * share) * drawn.action
        log_std_grad = (raw_grad * drawn.spread - temperature * share) * drawn.within
        self.policy.backward(np.concatenate([raw_grad, log_std_grad], 1), steps)
        loss = temperature * drawn.log_prob - np.minimum.reduce(q, 1)
        return _mean(loss), torch.from_numpy(-drawn.log_prob)

    @np.errstate(all="ignore")
    def learn_td3(self, batch: Any) -> Tensor:
        """`TD3.policy_loss`; sets the policy's gradient, and no critic's."""
        (obs,) = (x.numpy() for x in batch.obs.values())
        out, steps = self.policy.forward(obs, learns=True)
        action = np.tanh(out)
        first = self.critics[0].forward(np.concatenate([obs, action], 1))
        share = np.full((len(obs), 1), -1 / len(obs), np.float32)
        action_grad = self._action_gradient([first], share, action.shape[1])
        self.policy.backward(action_grad * (1 - action * action), steps)
        return -_mean(first[0])

    def _action_gradient(self, passes: list[Any], q_grad: np.ndarray, size: int) -> np.ndarray:
        """The gradient at the actions [B, K] that the critics saw, from that at their values [B, E]."""
        total = np.zeros((len(q_grad), size), np.float32)
        for i, (critic, (_, steps)) in enumerate(zip(self.critics, passes, strict=False)):
            rows = np.flatnonzero(q_grad[:, i])  # for SAC those where this critic is the lowest
            kept = steps if len(rows) == len(q_grad) else steps.at(rows)
            total[rows] += critic.input_gradient(q_grad[rows, i : i + 1], kept, slice(-size, None))
        return total


def _dense(module: Any) -> list[Dense | None]:
    """A policy, or each critic, in NumPy; None for what autograd keeps, such as a network without hidden layers."""
    every = module.dense_parts() if isinstance(module, DenseParts) else [None]
    return [dense if dense is not None and dense.depth else None for dense in every]


def _mean(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(np.add.reduce(x, None) / x.size))
