"""The strength of a player against perfect play, on positions whose every move has an exact score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from envs.boards.game import Game
from envs.boards.opponents import Policy
from envs.boards.positions import Positions
from envs.boards.solver import ILLEGAL
from rl.errors import InputError


@dataclass(frozen=True)
class Strength:
    """How often a player chooses wrongly. All shares are 0 to 1, and NaN if there is no position to count."""

    positions: int
    decided: int
    """Positions in which a wrong move exists: one that turns a win into a draw or loss, or a draw into a loss."""
    wrong: float
    """Share of wrong moves in the decided positions."""
    wrong_random: float
    """The exact share of a player that moves at random. In some games it is small."""
    scored: int
    """Positions in which not all moves have the same score."""
    optimal: float
    """Share of moves with the best score in the scored positions."""
    optimal_random: float


def strength(choose: Policy, positions: Positions) -> Strength:
    """Judges the moves of `choose`, which is called once for all positions. Raises `InputError` for an illegal move."""
    observations, legal = positions.play().observe()
    actions = np.asarray(choose(observations, legal))
    if actions.shape != (len(positions),) or actions.dtype.kind not in "iu":
        raise InputError(f"a player must return {len(positions)} whole numbers, got {actions.dtype} {actions.shape}")
    every = np.arange(len(positions))
    inside = (actions >= 0) & (actions < legal.shape[1])
    if not inside.all() or not legal[every, actions].all():
        bad = int(np.argmin(inside)) if not inside.all() else int(np.argmin(legal[every, actions]))
        raise InputError(f"the player's action {actions[bad]} is not legal in position {bad}: it must obey the mask")
    scores = np.where(legal, positions.scores, ILLEGAL).astype(int)
    best = scores.max(axis=1, keepdims=True)
    wrong = legal & (np.sign(scores) < np.sign(best))
    worse = legal & (scores < best)
    decided, scored = wrong.any(axis=1), worse.any(axis=1)
    return Strength(
        len(positions),
        int(decided.sum()),
        _mean(wrong[every, actions][decided]),
        _mean((wrong.sum(axis=1) / legal.sum(axis=1))[decided]),
        int(scored.sum()),
        _mean(~worse[every, actions][scored]),
        _mean((1 - worse.sum(axis=1) / legal.sum(axis=1))[scored]),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


@lru_cache
def tic_tac_toe() -> Positions:
    """All positions of tic-tac-toe in play, 4,520 of its 5,478 states, with the exact score of every move.

    The score counts as Connect Four's: 1 for a win with the last possible stone of the winner, one more for each of
    its stones that stays unused.
    """
    game, moves = Game("TicTacToe"), []
    found: dict[tuple[int, int], tuple[tuple[int, ...], np.ndarray] | None] = {}
    known: dict[tuple[int, int], int] = {}

    def value() -> int:
        row = game.rows[0]
        key = (int(row["mine"]), int(row["theirs"]))
        if key in known:
            return known[key]
        ply, scores = int(row["ply"]), np.full(9, ILLEGAL, np.int8)
        if row["ended"]:
            known[key] = -((9 + 2 - ply) // 2) if row["winner"] >= 0 else 0
            return known[key]
        for action in np.flatnonzero(game.legal()[0]).tolist():
            game.play(action)
            moves.append(action)
            scores[action] = -value()
            moves.pop()
            game.undo()
        found[key] = (tuple(moves), scores)
        known[key] = int(scores.max())
        return known[key]

    value()
    rows = [entry for entry in found.values() if entry is not None]
    return Positions("TicTacToe", tuple(row[0] for row in rows), np.stack([row[1] for row in rows]))
