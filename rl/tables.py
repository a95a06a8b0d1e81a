"""Finite problems: states as numbers, a model as arrays, and exact values by dynamic programming."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rl.errors import InputError
from rl.interface import EnvSpec, Obs


class StateIndex:
    """Numbers the states of an environment whose observation consists of categories, by mixed radix.

    Discrete, MultiDiscrete, and Tuple or Dict spaces of them. The last category counts fastest: Blackjack's state
    (sum, dealer's card, usable ace) has the number (sum * 11 + card) * 2 + ace. Raises `InputError` for other spaces.
    """

    def __init__(self, spec: EnvSpec, who: str) -> None:
        for name, leaf in spec.obs.items():
            if leaf.kind != "index":
                raise InputError(
                    f"{who} needs finitely many states (Discrete, MultiDiscrete or a Tuple of them), leaf {name!r} of "
                    f"{spec.id} is a {leaf.kind} of {leaf.dtype}: try dqn or ppo"
                )
        self._leaves = {name: leaf.shape for name, leaf in spec.obs.items()}
        self._nvec = [n for leaf in spec.obs.values() for n in leaf.nvec]
        self.size = math.prod(self._nvec)
        """How many states there are; a Python integer, which may be larger than any array."""
        self._plain = next(iter(spec.obs)) if len(self._nvec) == 1 else ""

    @cached_property
    def _radix(self) -> np.ndarray:
        return np.array([math.prod(self._nvec[k + 1 :]) for k in range(len(self._nvec))], np.int64)

    def __call__(self, obs: Obs) -> np.ndarray:
        """The states of leaves [N, *leaf.shape], int64 [N]."""
        if self._plain:
            return obs[self._plain][:, 0]
        digits = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in obs.values()], 1)
        return np.asarray(digits @ self._radix)

    def observations(self) -> Obs:
        """The leaves [size, *leaf.shape] of all states in order."""
        digits = np.stack(np.unravel_index(np.arange(self.size), self._nvec), 1).astype(np.int64)
        ends = np.cumsum([math.prod(shape) for shape in self._leaves.values()])[:-1]
        parts = np.split(digits, ends, 1)
        return {name: part.reshape(-1, *shape) for (name, shape), part in zip(self._leaves.items(), parts, strict=True)}


@dataclass(frozen=True)
class TableModel:
    """A finite Markov decision process. Row m of the arrays [M] is an outcome of `pair`, state * actions + action."""

    states: int
    actions: int
    pair: np.ndarray  # int64
    probability: np.ndarray  # float64; those of a pair sum to 1, or the pair has no outcomes
    next_state: np.ndarray  # int64
    reward: np.ndarray  # float64
    discount: np.ndarray  # float64: 0 if the episode ends, else 1
    start: np.ndarray  # float64 [states]: probability of each first state
    mask: np.ndarray | None = None  # bool [states, actions], as the environment gives it

    def backup(self, value: np.ndarray, gamma: float = 1.0) -> np.ndarray:
        """Expected reward plus discounted `value` [states] of the next state, float64 [states, actions]."""
        gain = self.probability * (self.reward + gamma * self.discount * value[self.next_state])
        return np.bincount(self.pair, gain, self.states * self.actions).reshape(self.states, self.actions)

    def solve(self, policy: np.ndarray, gamma: float) -> np.ndarray:
        """The discounted value [states] of a deterministic policy, int64 [states], by one linear solve; gamma < 1."""
        taken = policy[self.pair // self.actions] == self.pair % self.actions
        p = self.probability[taken]
        state, after = self.pair[taken] // self.actions, self.next_state[taken]
        matrix = np.eye(self.states)
        np.subtract.at(matrix, (state, after), gamma * p * self.discount[taken])
        return np.linalg.solve(matrix, np.bincount(state, p * self.reward[taken], self.states))

    def optimum(self, horizon: int) -> float:
        """The largest expected undiscounted return of an episode of at most `horizon` steps."""
        return self._start_value(horizon, lambda q, t: q.max(1))

    def expected_return(self, policy: Callable[[int], np.ndarray], horizon: int, timed: bool = False) -> float:
        """The expected undiscounted return of an episode of at most `horizon` steps.

        `policy` gives the actions, int64 [states], at time t of the episode; if not `timed`, t is always 0.
        """
        rows = np.arange(self.states)
        fixed = None if timed else policy(0)
        return self._start_value(horizon, lambda q, t: q[rows, policy(t) if fixed is None else fixed])

    def _start_value(self, horizon: int, choose: Callable[[np.ndarray, int], np.ndarray]) -> float:
        """Backward induction over the episode's steps; ends early if a step changes no value."""
        value = np.zeros(self.states)
        for t in reversed(range(horizon)):
            new = choose(self.backup(value), t)
            if np.abs(new - value).max() < 1e-13 and t < horizon - 1 and np.isfinite(new).all():
                value = new
                break
            value = new
        return float(self.start @ value)
