"""Many games at once between the players of a league. All positions of one player form one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from envs.boards.game import Game
from envs.boards.rules import WIN
from rl.errors import InputError
from rl.seeding import derive_seed, generator
from runs.comparing.league.players import Player

PLIES = 10
"""Random plies of an opening, fewer in short games. Connect Four's solver answers later positions in a second."""
QUIET = 6
"""An opening in which a player can force a win within this many plies is not used."""


class Match(NamedTuple):
    """The results of M games."""

    result: np.ndarray
    """int8 [M]: 1 if the first player won, 0 after a draw, -1 if the second player won."""
    moves: np.ndarray
    """Moves of each player, int64 [P]."""
    seconds: np.ndarray
    """Time that each player took, float64 [P]."""


def play(
    game: str,
    players: Sequence[Player],
    seats: np.ndarray,
    opening: np.ndarray,
    seed: int = 0,
    tell: Callable[[int], None] = lambda ended: None,
) -> Match:
    """Plays M games to their end, two players at a time in threads.

    seats: int [M, 2], which of the `players` moves first and second. opening: actions int [M, K] that begin the games.
    The games depend on `seed` and on each player's name and batch. `tell` gets the number of games that have ended.
    Raises `InputError` if a player chooses an illegal action.
    """
    games = Game(game, len(seats))
    for actions in opening.T:
        games.play(actions)
    rngs = [generator(seed, "league", player.name) for player in players]
    moves, seconds = np.zeros(len(players), np.int64), np.zeros(len(players))

    def choose(k: int) -> tuple[np.ndarray, np.ndarray]:
        which = np.flatnonzero(mover == k)
        begun = time.perf_counter()
        actions = np.asarray(players[k].moves(part_of(games, which), rngs[k]))
        seconds[k] += time.perf_counter() - begun
        moves[k] += len(which)
        _require_legal(players[k], actions, legal[which], games)
        return which, actions

    with ThreadPoolExecutor(2) as pool:
        while not games.ended.all():
            legal = games.legal()
            mover = np.where(games.ended, -1, seats[np.arange(len(seats)), games.player])
            chosen = np.zeros(len(seats), np.int64)
            for which, actions in pool.map(choose, np.unique(mover[mover >= 0]).tolist()):
                chosen[which] = actions
            games.play(chosen, ~games.ended)
            tell(int(games.ended.sum()))
    winner = games.winner
    return Match(np.where(winner < 0, 0, np.where(winner == 0, 1, -1)).astype(np.int8), moves, seconds)


def part_of(games: Game, which: np.ndarray) -> Game:
    """A copy of some positions without their records, in which a player may try moves."""
    part = Game(games.name, len(which))
    part.rows = games.rows[which]
    return part


def _require_legal(player: Player, actions: np.ndarray, legal: np.ndarray, games: Game) -> None:
    inside = (actions >= 0) & (actions < games.num_actions)
    fine = inside & legal[np.arange(len(actions)), np.where(inside, actions, 0)]
    if not fine.all():
        raise InputError(f"{player.name} chose {int(actions[np.argmin(fine)])} in {games.name}, which is not legal")


def openings(game: str, count: int, seed: int = 0, plies: int = PLIES) -> np.ndarray:
    """`count` random beginnings of `plies` moves, actions int64 [count, K], with no forced win in sight.

    They are no longer than a quarter of the longest game.
    """
    many = 8 * count
    found: list[np.ndarray] = []
    for attempt in range(1000):
        games = Game(game, many)
        games.rows["rng"] = np.random.default_rng(derive_seed(seed, "openings", attempt)).integers(1 << 63, size=many)
        plies = min(plies, games.board.max_plies // 4)
        for _ in range(plies):
            games.play(games.random_actions(), ~games.ended)
        values = np.abs(games.minimax(QUIET)[1].max(axis=1))
        found.extend(games.moves[~games.ended & (values < WIN // 2), :plies].astype(np.int64))
        if len(found) >= count:
            return np.stack(found[:count])
    raise InputError(f"{game}: too few openings without a forced win")
