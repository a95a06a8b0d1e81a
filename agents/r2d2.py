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

from agents.base import as_tensors, each_tensor
from agents.value import Loss, ValueAgent
from agents.value_config import ValueConfig
from agents.value_player import Q, ValueNetwork
from rl.errors import InputError
from rl.fields import at_least, fraction, not_negative, positive
from rl.interface import EnvSpec
from rl.losses import regression, take
from rl.networks import NetConfig
from rl.replay import ColumnSpec, Sequences
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
    burn_in: int = not_negative(20)
    """Rows that only warm up the recurrent state."""
    length: int = at_least(1, 40)
    """Rows after the burn-in, which are learned from."""
    period: int = at_least(1, 20)
    """Rows between the starts of two sequences, and between two stored states."""
    stored_state: bool = True
    """Start from the recurrent state that was stored while acting; else from zeros, as DRQN does."""
    rescale: bool = True
    """Learn sign(q) (sqrt(|q| + 1) - 1) + eps q instead of q."""
    rescale_eps: float = positive(1e-3)
    """Epsilon of that rescaling."""
    priority_mix: float = fraction(0.9)
    """Eta: a sequence's priority is eta times its largest absolute error plus 1 - eta times the mean."""
    huber: bool = False
    """Huber loss with delta 1; else the squared error, as in the paper. Beyond delta, Huber regresses on the median:
    with short episodes, large values and no `rescale`, the values then diverge, because most targets are bootstraps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = self.burn_in + self.length + 1
        if rows > self.buffer_size:
            raise InputError(f"buffer_size {self.buffer_size} is less than a sequence of {rows} rows with its burn-in")
        if self.munchausen and self.rescale:
            raise InputError("munchausen adds to the rewards, and rescale changes their scale: switch one of them off")


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
        """The config's, but at least about one sequence of each environment: otherwise missed updates would pile up."""
        c = self.config
        return max(c.learning_starts, self.num_envs * (c.burn_in + c.length - 1))

    # sequences

    def replay_fields(self) -> dict[str, Any]:
        c, fields = self.config, super().replay_fields()
        least = c.burn_in + c.length + c.stack + c.period  # one sequence, wherever it starts
        return fields | {
            "slots": -(-max(fields["slots"], least) // c.period) * c.period,
            "columns": [ColumnSpec("state", (self.state_size,), every=c.period)] if c.stored_state else [],
            "sequence": c.burn_in + c.length,
            "period": c.period,
        }

    def stored(self) -> dict[str, np.ndarray]:
        return {"state": self._stream.memory.cpu().numpy()} if self.config.stored_state else {}

    def sample(self) -> Sequences | None:
        c = self.config
        return self.replay.sample_sequences(c.batch_size, value_at(c.importance, self.step))

    def _batch(self, sampled: Sequences) -> SequenceBatch:  # type: ignore[override]
        c, rows = self.config, sampled.steps
        rest = {
            "action": rows.action,
            "reward": self.learner_rewards(rows.reward),
            "discount": rows.discount,
            "first": rows.first,
        }
        rest |= {} if rows.mask is None else {"mask": rows.mask}
        t = as_tensors({**rest, **sampled.extra}, self.device)
        shape = (len(sampled.rows), self.state_size)
        if c.stored_state:
            state = t["state"].reshape(-1, *shape)[0]  # with a period of 1 every row of the sequence has its own
        else:
            state = torch.zeros(shape, device=self.device)
        return SequenceBatch(
            self.normalised(as_tensors(rows.obs, self.device)),
            t.get("mask"),
            t["action"],
            t["reward"],
            t["discount"],
            t["first"],
            state,
        )

    def part_of(self, batch: SequenceBatch, own: slice) -> SequenceBatch:
        return each_tensor(batch, lambda x: x[:, own])._replace(state=batch.state[own])

    def loss(self, batch: SequenceBatch) -> Loss:  # type: ignore[override]
        c = self.config
        rows = each_tensor(batch, lambda x: x[c.burn_in :])
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
        """The n-step returns of all rows but the last, rescaled if `rescale`. [T, B]"""
        c = self.config
        if c.munchausen:
            value = self.soft_value(after, rows.mask)
        else:
            value = take(after, self.best_action(lambda: online, after, rows.mask))
        if c.rescale:
            value = unscale(value, c.rescale_eps)
        target = n_step_rows(rows.reward, rows.discount, rows.first, value, c.gamma, c.n_step)
        if c.munchausen:
            now = None if rows.mask is None else rows.mask[:-1]
            target = target + self.log_policy_bonus(after[:-1], now, rows.action[1:])
        return rescale(target, c.rescale_eps) if c.rescale else target


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
        value: each row's bootstrap value. Rows that start no transition get their own value, which has no meaning.
    """
    total = value
    for _ in range(n):
        ahead = torch.where(discount[1:] > 0, gamma * discount[1:] * total[1:], 0.0)
        total = torch.cat([torch.where(first[1:], value[:-1], reward[1:] + ahead), value[-1:]])
    return total[:-1]
