"""Prioritized sweeping (Moore and Atkeson 1993): plans with a counted model where a value would change most."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.tabular.base import TabularAgent, TabularConfig
from agents.tabular.counted import CountedModel, Outcome
from rl.fields import at_least, positive
from rl.interface import EnvSpec


@dataclass(frozen=True)
class PrioritizedSweepingConfig(TabularConfig):
    """Prioritized sweeping's own fields."""

    planning_steps: int = at_least(1, 10)
    """Most full backups after each real step."""
    threshold: float = positive(1e-4)
    """A value that would change by less than this is not backed up."""


class PrioritizedSweeping(TabularAgent):
    """Full backups over the counted outcomes, the largest change first, then the pairs that led there."""

    name = "prioritized_sweeping"
    Config = PrioritizedSweepingConfig
    config: PrioritizedSweepingConfig

    def __init__(self, spec: EnvSpec, config: Any, *, num_envs: int, seed: int, device: str = "cpu") -> None:
        super().__init__(spec, config, num_envs=num_envs, seed=seed, device=device)
        self.model = CountedModel(self.states.size, self.actions)
        self._queue: list[tuple[float, int]] = []
        """Heap of (-priority, pair); an entry that is not the pair's present priority is ignored."""
        self._priority: dict[int, float] = {}
        self._best = self.values[0].max(1)
        """The best value of each state, [states]."""

    def learn(
        self, i: int, s: int, a: int, reward: float, discount: float, after: int, then: int, mask: np.ndarray | None
    ) -> float | None:
        pair = s * self.actions + a
        self.model.add(pair, Outcome(after, reward, discount))
        error = self._error(pair)
        self._push(pair, error)
        for _ in range(self.config.planning_steps):
            pair = self._pop()
            if pair < 0:
                break
            state, action = divmod(pair, self.actions)
            self.values[0, state, action] += self._error(pair)
            self._best[state] = self.values[0, state].max()
            for earlier in self.model.before.get(state, ()):
                self._push(earlier, self._error(earlier))
        return error

    def _error(self, pair: int) -> float:
        """How far a full backup would move the pair's value."""
        return self.model.expected(pair, self._best, self.config.gamma) - float(self.values[0].flat[pair])

    def _push(self, pair: int, error: float) -> None:
        size = abs(error)
        if size > max(self.config.threshold, self._priority.get(pair, 0.0)):
            self._priority[pair] = size
            heapq.heappush(self._queue, (-size, pair))

    def _pop(self) -> int:
        """The pair of the largest priority, -1 if none is left."""
        while self._queue:
            size, pair = heapq.heappop(self._queue)
            if self._priority.get(pair) == -size:
                del self._priority[pair]
                return pair
        return -1

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "model": self.model}

    def learner_state(self) -> dict[str, Any]:
        queue = {"size": np.array([q[0] for q in self._queue]), "pair": np.array([q[1] for q in self._queue], np.int64)}
        return queue | super().learner_state()

    def load_learner_state(self, state: dict[str, Any]) -> None:
        super().load_learner_state(state)
        self._queue = list(zip(state["size"].tolist(), state["pair"].tolist(), strict=True))
        self._priority = {}
        for size, pair in self._queue:
            self._priority[pair] = max(-size, self._priority.get(pair, 0.0))
        self._best = self.values[0].max(1)
