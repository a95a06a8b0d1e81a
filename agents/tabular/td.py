"""Temporal differences on a table: one update for Q-learning, SARSA, Expected SARSA, double learning, n steps, traces.

The methods differ only in the value that they bootstrap from (Sutton and Barto 2018, chapters 6, 7 and 12), which is
the class attribute `bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from agents.tabular.base import LearnerTableConfig, TabularAgent
from rl.errors import InputError
from rl.fields import at_least, fraction
from rl.interface import EnvSpec
from rl.schedules import value_at


@dataclass(frozen=True)
class TDConfig(LearnerTableConfig):
    """Fields of the temporal-difference learners."""

    n_step: int = at_least(1, 1)
    """Rewards before the bootstrap."""
    trace_lambda: float = fraction(0.0)
    """Lambda of the eligibility traces; 0 keeps none."""
    trace_kind: Literal["replacing", "accumulating"] = "replacing"
    """Whether a new visit sets a trace to 1 or adds 1 to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trace_lambda and self.n_step > 1:
            raise InputError(f"n_step={self.n_step} and trace_lambda={self.trace_lambda}: leave one of them out")
        if self.trace_lambda and self.lr_decay:
            raise InputError(f"lr_decay={self.lr_decay} needs trace_lambda=0, got {self.trace_lambda}")


class TargetLearner(TabularAgent):
    """Moves values towards targets; keeps the transitions that wait for later rewards."""

    config: LearnerTableConfig
    bootstrap: ClassVar[Literal["max", "next", "expected"]] = "max"
    """The value of a state: of its best action, of the action taken there, or the mean under epsilon-greedy."""

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self._waiting: list[list[tuple[int, int, float]]] = [[] for _ in range(num_envs)]
        """(state, action, reward) of the newest transitions of each environment whose target is not known yet."""
        self._visits = np.zeros(self.table_shape(), np.int64) if config.lr_decay else None
        self._traces = np.zeros((num_envs, *self.table_shape()[1:])) if self.trace_lambda else None

    @property
    def trace_lambda(self) -> float:
        """Lambda of the eligibility traces; 0 keeps none."""
        return float(getattr(self.config, "trace_lambda", 0.0))

    def other_bytes(self) -> int:
        tables = self.tables * bool(self.config.lr_decay) + self.num_envs * bool(self.trace_lambda)
        return 8 * self.states.size * self.actions * tables

    def turn(self) -> int:
        """The table that an update changes: drawn if there are two (van Hasselt 2010)."""
        return int(self.rng.integers(self.tables)) if self.tables > 1 else 0

    def state_value(self, table: int, state: int, then: int, mask: np.ndarray | None) -> float:
        """The value that an update of `table` bootstraps from. Double learning: the other table's, of its best action.

        `then` is the action taken there, `mask` [A] the allowed ones.
        """
        values, other = self.values[table, state], self.values[(table + 1) % self.tables, state]
        if self.bootstrap == "next":
            return float(other[then])
        if mask is not None:
            values = np.where(mask, values, -np.inf)
        best = float(other[values.argmax()])
        if self.bootstrap == "max":
            return best
        epsilon = self.epsilon("explore")
        return (1 - epsilon) * best + epsilon * float((other if mask is None else other[mask]).mean())

    def flush(self, i: int, table: int, value: float, first_visits: bool = False) -> float:
        """Updates by all waiting transitions of environment i, whose returns end with `value`; returns the last error.

        first_visits: of several visits of a pair only the first one counts.
        """
        targets: dict[Any, tuple[int, int, float]] = {}
        for k, (s, a, reward) in reversed(list(enumerate(self._waiting[i]))):
            value = reward + self.config.gamma * value
            key = (s, a) if first_visits else k
            targets.pop(key, None)
            targets[key] = s, a, value
        self._waiting[i] = []
        error = 0.0
        for s, a, target in reversed(targets.values()):
            error = self.move(table, s, a, target)
        return error

    def move(self, table: int, s: int, a: int, target: float) -> float:
        """Moves one value towards its target by the step size; returns the error."""
        values = self.values
        error = target - float(values[table, s, a])
        values[table, s, a] += self._step_size(table, s, a) * error
        return error

    def _step_size(self, table: int, s: int, a: int) -> float:
        lr = value_at(self.config.lr, self.step)
        if self._visits is None:
            return lr
        self._visits[table, s, a] += 1
        return lr / float(self._visits[table, s, a]) ** self.config.lr_decay

    # saving

    def learner_state(self) -> dict[str, Any]:
        arrays = {"visits": self._visits, "traces": self._traces}
        own = {name: None if array is None else array.copy() for name, array in arrays.items()}
        return own | {"waiting": [[list(t) for t in w] for w in self._waiting]} | super().learner_state()

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._waiting = [[(int(s), int(a), float(r)) for s, a, r in w] for w in state["waiting"]]
        for name, array in (("visits", self._visits), ("traces", self._traces)):
            if array is not None:
                array[:] = state[name]


class TemporalDifference(TargetLearner):
    """Moves a value towards the next rewards and the value that follows them."""

    config: TDConfig

    @property
    def samples_next(self) -> bool:
        return self.bootstrap == "next" or self.trace_lambda > 0  # a trace asks whether the next action explores

    def learn(
        self, i: int, s: int, a: int, reward: float, discount: float, after: int, then: int, mask: np.ndarray | None
    ) -> float | None:
        c, table = self.config, self.turn()
        value = discount * self.state_value(table, after, then, mask) if discount else 0.0
        if self._traces is not None:
            error = reward + c.gamma * value - float(self.values[table, s, a])
            cut = not discount or (self.bootstrap == "max" and self._explores(after, then, mask))
            self._trace(table, self._traces[i], s, a, error)
            self._traces[i] *= 0.0 if cut else c.gamma * c.trace_lambda
            return error
        waiting = self._waiting[i]
        waiting.append((s, a, reward))
        if not discount:
            return self.flush(i, table, 0.0)
        if len(waiting) < c.n_step:
            return None
        for _, _, r in reversed(waiting):
            value = r + c.gamma * value
        return self.move(table, *waiting.pop(0)[:2], value)

    def cut(self, i: int, after: int, then: int) -> None:
        if self._traces is not None:
            self._traces[i] = 0.0
        if self._waiting[i]:
            table = self.turn()
            self.flush(i, table, self.state_value(table, after, then, None))

    def _explores(self, state: int, action: int, mask: np.ndarray | None) -> bool:
        """Whether the action is not a greedy one."""
        values = self.values.mean(0)[state] if self.tables > 1 else self.values[0, state]
        return bool(values[action] < (values if mask is None else values[mask]).max())

    def _trace(self, table: int, traces: np.ndarray, s: int, a: int, error: float) -> None:
        """Marks the pair, and moves every pair by its trace (Sutton and Barto 2018, section 12.7)."""
        traces[s, a] = 1.0 if self.config.trace_kind == "replacing" else traces[s, a] + 1.0
        self.values[table] += value_at(self.config.lr, self.step) * error * traces
