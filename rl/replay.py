"""The shared memory: a ring of rows for N environments, from which every learner reads its own view.

Rows are stored once, as the environment showed them. Transitions, n-step windows, frame stacks and sequences are
derived when they are read, and cut at `first` and nowhere else (docs/architecture.md). A row is named by its time t,
which counts from the first row ever appended and never wraps; its place is t % slots. (t, env) pairs are packed into
one int64 index, t * num_envs + env.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from rl import replay_rows
from rl.columns import make_column, predict_bytes
from rl.errors import InputError
from rl.frame_stack import stack_times
from rl.interface import EnvSpec, Obs, TimeStep
from rl.seeding import generator_state, restore_generator
from rl.sumtree import SumTree

SPARE = 4
"""One row more is drawn for each so many: some are not eligible, and a second draw takes as long as the first."""


@dataclass(frozen=True)
class ColumnSpec:
    """A column that an agent adds to the fixed ones."""

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    every: int = 1
    """Stored in rows whose time is a multiple of this, for example recurrent states."""


class Windows(NamedTuple):
    """B sampled n-step windows, rewards raw. The window of row t covers the rows t+1 .. t+length."""

    rows: np.ndarray  # int64 [B]: the start rows
    obs: Obs  # [B, (S,) ...]
    mask: np.ndarray | None  # bool [B, A]
    action: np.ndarray  # [B, ...]: taken at the start row
    reward: np.ndarray  # float32 [n, B], 0 beyond the length
    discount: np.ndarray  # float32 [n, B], 1 beyond the length
    length: np.ndarray  # int64 [B], 1 .. n
    next_obs: Obs  # [B, (S,) ...] at row t + length
    next_mask: np.ndarray | None
    weight: np.ndarray  # float32 [B]: importance weights, the largest 1


class Sequences(NamedTuple):
    """B sampled sequences of consecutive rows, rewards raw; they may run across episodes."""

    rows: np.ndarray  # int64 [B]: the start rows
    steps: TimeStep  # leaves [sequence + 1, B, ...]
    extra: dict[str, np.ndarray]  # the declared columns, as `Replay.rows` gives them
    weight: np.ndarray  # float32 [B]: importance weights, the largest 1


def replay_bytes(
    spec: EnvSpec,
    num_envs: int,
    *,
    slots: int,
    columns: Sequence[ColumnSpec] = (),
    prioritized: bool = False,
    store: Literal["auto", "raw", "compressed"] = "auto",
    **others: Any,
) -> int:
    """Memory in bytes of the full `Replay` of these arguments; compressed columns as `predict_bytes` assumes."""
    action = spec.action
    row = math.prod(action.shape) * np.dtype(action.dtype).itemsize + 4 + 4 + 1  # action, reward, discount, first
    row += action.logits if spec.masked else 0
    extra = sum(slots // c.every * math.prod(c.shape) * np.dtype(c.dtype).itemsize for c in columns)
    tree = SumTree(slots * num_envs).nbytes if prioritized else 0
    obs = sum(predict_bytes(leaf.shape, leaf.dtype, slots, num_envs, store) for leaf in spec.obs.values())
    return obs + (slots * row + extra) * num_envs + tree


class Replay:
    """A ring of `slots` rows for `num_envs` environments.

    Args:
        spec: the environment's observations and actions.
        slots: rows kept for each environment, at least stack + 1.
        columns: the columns that the agent adds.
        stack: how many frames an observation is made of when it is read.
        prioritized: keep a priority for every row; a new row gets the largest present one.
        rng: draws the samples; its state is part of `state_dict`.
        store: "raw", "compressed" or "auto" (by size) for observation columns.
        sequence: a sample is a sequence of this many rows after its start row; 0 samples transitions.
        period: sequences start at rows whose time is a multiple of this.
    """

    def __init__(
        self,
        spec: EnvSpec,
        num_envs: int,
        slots: int,
        rng: np.random.Generator,
        *,
        columns: Sequence[ColumnSpec] = (),
        stack: int = 1,
        prioritized: bool = False,
        store: Literal["auto", "raw", "compressed"] = "auto",
        sequence: int = 0,
        period: int = 1,
    ) -> None:
        if slots < stack + 1:
            raise InputError(f"a replay with stack {stack} needs at least {stack + 1} rows an environment, got {slots}")
        self.spec, self.num_envs, self.slots, self.stack, self.rng = spec, num_envs, slots, stack, rng
        self.columns = {column.name: column for column in columns}
        self.sequence, self.period = sequence, period
        self._reach = sequence or 1  # rows that a sample needs after its start
        self.count = 0
        """Rows ever appended; the next row's time."""
        self.stale_updates = 0
        """Priorities that arrived for rows already overwritten, and were ignored."""
        place = (slots, num_envs)
        self._obs = {k: make_column(f.shape, f.dtype, slots, num_envs, store) for k, f in spec.obs.items()}
        self._action = np.zeros((*place, *spec.action.shape), spec.action.dtype)
        self._reward = np.zeros(place, np.float32)
        self._discount = np.ones(place, np.float32)
        self._first = np.ones(place, bool)
        self._mask = np.ones((*place, spec.action.logits), bool) if spec.masked else None
        self._extra = {c.name: np.zeros((-(-slots // c.every), num_envs, *c.shape), c.dtype) for c in columns}
        self._tree = SumTree(slots * num_envs) if prioritized else None
        if any(slots % c.every for c in columns) or slots % period:
            raise InputError(f"{slots} rows an environment is not a multiple of the period of a stored column")

    @property
    def oldest(self) -> int:
        """Time of the oldest row still held."""
        return max(0, self.count - self.slots)

    def __len__(self) -> int:
        """Rows held, over all environments."""
        return (self.count - self.oldest) * self.num_envs

    @property
    def nbytes(self) -> int:
        fixed = [self._action, self._reward, self._discount, self._first, *self._extra.values()]
        fixed += [] if self._mask is None else [self._mask]
        tree = 0 if self._tree is None else self._tree.nbytes
        return sum(c.nbytes for c in self._obs.values()) + sum(a.nbytes for a in fixed) + tree

    # writing

    def append(self, ts: TimeStep, extra: Mapping[str, np.ndarray] | None = None) -> None:
        """Stores one row. `extra` holds the declared columns that are due at this row."""
        t, slot = self.count, self.count % self.slots
        for name, column in self._obs.items():
            column.write(slot, ts.obs[name])
        self._action[slot] = ts.action
        self._reward[slot] = ts.reward
        self._discount[slot] = ts.discount
        self._first[slot] = ts.first
        if self._mask is not None:
            self._mask[slot] = ts.mask
        for name, spec in self.columns.items():
            if t % spec.every == 0:
                self._extra[name][slot // spec.every] = extra[name]  # type: ignore[index]
        self.count = t + 1
        if self._tree is not None:
            self._enter(t)

    def _enter(self, t: int) -> None:
        """Updates the priorities after row t: the row before it becomes eligible, the oldest rows no longer are."""
        assert self._tree is not None
        envs = np.arange(self.num_envs)
        self._tree.set((t % self.slots) * self.num_envs + envs, 0.0)  # the overwritten row; before taking the maximum
        if self.oldest > 0:  # rows whose stack reached into it
            for late in range(self.oldest, min(self.oldest + self.stack - 1, t)):
                row = late * self.num_envs + envs
                lost = row[~self.eligible(row)]
                if len(lost):
                    self._tree.set(self._leaf(lost), 0.0)
        live = self._tree.maximum or 1.0
        if t - self._reach >= self.oldest:
            row = (t - self._reach) * self.num_envs + envs
            self._tree.set(self._leaf(row), np.where(self.eligible(row), live, 0.0))

    # reading

    def eligible(self, index: np.ndarray) -> np.ndarray:
        """Whether each row starts a sample: the replay holds the sample's rows and the row's whole stack.

        A transition's next row is not `first`; a sequence starts at a multiple of the period.
        """
        held = self.oldest, self.count, self._reach
        kind = self.period, self.sequence, self.stack
        good: np.ndarray = replay_rows.eligible(index, self.num_envs, self.slots, *held, *kind, self._first)
        return good

    def sample(self, batch: int, n: int = 1, beta: float = 0.0, newest: int | None = None) -> Windows | None:
        """`batch` windows of up to `n` steps, uniform or by priority with importance exponent `beta`.

        newest: draw from so many rows of each environment, the newest ones, if not by priority.
        Windows end at the episode's last row and at the newest row. Returns None if no row starts a transition.
        """
        drawn = self._draw(batch, beta, newest)
        return None if drawn is None else self.windows(drawn[0], n)._replace(weight=drawn[1])

    def sample_sequences(self, batch: int, beta: float = 0.0) -> Sequences | None:
        """`batch` sequences of sequence + 1 rows, drawn as in `sample`. Returns None if none is complete."""
        drawn = self._draw(batch, beta)
        if drawn is None:
            return None
        index, weight = drawn
        return Sequences(index, *self.rows(index // self.num_envs, index % self.num_envs, self.sequence + 1), weight)

    def windows(self, index: np.ndarray, n: int = 1) -> Windows:
        """The windows of up to `n` steps that start at the rows `index`, all of them eligible."""
        columns = self._first, self._reward, self._discount
        found = replay_rows.spans(index, n, self.num_envs, self.slots, self.count, *columns)
        times, envs, after, length, reward, discount = found
        both, size = self._read_obs(times, envs), len(index)
        env, places = envs[:size], times % self.slots
        return Windows(
            rows=index,
            obs={k: v[:size] for k, v in both.items()},
            mask=None if self._mask is None else self._mask[places[:size], env],
            action=self._action[after, env],
            reward=reward,
            discount=discount,
            length=length,
            next_obs={k: v[size:] for k, v in both.items()},
            next_mask=None if self._mask is None else self._mask[places[size:], env],
            weight=np.ones(size, np.float32),
        )

    def rows(self, start: np.ndarray, env: np.ndarray, length: int) -> tuple[TimeStep, dict[str, np.ndarray]]:
        """Sequences: `length` consecutive rows from each (start, env), time first: leaves are [length, B, ...].

        A sequence may run across episodes, which start at `first`. Returns the added columns too: those of every row as
        [length, B, ...], the sparser ones at the start row, [B, ...].
        """
        times = start + np.arange(length)[:, None]  # [length, B]
        envs = np.broadcast_to(env, times.shape)
        slots = times % self.slots
        ts = TimeStep(
            obs=self._read_obs(times, envs),
            mask=None if self._mask is None else self._mask[slots, envs],
            action=self._action[slots, envs],
            reward=self._reward[slots, envs],
            discount=self._discount[slots, envs],
            first=self._first[slots, envs],
            last=np.zeros(times.shape, bool),
            info={},
        )
        extra = {
            name: self._extra[name][slots, envs]
            if spec.every == 1
            else self._extra[name][start % self.slots // spec.every, env]
            for name, spec in self.columns.items()
        }
        return ts, extra

    def newest(self, length: int) -> tuple[TimeStep, dict[str, np.ndarray]]:
        """The newest `length` rows of every environment, time first: [length, num_envs, ...]."""
        if self.count - self.oldest < length:
            raise ValueError(f"asked for {length} rows, {self.count - self.oldest} are held")
        return self.rows(np.full(self.num_envs, self.count - length), np.arange(self.num_envs), length)

    def set_priorities(self, index: np.ndarray, priority: np.ndarray) -> None:
        """New priorities for sampled rows. Rows that are no longer eligible are left out, and counted."""
        assert self._tree is not None
        good = self.eligible(index)
        self.stale_updates += int((~good).sum())
        self._tree.set(self._leaf(index[good]), priority[good])

    def _leaf(self, index: np.ndarray) -> np.ndarray:
        return index % (self.slots * self.num_envs)

    def _index(self, leaf: np.ndarray) -> np.ndarray:
        """The newest row of each leaf."""
        size = self.slots * self.num_envs
        newest = self.count * self.num_envs
        return leaf + (newest - 1 - leaf) // size * size

    def _draw_by_priority(self, batch: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
        assert self._tree is not None
        total = self._tree.total
        mass = (np.arange(batch) + self.rng.random(batch)) * (total / batch)
        leaf = self._tree.find(mass)
        # (size * p)^-beta over its maximum: the size cancels.  PER, Schaul et al. 2016, section 3.4
        weight = (self._tree.get(leaf) / total) ** -beta
        return self._index(leaf), (weight / weight.max()).astype(np.float32)

    def _draw(self, batch: int, beta: float, newest: int | None = None) -> tuple[np.ndarray, np.ndarray] | None:
        if self._tree is not None and self._tree.total > 0:
            return self._draw_by_priority(batch, beta)
        index = self._draw_uniformly(batch, self.oldest if newest is None else max(self.oldest, self.count - newest))
        return None if index is None else (index, np.ones(batch, np.float32))

    def _draw_uniformly(self, batch: int, oldest: int) -> np.ndarray | None:
        low = -(-oldest // self.period) * self.num_envs
        high = ((self.count - 1 - self._reach) // self.period + 1) * self.num_envs
        if high <= low:
            return None
        found: list[np.ndarray] = []
        left = batch
        for _ in range(64):
            drawn = self._start(self.rng.integers(low, high, batch + batch // SPARE))
            found.append(drawn[self.eligible(drawn)][:left])
            left -= len(found[-1])
            if not left:
                return found[0] if len(found) == 1 else np.concatenate(found)
        every = self._start(np.arange(low, high))  # eligible rows are rare: list them all
        every = every[self.eligible(every)]
        return self.rng.choice(every, batch) if len(every) else None

    def _start(self, number: np.ndarray) -> np.ndarray:
        """The rows of these numbers among all rows at which a sample may start."""
        if self.period == 1:
            return number
        return number + number // self.num_envs * (self.period - 1) * self.num_envs

    def _read_obs(self, t: np.ndarray, env: np.ndarray) -> Obs:
        """Observations at rows (t, env), with the stack as an axis after the given ones."""
        if self.stack > 1:
            t = stack_times(t, lambda back: self._first[back % self.slots, env], self.stack, self.oldest)
            env = np.broadcast_to(env[..., None], t.shape)
        slots = t % self.slots
        return {name: column.read(slots, env) for name, column in self._obs.items()}

    # saving

    def state_dict(self) -> dict[str, Any]:
        """Everything but the rows, which `export` returns."""
        return {
            "count": self.count,
            "stale_updates": self.stale_updates,
            "rng": generator_state(self.rng),
            "priorities": None if self._tree is None else self._tree.values.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Call `restore` for the rows first."""
        if state["count"] != self.count:
            raise InputError(f"the saved replay holds {state['count']} rows, {self.count} were restored")
        self.stale_updates = state["stale_updates"]
        restore_generator(self.rng, state["rng"])
        if self._tree is not None:
            self._tree.load(state["priorities"])

    def export(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Rows of times [start, stop) as arrays by name, for an immutable segment on disk."""
        if not self.oldest <= start <= stop <= self.count:
            raise ValueError(f"rows {start} to {stop} are not held: {self.oldest} to {self.count} are")
        slots = np.arange(start, stop) % self.slots
        out = {
            "action": self._action[slots],
            "reward": self._reward[slots],
            "discount": self._discount[slots],
            "first": self._first[slots],
        }
        if self._mask is not None:
            out["mask"] = self._mask[slots]
        for name, column in self._obs.items():
            out |= {f"obs/{name}/{k}": v for k, v in column.export(start % self.slots, stop - start).items()}
        for name, spec in self.columns.items():
            due = np.arange(start + -start % spec.every, stop, spec.every)
            out[f"extra/{name}"] = self._extra[name][due % self.slots // spec.every]
        return out

    def restore(self, start: int, stop: int, rows: Mapping[str, np.ndarray]) -> None:
        """Restores rows [start, stop), in order of time; the first call sets the oldest row."""
        if self.count not in (0, start):
            raise InputError(f"the saved replay continues at row {start}, row {self.count} was expected")
        slots = np.arange(start, stop) % self.slots
        self._action[slots], self._reward[slots] = rows["action"], rows["reward"]
        self._discount[slots], self._first[slots] = rows["discount"], rows["first"]
        if self._mask is not None:
            self._mask[slots] = rows["mask"]
        for name, column in self._obs.items():
            prefix = f"obs/{name}/"
            column.restore({k[len(prefix) :]: v for k, v in rows.items() if k.startswith(prefix)})
        for name, spec in self.columns.items():
            due = np.arange(start + -start % spec.every, stop, spec.every)
            self._extra[name][due % self.slots // spec.every] = rows[f"extra/{name}"]
        self.count = stop
