"""Opponents that are part of a single-agent board environment: random, minimax of a depth, or any function.

In self-play ("self" or "self:minimax:2") a training attaches its learner as the opponent (`BoardVectorEnv.face`).
Without a learner, as in evaluations and films, the part after the colon plays, random by default. The agent changes its
seat from game to game and learns from the moves of its own seat alone, so that rows and rewards mean the same for every
learner.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.boards import plays_itself
from envs.boards.game import Game
from rl.errors import InputError, unknown

Policy = Callable[[np.ndarray, np.ndarray], Any]
"""(observations bool [K, H, W, 2], legal actions bool [K, A]) -> actions int [K], all for the player to move."""
Opponent = Callable[[Game, np.ndarray], np.ndarray]
"""(games, mask of the positions to move in) -> actions int64 [N]; entries outside of the mask mean nothing."""

DEPTHS = range(1, 7)


def make_opponent(opponent: str | Policy) -> Opponent:
    """The opponent with this name: "random", "minimax:DEPTH" with a depth of 1 to 6, "self:NAME", or a `Policy`.

    Raises `InputError` for any other name.
    """
    if callable(opponent):
        return _follow(opponent)
    if plays_itself(opponent):
        return make_opponent(opponent.partition(":")[2] or "random")
    if opponent == "random":
        return lambda game, mask: game.random_actions(mask)
    found = re.fullmatch(r"minimax:(\d+)", opponent) if isinstance(opponent, str) else None
    if found and int(found[1]) in DEPTHS:
        depth = int(found[1])
        return lambda game, mask: game.minimax(depth, mask)[0]
    if isinstance(opponent, str) and opponent.startswith("minimax"):
        raise InputError(f"a minimax opponent searches 1 to {DEPTHS[-1]} plies: 'minimax:3'; got {opponent!r}")
    raise unknown("opponent", str(opponent), ("random", *(f"minimax:{depth}" for depth in DEPTHS), "self"))


def _follow(policy: Policy) -> Opponent:
    def choose(game: Game, mask: np.ndarray) -> np.ndarray:
        observations, legal = game.observe()
        actions = np.zeros(game.num, np.int64)
        actions[mask] = np.asarray(policy(observations[mask], legal[mask]))
        return actions

    return choose
