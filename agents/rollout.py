"""The base of the on-policy learners: rollouts of the replay's newest rows, minibatches and gradient updates.

The output of `act` for row t (action, value, ...) is stored with row t+1, to which the action led. The recurrent state
before row t is stored with row t itself. An update reads the newest T+1 rows: T of them have an action, and the newest
one, which has none yet, gives the value to bootstrap from. It is row 0 of the next update. Rows that start no
transition have no weight in any loss or statistic.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Agent, Metrics, as_tensors, each_tensor
from agents.policy_config import RolloutConfig
from rl.errors import NonFiniteError
from rl.interface import EnvSpec, TimeStep
from rl.networks.init import seeded
from rl.normalise import ReturnMoments
from rl.optim import FlatOptimizer
from rl.replay import ColumnSpec
from rl.schedules import value_at
from rl.seeding import derive_seed

if TYPE_CHECKING:
    from rl.ranks import Ranks


TOGETHER = 2**24
"""Bytes of observations up to which a rollout is brought into its new order as a whole."""


class Rollout(NamedTuple):
    """T rows of N environments with an action each, and the rewards that followed."""

    rows: Any  # the agent's batch, [T, N, ...]
    reward: Tensor  # float32 [T, N], raw: of the transition that the row starts
    discount: Tensor  # float32 [T, N]
    ended: Tensor  # bool [T, N]: the row is the last of its episode and starts no transition


class RowLoss(NamedTuple):
    """The result of `loss`."""

    loss: Tensor  # [B] or [T, B]; after `gradient` their mean, a scalar
    metrics: Metrics  # [B] or [T, B], averaged over the valid rows, or all of them scalars


class RolloutAgent(Agent):
    """Learns from the newest rows that it played, each of them used for one rollout."""

    config: RolloutConfig

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        with seeded(derive_seed(seed, "weights")):
            self.network = self.build_network().to(self.device)
        self.optimizer = FlatOptimizer(
            self.network, config.optimizer, config.adam_eps, max_grad_norm=config.max_grad_norm
        )
        self._shuffle = torch.Generator().manual_seed(derive_seed(seed, "minibatches"))
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._begun = 0  # time of the first row that no update has used
        self.returns = ReturnMoments(num_envs).to(self.device)
        """Moments of the discounted return; only the deviation is used, and only with `normalize_return`."""

    # defined by subclasses

    @abstractmethod
    def build_network(self) -> nn.Module:
        """The network, on the CPU."""

    @abstractmethod
    def columns(self) -> list[ColumnSpec]:
        """The columns that `act` gives for the next row; one of them is `value`."""

    @abstractmethod
    def last_value(self, obs: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
        """The value [N] of the newest row: `obs` are its leaves, `rows` all columns as in `batch`."""

    @abstractmethod
    def batch(self, obs: dict[str, Tensor], rows: dict[str, Tensor]) -> Any:
        """The rollout's T rows for the loss.

        Args:
            obs: leaves [T, N, (S,) ...], of the rows 0 .. T - 1.
            rows: columns [T+1, N, ...] as stored, but `value` [T+1, N] is each row's own value.
        """

    @abstractmethod
    def loss(self, batch: Any) -> RowLoss:
        """Loss and metrics of each row; the base leaves out the rows that are not valid."""

    def batches(self, rollout: Rollout) -> Iterator[Any]:
        """The minibatches of one update; by default all rows once."""
        yield self.select(rollout)

    def enough(self, out: RowLoss, batch: Any) -> bool:
        """Whether to stop the passes over this rollout before the step on this minibatch."""
        return False

    @property
    def rows_kept(self) -> int:
        """Rows of each environment that the replay holds."""
        return self.config.rollout + 1

    def due(self) -> bool:
        """Whether the rows since the last update make a rollout."""
        return self.replay.count - 1 - self._begun >= self.config.rollout

    def begin_next(self) -> int:
        """Time of the next rollout's first row, called after a rollout was read: by default the newest row."""
        return self.replay.count - 1

    def learned(self, rollout: Rollout) -> None:
        """Updates the normalisers, after the update so that it used the same statistics as acting did."""
        frames = {k: v[:, :, -1] if self.stack > 1 else v for k, v in rollout.rows.obs.items()}
        for normaliser in self.normalisers:
            normaliser.update({k: v[rollout.rows.valid] for k, v in frames.items()})
        if self.config.normalize_return:
            reward = self.clipped(rollout.reward)
            self.returns.add(reward, rollout.discount, rollout.ended, self.config.gamma)

    # the training stream

    @property
    def recurrent(self) -> bool:
        return self.state_size > 0

    def replay_fields(self) -> dict[str, Any]:
        state = [ColumnSpec("state", (self.state_size,))] if self.recurrent else []
        slots, stack = self.rows_kept + self.stack - 1, self.stack
        return {"slots": slots, "columns": self.columns() + state, "stack": stack, "store": self.config.store}

    def observe(self, ts: TimeStep) -> None:
        n = self.num_envs
        extra = self._stream.extra or {c.name: np.zeros((n, *c.shape), c.dtype) for c in self.columns()}
        if self.recurrent:
            extra = {**extra, "state": self._stream.memory.cpu().numpy()}
        self.reward_scale.observe(self, ts)
        self.replay.append(ts, extra)
        self.step += n - int(np.count_nonzero(ts.first))

    def update(self) -> Metrics | None:
        if not self.due():
            return None
        rollout = self.rollout(self.replay.count - self._begun)
        self._begun = self.begin_next()
        metrics = self.learn(rollout) if bool(rollout.rows.valid.any()) else None
        self.learned(rollout)
        return metrics

    def rollout(self, length: int) -> Rollout:
        """The newest `length` rows; the newest row itself only bootstraps."""
        rows, extra = self.replay.newest(length)
        obs = as_tensors(rows.obs, self.device)
        columns = {"action": rows.action, "reward": rows.reward, "discount": rows.discount, "first": rows.first}
        columns |= extra if rows.mask is None else {**extra, "mask": rows.mask}
        t = as_tensors(columns, self.device)
        t.setdefault("state", torch.zeros(length, self.num_envs, 0, device=self.device))
        with torch.no_grad():
            last = self.last_value({k: v[-1] for k, v in obs.items()}, t)
        t["value"] = torch.cat([t["value"][1:], last.unsqueeze(0)])
        batch = self.batch({k: v[:-1] for k, v in obs.items()}, t)
        return Rollout(batch, t["reward"][1:], t["discount"][1:], t["first"][1:])

    def clipped(self, reward: Tensor) -> Tensor:
        """The rewards as `reward_clip` leaves them for the learner."""
        limit = self.config.reward_clip
        return reward if limit is None else reward.clamp(-limit, limit)

    def learner_rewards(self, reward: Tensor, discount: Tensor, ended: Tensor) -> Tensor:
        """The rewards [T, N] that are learned from: clipped, then divided by the deviation of the discounted return.

        The first rollout is divided by its own deviation, so that the value does not have to change its scale later.
        """
        reward = self.clipped(reward)
        if not self.config.normalize_return:
            return reward
        variance = self.returns.var
        if self.returns.count == 0:
            every = self.returns.follow(reward, discount, ended, self.config.gamma)[0][~ended]
            variance = every.double().var(unbiased=False) if len(every) > 1 else variance
        return self.returns.scaled(reward, variance)

    def rewards_of(self, rows: dict[str, Tensor]) -> Tensor:
        """`learner_rewards` of a rollout's columns [T+1, N]. Row 0 has its raw reward, which nothing reads."""
        reward, discount, first = rows["reward"], rows["discount"], rows["first"]
        return torch.cat([reward[:1], self.learner_rewards(reward[1:], discount[1:], first[1:])])

    def items(self, rollout: Rollout) -> Tensor:
        """The items that minibatches are made of, int64: transitions t * N + env, or environments if recurrent."""
        valid = rollout.rows.valid
        return (valid.any(0) if self.recurrent else valid.flatten()).nonzero().squeeze(1)

    def select(self, rollout: Rollout, index: Tensor | None = None) -> Any:
        """The batch of the items `index`, int64 [B], of a rollout; None selects all of them."""
        rows = rollout.rows
        if self.recurrent:
            index = self.items(rollout) if index is None else index
            return self.prepared(each_tensor(rows, lambda x: x[:, index])._replace(state=rows.state[index]))
        flat = _flat(rows)
        if index is None:
            index = self.items(rollout)
            if len(index) == rows.valid.numel():
                return self.prepared(flat)
        return self.prepared(_at(flat, index))

    def prepared(self, batch: Any) -> Any:
        """The batch of some items as the loss takes it."""
        return batch

    def shuffled(self, rollout: Rollout, passes: int, parts: int) -> Iterator[Any]:
        """Minibatches of `passes` passes over a rollout, each in a new order and in `parts` near-equal parts."""
        items = self.items(rollout)
        ours = type(self).select is RolloutAgent.select  # a subclass may select in its own way
        together = ours and not self.recurrent and sum(x.nbytes for x in rollout.rows.obs.values()) <= TOGETHER
        for _ in range(passes):
            order = items[torch.randperm(len(items), generator=self._shuffle).to(self.device)]
            if not together:
                for index in order.tensor_split(parts):
                    yield self.select(rollout, index)
                continue
            rows = _at(_flat(rollout.rows), order)  # copied once, not in each part
            split = each_tensor(rows, lambda x: x.tensor_split(parts))
            for k in range(parts):
                yield self.prepared(_at(split, k))

    def learn(self, rollout: Rollout) -> Metrics:
        """All gradient updates on one rollout. Returns the metrics averaged over them.

        Raises NonFiniteError, with the weights from before that update, if a loss is not finite.
        """
        lr = value_at(self.config.lr, self.step)
        names: list[str] = []
        losses, norms, metrics = list[Tensor](), list[Tensor](), list[Tensor]()
        for batch in self.batches(rollout):
            out = self.gradient(batch) if self.ranks is None else self._shared_gradient(batch, self.ranks)
            if losses and self.enough(out, batch):
                break
            try:
                norm = self.optimizer.apply(out.loss, lr)
            except NonFiniteError as error:
                wrong = [k for k, v in out.metrics.items() if not bool(torch.isfinite(average(v, batch.valid)))]
                source = f" ({', '.join(wrong)})" if wrong else ""
                where = f"{self.name}, update {self.updates + 1}, step {self.step}"
                raise NonFiniteError(f"{where}: {error}{source}") from None
            self.updates += 1
            names = list(out.metrics)
            losses.append(out.loss)
            norms.append(norm)
            values = [v.detach() for v in out.metrics.values()]
            metrics += values if values[0].dim() == 0 else average(torch.stack(values), batch.valid)
        return {
            "loss": torch.stack(losses).mean(),
            "grad_norm": torch.stack(norms).mean(),
            **dict(zip(names, torch.stack(metrics).view(len(losses), -1).mean(0), strict=True)),
        }

    def gradient(self, batch: Any) -> RowLoss:
        """Sets the gradient of the mean loss over the batch's valid rows; returns that mean, detached, as the loss."""
        out = self.loss(batch)
        loss = average(out.loss, batch.valid)
        self.optimizer.backward(loss)
        return out._replace(loss=loss.detach())

    def _shared_gradient(self, batch: Any, ranks: Ranks) -> RowLoss:
        """`gradient`, each rank's part of it summed over the ranks; loss and metrics are scalars then."""
        rows = batch.valid.shape[-1]
        if rows < ranks.count:
            return self.gradient(batch)
        part = np.array_split(np.arange(rows), ranks.count)[ranks.rank]
        own = slice(int(part[0]), int(part[-1]) + 1)
        share = each_tensor(batch, lambda x: x[:, own] if self.recurrent else x[own])
        share = share._replace(state=batch.state[own]) if self.recurrent else share
        out = self.gradient(share)
        numbers = [out.loss, *(average(v.detach(), share.valid) for v in out.metrics.values())]
        together = torch.cat([self.optimizer.grad, torch.stack(numbers)])
        if share.valid.any():
            together *= share.valid.sum() / batch.valid.sum()
        else:  # the mean of no row is not a number
            together.zero_()
        ranks.sum(together)
        self.optimizer.grad.copy_(together[: -len(numbers)])
        loss, *values = together[-len(numbers) :]
        return RowLoss(loss, dict(zip(out.metrics, values, strict=True)))

    # for viewers

    def next_update(self) -> tuple[Any, Tensor | None] | None:
        """The first minibatch of one more pass over the newest rollout."""
        length = min(self.replay.count - self.replay.oldest, self.rows_kept)
        rollout = self.rollout(length) if length > 1 else None
        if rollout is None or not bool(rollout.rows.valid.any()):
            return None
        return next(iter(self.batches(rollout))), None

    def objective(self, batch: Any, weight: Tensor | None) -> Tensor:
        return average(self.loss(batch).loss, batch.valid)

    # saving

    @property
    def keeps_returns(self) -> bool:
        """Whether checkpoints hold the moments of the return."""
        return self.config.normalize_return

    def parts(self) -> dict[str, Any]:
        returns = {"returns": self.returns} if self.keeps_returns else {}
        return {**super().parts(), "shuffle": self._shuffle, **returns}

    def learner_state(self) -> dict[str, Any]:
        running = {"running": self.returns.running.clone()} if self.keeps_returns else {}
        return {"begun": self._begun, **running, **super().learner_state()}

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._begun = state["begun"]
        if self.keeps_returns:
            self.returns.running = state["running"].to(self.device)


def _flat(rows: Any) -> Any:
    """The transitions [T, N, ...] as [T * N, ...]; without a recurrent core there is no state."""
    return each_tensor(rows, lambda x: x.flatten(0, 1))._replace(state=rows.state[:0])


def _at(rows: Any, index: Tensor | int) -> Any:
    """Some of the rows [B, ...], or entry `index` of what stands in the columns' places."""
    return each_tensor(rows, lambda x: x[index])


def average(x: Tensor, valid: Tensor) -> Tensor:
    """The mean of x [..., B] or [..., T, B] over the rows with `valid` [B] or [T, B]. A flat batch is all valid."""
    if valid.dim() == 1:
        return x.mean(-1)
    return torch.where(valid, x, 0.0).sum((-2, -1)) / valid.sum()
