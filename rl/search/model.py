"""What a search needs of an environment: a simulator of N independent states."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from rl.interface import Obs, Symmetries
from rl.tuples import Cursors, Net

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""States [K] in play -> logits float32 [K, A], legal actions bool [K, A], values float32 [K] for the player to move."""


class Rollouts(NamedTuple):
    """How a random game for one player is valued."""

    gamma: float = 1.0
    steps: int = 100
    """The game is cut after so many steps; what would follow counts as 0."""
    hold: int = 1
    """Each random action is held for 1 to `hold` steps."""
    games: int = 1
    """Random games from each state; their mean counts."""


class Model(Protocol):
    """Simulates an environment for one player, or a game for two who move in turn.

    `states` is a NumPy array [N] of any dtype.
    """

    num_actions: int
    players: int
    """2: the players move in turn, rewards come at the end and are -1, 0 or 1."""
    stochastic: bool
    """Whether an action may have several outcomes."""

    def legal(self, states: np.ndarray) -> np.ndarray:
        """The legal actions of the player to move, bool [N, A]; none after the end."""

    def advance(
        self, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One outcome of int64 [N] `actions`, drawn by `rng` alone.

        New states [N]; reward float32 [N] of the player who moved; ended bool [N]; and an int64 [N] key, equal for
        equal outcomes.
        """

    def rollout(self, states: np.ndarray, rng: np.random.Generator, how: Rollouts) -> np.ndarray:
        """The return of one random game from each state, for the player to move: float32 [N]."""


class BoardGame(Model, Protocol):
    """A game for two whose positions can be read off the observations."""

    longest: int
    """No game has more moves."""
    early: bool
    """Whether a game may be won long before its last move, so that `foresee` always deepens ply by ply."""

    @property
    def symmetries(self) -> Symmetries: ...

    def positions(self, obs: Obs) -> np.ndarray:
        """The states [N] that these observations show, each seen by the player to move."""

    def observe(self, states: np.ndarray) -> tuple[Obs, np.ndarray]:
        """Observations [N, ...] of the player to move, and its legal actions, bool [N, A]."""

    def foresee(
        self, states: np.ndarray, depth: int, positions: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `depth` plies of exhaustive search prove of each action for the player to move: int8 [N, A] each.

        The action is at least and at most lost (-1), drawn (0) or won (1). Where both are equal, the third number is
        that of the plies until then, this action among them, and 0 elsewhere.

        positions: to visit at most from each state; then the result may come in fewer plies than the third number.
        """
        ...

    def look_ahead(
        self, states: np.ndarray, depth: int, net: Net, cursors: Cursors | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Full-width search whose leaves an n-tuple network values; `net` is `TupleNetwork.net`.

        The value of each action after one ply, float32 [N, A], -inf for illegal ones; that of each position after
        `depth` plies, float32 [N]; and whether the player to move wins at once or makes the last move, bool [N]. All
        are for the player to move. cursors: that lie near the positions, one for each.
        """
        ...

    def action_name(self, action: int) -> str: ...


def random_rollouts(model: Model, rng: np.random.Generator, how: Rollouts = Rollouts()) -> Evaluate:  # noqa: B008
    """An `Evaluate` without a network: equal logits and the mean return of random games."""

    def evaluate(states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        legal = model.legal(states)
        returns = model.rollout(np.repeat(states, how.games), rng, how).reshape(-1, how.games)
        return np.zeros(legal.shape, np.float32), legal, returns.mean(axis=1)

    return evaluate
