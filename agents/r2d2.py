"""R2D2 (Kapturowski et al. 2019): Q-learning with a memory, on replayed sequences that start from a stored state.

DRQN (Hausknecht and Stone 2015) is its plain form, the preset `drqn`. Acting and learning run in one process here;
previous action and reward are no inputs of the network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.base import as_tensors
from agents.value import Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork
from rl.errors import InputError
from rl.interface import EnvSpec
from rl.losses import forbid, munchausen_bonus, regression, soft_value, take
from rl.networks import NetConfig
from rl.replay import ColumnSpec, Replay, Sequences
from rl.schedules import value_at


@dataclass(frozen=True)
class R2D2Config(ValueConfig):
    """R2D2's own fields; `batch_size` counts sequences."""

    SWITCHES: ClassVar[dict[str, str]] = {
        **ValueConfig.SWITCHES,
        "priority_mix": "prioritized",
        "rescale_eps": "rescale",
    }

    net: NetConfig = field(default_factory=lambda: NetConfig(core="lstm"))
    """The shared network: any encoder under an LSTM or GRU."""
    burn_in: int = 20
    """Rows that only warm the memory up."""
    length: int = 40
    """Rows after them, from which is learned."""
    period: int = 20
    """A sequence, and with it a stored state, starts every so many rows."""
    stored_state: bool = True
    """Start from the state that acting had there; else from zeros, as DRQN does."""
    rescale: bool = True
    """Learn sign(q) (sqrt(|q| + 1) - 1) + eps q instead of q."""
    rescale_eps: float = 1e-3
    """Its eps."""
    priority_mix: float = 0.9
    """Eta: a sequence's priority is eta times its largest absolute error plus 1 - eta times the mean."""
    huber: bool = False
    """Huber loss with delta 1; else squared error, as in the paper. Beyond delta it regresses on the median: where
    games are short and values large, most targets are a bootstrap, and without `rescale` the values run away."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("length", "period"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.burn_in < 0:
            raise InputError(f"burn_in must not be negative, got {self.burn_in}")
        rows = self.burn_in + self.length + 1
        if rows > self.buffer_size:
            raise InputError(f"buffer_size {self.buffer_size} is less than a sequence of {rows} rows with its burn-in")
        if not 0 <= self.priority_mix <= 1:
            raise InputError(f"priority_mix must lie in [0, 1], got {self.priority_mix}")
        if not self.rescale_eps > 0:
            raise InputError(f"rescale_eps must be above 0, got {self.rescale_eps}")
        if self.munchausen and self.rescale:
            raise InputError("munchausen adds to rewards what rescale changes the scale of: switch one of them off")


class SequenceBatch(NamedTuple):
    """Sequences of burn_in + length + 1 rows as tensors; the last row only bootstraps."""

    obs: dict[str, Tensor]  # [T, B, (S,) ...]
    mask: Tensor | None  # bool [T, B, A]
    action: Tensor  # int64 [T, B], as stored: the one that led to the row
    reward: Tensor  # [T, B], clipped as the learner sees it
    discount: Tensor  # [T, B]
    first: Tensor  # bool [T, B]
    state: Tensor  # [B, state_size], before row 0


class R2D2(ValueAgent):
    """Values of histories, learned from sequences."""

    name = "r2d2"
    Config = R2D2Config
    config: R2D2Config
    network: ValueNetwork
    memory = True

    def __init__(self, spec: EnvSpec, config: R2D2Config, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        if config.net.core == "none":
            raise InputError("r2d2 learns with a memory, net.core is 'none': use core=lstm, core=gru, or dqn")
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)

    def read(self, head: Tensor) -> Q:
        return Q(head)

    @property
    def learning_starts(self) -> int:
        """As the config says, but not long before every environment has shown a sequence: no updates in debt."""
        c = self.config
        return max(c.learning_starts, self.num_envs * (c.burn_in + c.length - 1))

    # sequences

    def build_replay(self, **fields: Any) -> Replay:
        c = self.config
        columns = [ColumnSpec("state", (self.state_size,), every=c.period)] if c.stored_state else []
        return super().build_replay(columns=columns, sequence=c.burn_in + c.length, period=c.period, **fields)

    def _slots(self) -> int:
        c = self.config
        least = c.burn_in + c.length + c.stack + c.period  # one sequence, wherever it starts
        return -(-max(super()._slots(), least) // c.period) * c.period

    def stored(self) -> dict[str, np.ndarray]:
        return {"state": self._stream.memory.cpu().numpy()} if self.config.stored_state else {}

    def sample(self) -> Sequences | None:
        c = self.config
        return self.replay.sample_sequences(c.batch_size, value_at(c.importance, self.step))

    def _batch(self, sampled: Sequences) -> SequenceBatch:  # type: ignore[override]
        c, rows = self.config, sampled.steps
        reward = rows.reward if c.reward_clip is None else np.clip(rows.reward, -c.reward_clip, c.reward_clip)
        rest = {"action": rows.action, "reward": reward, "discount": rows.discount, "first": rows.first}
        rest |= {} if rows.mask is None else {"mask": rows.mask}
        t = as_tensors({**rest, **sampled.extra}, self.device)
        shape = (len(sampled.rows), self.state_size)
        if c.stored_state:
            state = t["state"].reshape(-1, *shape)[0]  # with a period of 1 every row of the sequence has its own
        else:
            state = torch.zeros(shape, device=self.device)
        return SequenceBatch(
            as_tensors(rows.obs, self.device),
            t.get("mask"),
            t["action"],
            t["reward"],
            t["discount"],
            t["first"],
            state,
        )

    def loss(self, batch: SequenceBatch) -> Loss:  # type: ignore[override]
        c = self.config
        rows = batch._replace(
            obs={k: v[c.burn_in :] for k, v in batch.obs.items()},
            mask=None if batch.mask is None else batch.mask[c.burn_in :],
            action=batch.action[c.burn_in :],
            reward=batch.reward[c.burn_in :],
            discount=batch.discount[c.burn_in :],
            first=batch.first[c.burn_in :],
        )
        with torch.no_grad():
            after: Q = self.target(rows.obs, self._warm(self.target, batch), rows.first)
        out: Q = self.network(rows.obs, self._warm(self.network, batch), rows.first)
        with torch.no_grad():
            target = self._target(rows, out.q_values, after.q_values)
        q = take(out.q_values[:-1], rows.action[1:])
        error = q - target
        valid = ~rows.first[1:]
        count = valid.sum(0).clamp(min=1)
        loss = torch.where(valid, regression(error, self.config.huber), 0.0).sum(0) / count
        size = torch.where(valid, error.detach().abs(), 0.0)
        priority = c.priority_mix * size.amax(0) + (1 - c.priority_mix) * size.sum(0) / count
        return Loss(loss, priority, {"q_mean": q.detach()[valid].mean()})

    @torch.no_grad()
    def _warm(self, network: ValueNetwork, batch: SequenceBatch) -> Tensor:
        """The state after the burn-in, [B, state_size]."""
        burn = self.config.burn_in
        if not burn:
            return batch.state
        state = network.torso({k: v[:burn] for k, v in batch.obs.items()}, batch.state, batch.first[:burn])[1]
        assert state is not None
        return state.float()

    def _target(self, rows: SequenceBatch, online: Tensor, after: Tensor) -> Tensor:
        """The n-step returns of all rows but the last, in the scale of the network. [T, B]"""
        c = self.config
        if c.munchausen:
            value = soft_value(forbid(after, rows.mask), c.munchausen_tau)
        else:
            value = take(after, forbid(online if c.double else after, rows.mask).argmax(-1))
        if c.rescale:
            value = unscale(value, c.rescale_eps)
        target = n_step_rows(rows.reward, rows.discount, rows.first, value, c.gamma, c.n_step)
        if c.munchausen:
            now = forbid(after, rows.mask)[:-1]
            target = target + munchausen_bonus(
                now, rows.action[1:], c.munchausen_alpha, c.munchausen_tau, c.munchausen_low
            )
        return rescale(target, c.rescale_eps) if c.rescale else target

    def predicted_bytes(self) -> int:
        states = self._slots() // self.config.period * self.num_envs * self.state_size * 4
        return super().predicted_bytes() + states * self.config.stored_state


def rescale(x: Tensor, eps: float) -> Tensor:
    """sign(x) (sqrt(|x| + 1) - 1) + eps x (Pohlen et al. 2018): large returns without clipping rewards."""
    return x.sign() * ((x.abs() + 1).sqrt() - 1) + eps * x


def unscale(x: Tensor, eps: float) -> Tensor:
    """The inverse of `rescale`, written without the difference of near-equal numbers."""
    size = x.abs() + 1 + eps
    root = 2 * size / (1 + (1 + 4 * eps * size).sqrt())  # sqrt(|y| + 1)
    return x.sign() * (root.square() - 1)


def n_step_rows(reward: Tensor, discount: Tensor, first: Tensor, value: Tensor, gamma: float, n: int) -> Tensor:
    """n-step returns of every row of a sequence, cut at `first` and at its end: [T+1, B] to [T, B].

    Args:
        reward, discount, first: rows as stored.
        value: what each row bootstraps with. Rows that start no transition get their own value, which means nothing.
    """
    total = value
    for _ in range(n):
        ahead = torch.where(discount[1:] > 0, gamma * discount[1:] * total[1:], 0.0)
        total = torch.cat([torch.where(first[1:], value[:-1], reward[1:] + ahead), value[-1:]])
    return total[:-1]
