"""A model counted from experience: how often each outcome followed a state and action."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rl.tables import TableModel


class Outcome(NamedTuple):
    """What followed a state and action."""

    after: int
    reward: float
    discount: float


class CountedModel:
    """Counts of outcomes by pair, `state * actions + action`."""

    def __init__(self, states: int, actions: int) -> None:
        self.states, self.actions = states, actions
        self.counts: dict[int, dict[Outcome, int]] = {}
        """Pair -> outcome -> count, in the order in which they were first seen."""
        self.before: dict[int, dict[int, None]] = {}
        """State -> the pairs that led to it."""
        self._pairs: list[int] = []

    def add(self, pair: int, outcome: Outcome, count: int = 1) -> None:
        if pair not in self.counts:
            self.counts[pair] = {}
            self._pairs.append(pair)
        outcomes = self.counts[pair]
        outcomes[outcome] = outcomes.get(outcome, 0) + count
        self.before.setdefault(outcome.after, {})[pair] = None

    def draw(self, rng: np.random.Generator) -> tuple[int, Outcome]:
        """A pair, uniformly among those seen, and one of its outcomes in proportion to the counts."""
        pair = self._pairs[int(rng.integers(len(self._pairs)))]
        outcomes = self.counts[pair]
        if len(outcomes) == 1:
            return pair, next(iter(outcomes))
        ends = np.cumsum(list(outcomes.values()))
        return pair, list(outcomes)[int(np.searchsorted(ends, rng.integers(ends[-1]), "right"))]

    def expected(self, pair: int, value: np.ndarray, gamma: float) -> float:
        """Mean reward plus discounted `value` [states] of the next state."""
        outcomes = self.counts[pair]
        total = sum(n * (o.reward + gamma * o.discount * float(value[o.after])) for o, n in outcomes.items())
        return total / sum(outcomes.values())

    def table(self) -> TableModel:
        """The counts as probabilities; pairs that were never seen have no outcomes."""
        arrays = self.state_dict()
        total = np.bincount(arrays["pair"], arrays["count"], self.states * self.actions)
        return TableModel(
            self.states,
            self.actions,
            arrays["pair"],
            arrays["count"] / total[arrays["pair"]],
            arrays["after"],
            arrays["reward"],
            arrays["discount"],
            np.zeros(self.states),
        )

    def state_dict(self) -> dict[str, Any]:
        rows = [(pair, *outcome, count) for pair, found in self.counts.items() for outcome, count in found.items()]
        columns = list(zip(*rows, strict=True)) or [()] * 5
        kinds = ("int64", "int64", "float64", "float64", "int64")
        names = ("pair", "after", "reward", "discount", "count")
        return {name: np.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__init__(self.states, self.actions)  # type: ignore[misc]
        for pair, after, reward, discount, count in zip(*(np.array(x).tolist() for x in state.values()), strict=True):
            self.add(pair, Outcome(after, reward, discount), count)
