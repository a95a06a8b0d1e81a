"""What a search needs of an environment: a simulator of N independent positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from rl.interface import Obs, Symmetries

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""States [K] in play -> logits float32 [K, A], legal actions bool [K, A], values float32 [K] for the player to move."""


class Model(Protocol):
    """Simulates a game for two players who move in turn. `states` is a NumPy array [N] of any dtype."""

    num_actions: int
    longest: int
    """No game has more moves."""

    @property
    def symmetries(self) -> Symmetries: ...

    def positions(self, obs: Obs) -> np.ndarray:
        """The states [N] that these observations show, each seen by the player to move."""

    def advance(self, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """New states [N] after int64 [N] `actions`; reward float32 [N] of the player who moved; ended bool [N]."""

    def observe(self, states: np.ndarray) -> tuple[Obs, np.ndarray]:
        """Observations [N, ...] of the player to move, and its legal actions, bool [N, A]."""

    def rollout(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The outcome of one random game from each state, for the player to move: float32 [N]."""

    def action_name(self, action: int) -> str: ...


def random_rollouts(model: Model, rng: np.random.Generator) -> Evaluate:
    """An `Evaluate` without a network: equal logits and the outcome of one random game."""

    def evaluate(states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        _, legal = model.observe(states)
        return np.zeros(legal.shape, np.float32), legal, model.rollout(states, rng)

    return evaluate
