"""What the board games share: the row of state, the description of a game, and bit arithmetic.

A position is two 64-bit boards: `mine`, the stones of the player to move, and `theirs`. They swap after each move, so
that rules, observations and search are written once, for the player to move. Sources: the negamax convention of
Knuth and Moore 1975; bitboards after Tromp's Connect Four (John's Connect Four Playground).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from envs.arcade.rules import Row, below, draw, rule
from rl.interface import Symmetries

__all__ = ["NOBODY", "STATE", "WIN", "Board", "Row", "below", "bits_of", "count", "draw", "one", "rule"]

NOBODY = -1
"""`winner` while the game is in play and after a draw."""
WIN = 10_000
"""Value of a won position minus the number of plies to it. All heuristic values are smaller."""

STATE = np.dtype(
    [
        ("mine", np.uint64),  # stones of the player to move
        ("theirs", np.uint64),
        ("rng", np.uint64),  # SplitMix64's counter, for random opponents
        ("ply", np.int16),  # moves played, passes included
        ("last", np.int16),  # the latest action, -1 before the first
        ("earlier", np.int16),  # the action before the latest, -1 if there is none
        ("player", np.int8),  # to move: 0 moves first, 1 second
        ("winner", np.int8),  # 0, 1 or NOBODY
        ("ended", np.bool_),
        ("seat", np.int8),  # the player that the agent of a single-agent environment plays
        ("next_seat", np.int8),  # its seat in the next episode
        ("past", np.bool_),  # in self-play: whether an earlier self plays this game
    ],
    align=True,
)
"""One game in progress, the same for all games."""


@dataclass(frozen=True)
class Board:
    """The rules of one game: plain scalar functions of a row `s`, marked with `rule`.

    `engine.compile_board` compiles them over a batch. Actions 0 to 63 are the bits of `moves(s)`.
    """

    NAME: str
    VERSION: int
    """Grows with every change of the rules or of the state."""
    height: int
    width: int
    actions: int
    passes: bool
    """Whether the last action is a pass. It is legal only if no other action is."""
    max_plies: int
    """No game is longer, passes included."""
    order: tuple[int, ...]
    """All actions but the pass, the usually best ones first: for search."""
    action_names: tuple[str, ...]
    cells: tuple[int, ...]
    """Bit of each cell, row by row from the top left corner."""
    symmetries: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """Name, cell map, action map: see `Game.symmetries`. The first is the identity."""
    reset: Callable[[Row], None]
    """Sets the first position in a row whose boards are empty."""
    moves: Callable[[Row], Any]
    """The legal actions without the pass, as uint64 bits."""
    play: Callable[[Row, int], Any]
    """Plays a legal action, sets `winner` and `ended`, swaps the boards. Returns the flipped stones as bits."""
    undo: Callable[[Row, int, Any], None]
    """Takes back `action`, which flipped the stones of the last argument. The boards are swapped back already."""
    evaluate: Callable[[Row], int]
    """Heuristic value of a position in play for the player to move, smaller than WIN / 2."""
    lines: tuple[int, ...] = ()
    """In games of rows: the bits of each line that wins."""

    @property
    def maps(self) -> Symmetries:
        """`symmetries` as arrays."""
        names, cells, actions = zip(*self.symmetries)
        maps = np.array(actions, np.int64)
        return Symmetries(names, np.array(cells, np.int64), maps, np.argsort(maps, axis=1))

    STATE = STATE
    RANGES = (
        dict.fromkeys(("player", "seat", "next_seat"), (0, 1))
        | {"winner": (NOBODY, 1)}
        | dict.fromkeys(("last", "earlier"), (-1, 64))
        | {"ply": (0, 127)}
    )


@rule
def one(bit: int) -> Any:
    """The board with this bit alone."""
    return np.uint64(1) << np.uint64(bit)


@rule
def count(board: Any) -> Any:
    """Number of stones (the usual bit-parallel sum, which LLVM compiles to one instruction)."""
    b = board - ((board >> np.uint64(1)) & np.uint64(0x5555555555555555))
    b = (b & np.uint64(0x3333333333333333)) + ((b >> np.uint64(2)) & np.uint64(0x3333333333333333))
    b = (b + (b >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((b * np.uint64(0x0101010101010101)) >> np.uint64(56))


def bits_of(cells: Any) -> int:
    """The board with these bits, as a Python integer."""
    return sum(1 << int(bit) for bit in set(cells))


def line_value(lines: np.ndarray) -> Any:
    """`evaluate` for games of rows: counts the lines that one player alone has stones in, weighted by the stones."""

    @numba.njit(nogil=True, error_model="numpy")
    def evaluate(s: Row) -> int:
        value = 0
        for k in range(len(lines)):
            a, b = count(s.mine & lines[k]), count(s.theirs & lines[k])
            if b == 0:
                value += a * a * a
            elif a == 0:
                value -= b * b * b
        return value

    return evaluate


def square_symmetries(size: int, passes: bool) -> tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]:
    """The eight symmetries of a square board on which an action is the index of its cell."""
    grid = np.arange(size * size).reshape(size, size)
    found = []
    for turns in range(4):
        for mirrored in (False, True):
            cells = np.rot90(np.fliplr(grid) if mirrored else grid, turns).reshape(-1)
            actions = [*cells, size * size] if passes else [*cells]
            name = f"{'mirrored and ' if mirrored else ''}turned by {90 * turns} degrees"
            found.append((name, tuple(map(int, cells)), tuple(map(int, actions))))
    return tuple(found)
