"""The base of the agents with a table of action values: states by number, exploration, saving.

Every transition of the training stream updates the table by itself, one environment after the other, so that several
environments learn as one does. Rows are read by the rules of docs/architecture.md: a row that is not `first` ends a
transition, its discount is 0 if the return ends there, and a `first` row cuts what waits for a later reward.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Actor, Agent, Choice
from agents.value_player import Q, epsilon_greedy
from rl.axes import Axis, complement, number, rate
from rl.errors import InputError
from rl.fields import check_fields, fraction, positive, within
from rl.interface import EnvSpec, Obs, TimeStep
from rl.memory import available_memory
from rl.schedules import Ramp, value_at
from rl.seeding import generator, generator_state, restore_generator
from rl.tables import StateIndex


@dataclass(frozen=True)
class TabularConfig:
    """Fields that every agent with a table has."""

    gamma: float = fraction(0.99)
    """Discount of one step."""
    epsilon: float | Ramp = fraction(0.1)
    """Share of random actions in training, by counted step."""
    eval_epsilon: float = fraction(0.0)
    """Share of random actions in evaluation."""
    initial: float = within(0.0, np.isfinite, "be finite")
    """Value of every action before the first update; a large one explores (optimism)."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class LearnerTableConfig(TabularConfig):
    """Fields of the agents that move a value towards a target."""

    SPACE: ClassVar[dict[str, Axis]] = {
        "lr": rate(1e-3, 1.0),
        "gamma": complement(1e-3, 0.2),
        "epsilon": number(0.0, 0.3),
        "lr_decay": number(0.0, 1.0),
    }
    """What `rl tune` searches."""

    lr: float | Ramp = positive(0.1)
    """Step size, or its schedule over counted steps."""
    lr_decay: float = fraction(0.0)
    """The n-th update of a value takes the step size lr / n^lr_decay: 0 keeps it, 1 averages all targets."""


class Table(nn.Module):
    """Action values, float64 [tables, states, actions], which NumPy and PyTorch share."""

    def __init__(self, states: StateIndex, shape: tuple[int, ...], initial: float) -> None:
        super().__init__()
        self._states = states
        self.values = nn.Parameter(torch.full(shape, initial, dtype=torch.float64), requires_grad=False)

    def forward(self, obs: dict[str, Tensor]) -> Q:
        """The first table's values of leaves [B, ...]."""
        state = self._states({name: leaf.cpu().numpy() for name, leaf in obs.items()})
        return Q(self.values[0][torch.from_numpy(state)].float())


class TabularAgent(Agent):
    """Keeps action values in a table, and acts greedily in them, at random with probability epsilon."""

    config: TabularConfig
    network: Table
    tables: ClassVar[int] = 1
    """Tables of action values; acting takes their mean."""

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device="cpu")
        if spec.action.kind != "discrete":
            raise InputError(f"{self.name} needs discrete actions, {spec.id} has {spec.action.kind}: try ppo")
        self.states, self.actions = StateIndex(spec, self.name), spec.action.nvec[0]
        self._require_room()
        self.network = Table(self.states, self.table_shape(), config.initial)
        self.rng = generator(seed, "table")
        """Draws whatever learning draws; acting has generators of its own."""
        self._stream = Actor(self, num_envs, seed, "train", mode="explore")
        self._state = np.zeros(num_envs, np.int64)
        """State of the newest row that `update` has read."""
        self._action = np.zeros(num_envs, np.int64)
        """The action taken there."""

    @property
    def samples_next(self) -> bool:
        """Whether an update needs the action that is taken next, which is then chosen before the update."""
        return False

    def table_shape(self) -> tuple[int, ...]:
        """Shape of the table of values, [tables, states, actions]."""
        return (self.tables, self.states.size, self.actions)

    def _require_room(self) -> None:
        """Raises `InputError` if the table does not fit into memory."""
        need, free = self.predicted_bytes(), available_memory()
        if need > free:
            raise InputError(
                f"{self.name}: {self.spec.id} has {_count(self.states.size)} states, its tables need about "
                f"{need / 1e9:,.3g} GB ({_count(need)} bytes), {free / 1e9:.2f} GB are free: try dqn"
            )

    def predicted_bytes(self) -> int:
        """Memory of all tables, in bytes."""
        shape = self.table_shape()
        return 8 * shape[0] * shape[1] * shape[2] + self.other_bytes()

    def other_bytes(self) -> int:
        """Memory of what a subclass keeps for each state and action beside the values, in bytes."""
        return 0

    @cached_property
    def values(self) -> np.ndarray:
        """The action values, float64 [tables, states, actions]; writing changes the table."""
        return self.network.values.numpy()

    def value_table(self, t: int = 0) -> np.ndarray:
        """The action values [states, actions] that a greedy policy follows at time `t` of an episode, for viewers."""
        return self.values.mean(0) if self.tables > 1 else self.values[0]

    # the training stream

    def replay_fields(self) -> dict[str, Any]:
        return {"slots": 2}  # nothing is ever stored: each transition is used once, at once

    def observe(self, ts: TimeStep) -> None:
        self._row = ts
        self.step += self.num_envs - int(np.count_nonzero(ts.first))

    def update(self) -> dict[str, Any] | None:
        """Learns from the transitions that end in the newest row, and chooses the next actions."""
        ts, n = self._row, self.num_envs
        state, before, action = self.states(ts.obs), self._state, self._action
        if self.samples_next:
            self._action = self._stream.act(ts)
        errors = []
        first, reward, discount = ts.first.tolist(), ts.reward.tolist(), ts.discount.tolist()
        for i in range(n):
            if first[i]:
                self.cut(i, int(before[i]), int(action[i]))
                continue
            mask = None if ts.mask is None else ts.mask[i]
            pair = int(before[i]), int(ts.action[i])
            error = self.learn(i, *pair, reward[i], discount[i], int(state[i]), int(self._action[i]), mask)
            if error is not None:
                errors.append(error)
                self.updates += 1
        self._state = np.array(state)
        if not self.samples_next:
            self._action = self._stream.act(ts)
        return {"loss": sum(error * error for error in errors) / len(errors)} if errors else None

    def act(self, ts: TimeStep) -> np.ndarray:
        return self._action.copy()

    @abstractmethod
    def learn(
        self, i: int, s: int, a: int, reward: float, discount: float, after: int, then: int, mask: np.ndarray | None
    ) -> float | None:
        """Learns from one transition of environment i; returns the temporal-difference error, None without an update.

        `then` is the action taken in the state `after` if `samples_next`, `mask` [A] are the actions allowed there.
        """

    def cut(self, i: int, after: int, then: int) -> None:
        """The episode of environment i was cut in the state `after`, where the action `then` would have come next."""

    # acting

    def state_values(self, actor: Actor, state: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The action values [N, A] that the actor follows in states [N]; `first` [N]: the episode begins there."""
        return self.values.mean(0)[state] if self.tables > 1 else self.values[0, state]

    def choose(self, actor: Actor, obs: dict[str, Tensor], ts: TimeStep) -> Choice:
        raise NotImplementedError  # `choose_by_numpy` always answers

    def choose_by_numpy(self, actor: Actor, obs: Obs, ts: TimeStep) -> Choice:
        values = self.state_values(actor, self.states(obs), ts.first)
        shown = Q(torch.from_numpy(values))
        if ts.mask is not None:
            values = np.where(ts.mask, values, -np.inf)
        if actor.mode == "explore":  # ties at random, or the first action would be tried for ever
            order = actor.rng.permutation(self.actions)
            action = order[values[:, order].argmax(1)]
        else:
            action = values.argmax(1)
        epsilon = self.epsilon(actor.mode)
        if epsilon > 0:
            action = epsilon_greedy(action, epsilon, self.actions, ts.mask, actor.rng)
        return Choice(action, {}, shown)

    def epsilon(self, mode: str) -> float:
        """Share of random actions: scheduled in training, `eval_epsilon` if greedy, the schedule's end if sampled."""
        c = self.config
        if mode == "greedy":
            return float(c.eval_epsilon)
        return value_at(c.epsilon, self.step) if mode == "explore" else value_at(c.epsilon, 2**62)

    def draws(self, sample: bool) -> bool:
        return self.epsilon("sample" if sample else "greedy") > 0

    @property
    def stack(self) -> int:
        return 1

    # for viewers and logs

    def schedule(self) -> dict[str, float]:
        lr = getattr(self.config, "lr", None)
        return {"epsilon": self.epsilon("explore")} | ({} if lr is None else {"lr": value_at(lr, self.step)})

    def choices(self) -> dict[str, Any]:
        return {"precision": "fp64"}

    # saving

    def parts(self) -> dict[str, Any]:
        return {"stream": self._stream, "replay": self.replay}

    def learner_state(self) -> dict[str, Any]:
        own = {"rng": generator_state(self.rng), "state": self._state.copy(), "action": self._action.copy()}
        return own | super().learner_state()

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        restore_generator(self.rng, state["rng"])
        self._state, self._action = np.array(state["state"]), np.array(state["action"])


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"{float(number) if number < 10**300 else float('inf'):.3g}"
