"""Acting with action values: the network's outputs and epsilon-greedy selection."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Agent, Choice, Decision, as_tensors
from rl.interface import Obs, TimeStep
from rl.losses import forbid
from rl.networks.heads import ValueHead, set_noise
from rl.networks.small import SmallNetwork, small_network
from rl.networks.torso import Torso
from rl.schedules import Ramp, value_at

LOWEST = np.finfo(np.float32).min
"""The value of an action that is not allowed."""


class Q(NamedTuple):
    """A value network's output, the same for every agent; entries that an agent does not have are None."""

    q_values: Tensor  # [B, A]
    state: Tensor | None = None  # [B, state_size]
    logits: Tensor | None = None  # [B, A, Z], C51
    quantiles: Tensor | None = None  # [B, A, Z], QR-DQN and IQN
    taus: Tensor | None = None  # [B, Z], IQN


class ValueNetwork(nn.Module):
    """The shared torso under one value head; the agent's `read` turns the head's output into a `Q`."""

    def __init__(self, torso: Torso, head: nn.Module, read: Callable[[Tensor], Q]) -> None:
        super().__init__()
        self.torso, self.head, self.read = torso, head, read

    def forward(self, obs: dict[str, Tensor], state: Tensor | None = None, first: Tensor | None = None) -> Q:
        """Values of leaves [B, ...]; with a recurrent core of [T, B, ...], from `state` on, restarted at `first`."""
        features, state = self.torso(obs, state, first)
        out = in_float32(lambda x: self.read(self.head(x)), features)
        return out if state is None else out._replace(state=state)

    def dense(self) -> SmallNetwork | None:
        """The network in NumPy or compiled, if it is an MLP with one value for each action, else None."""
        head = self.head
        return small_network(self.torso, head.advantage) if type(head) is ValueHead and head.plain else None


T = TypeVar("T")


def in_float32(head: Callable[[Tensor], T], features: Tensor) -> T:
    """The head's output in float32: bf16 cannot tell 6.00 from 6.01, and actions differ by less than that."""
    if features.dtype == torch.float32 and not torch.is_autocast_enabled(features.device.type):
        return head(features)
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())


class ValuePlayer(Agent):
    """The acting half of a value learner: greedy in the values, at random with probability epsilon."""

    network: nn.Module
    noisy: bool = False
    """Whether the network has noisy layers, whose noise is off outside training."""

    @cached_property
    def dense(self) -> SmallNetwork | None:
        """The network in NumPy, if the agent and the network allow it (see `agents.numpy_gradients`), else None.

        Made at the first use: until then a subclass may replace the network or the optimizer.
        """
        return None

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        silence = self.noisy and actor.mode != "explore"
        if silence:
            set_noise(self.network, False)
        try:
            out = self._evaluate(actor, self.normalised(obs), ts)
        finally:
            if silence:
                set_noise(self.network, True)
        return self._select(actor, out.q_values.detach().cpu().numpy(), ts, out)

    def choose_by_numpy(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice | None:
        if self.dense is None:
            return None
        (x,) = obs.values()
        if "normaliser" in self.network._modules:
            (leaf,) = self.normalised(as_tensors(obs, self.device)).values()
            x = leaf.numpy()
        values = self.dense(x)
        return self._select(actor, values, ts, Q(torch.from_numpy(values)))

    def _select(self, actor: Actor, values: np.ndarray, ts: TimeStep, out: Q) -> Choice:
        if ts.mask is not None:
            values = np.where(ts.mask, values, LOWEST)
        action = values.argmax(-1)
        epsilon = self.epsilon(actor.mode)
        if epsilon > 0:
            action = epsilon_greedy(action, epsilon, self.spec.action.nvec[0], ts.mask, actor.rng)
        return Choice(action, {}, out)

    def _evaluate(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Q:
        """The network's output for one row; advances the actor's recurrent state if there is one."""
        if not self.state_size:
            return self.network(obs)  # type: ignore[no-any-return]
        first = torch.tensor(ts.first).to(self.device)
        out: Q = self.network({k: v.unsqueeze(0) for k, v in obs.items()}, actor.memory, first.unsqueeze(0))
        assert out.state is not None
        actor.memory = out.state
        return Q(out.q_values[0], out.state)

    def greedy(self, obs: dict[str, Tensor], mask: Tensor | None, state: Tensor | None) -> Decision:
        obs = self.normalised(obs)
        if self.state_size:
            out: Q = self.network({name: leaf.unsqueeze(0) for name, leaf in obs.items()}, state)
            out = out._replace(q_values=out.q_values[0])
        else:
            out = self.network(obs)
        return Decision(forbid(out.q_values, mask).argmax(-1), {"values": out.q_values}, out.state)

    def draws(self, sample: bool) -> bool:
        return self.epsilon("sample" if sample else "greedy") > 0

    def epsilon(self, mode: str) -> float:
        """Share of random actions: scheduled in training, `eval_epsilon` if greedy, the schedule's end if sampled."""
        c = self.config
        if mode == "greedy":
            return float(c.eval_epsilon)
        if mode == "sample":
            return float(c.epsilon.end if isinstance(c.epsilon, Ramp) else c.epsilon)
        return 1.0 if self.step < self.learning_starts else value_at(c.epsilon, self.step)

    @property
    def learning_starts(self) -> int:
        """Counted steps of uniformly random play."""
        return 0

    def schedule(self) -> dict[str, float]:
        return {"epsilon": self.epsilon("explore"), "lr": value_at(self.config.lr, self.step)}

    @property
    def state_size(self) -> int:
        return int(self.network.torso.state_size)  # type: ignore[union-attr, arg-type]


def epsilon_greedy(
    greedy: np.ndarray, epsilon: float, actions: int, mask: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """`greedy` (int64 [N]), each entry replaced with probability `epsilon` by a uniformly drawn allowed action."""
    chance, which = rng.random((2, len(greedy)))
    chosen = chance < epsilon
    if not any(chosen.tolist()):
        return greedy
    if mask is None:
        drawn = (which * actions).astype(np.int64)
    else:  # the k-th allowed action, k uniform below their number
        rank = (which * mask.sum(1)).astype(np.int64)
        drawn = (np.cumsum(mask, axis=1) > rank[:, None]).argmax(1)
    return np.where(chosen, drawn, greedy)
