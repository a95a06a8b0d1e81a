"""Tic-tac-toe: three in a row on 3 x 3 cells. Bit and action k is the cell in row k // 3, column k % 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.boards.rules import Board, Row, bits_of, line_value, one, rule, square_symmetries

FULL = np.uint64(0b111111111)
_ROWS = [[3 * k, 3 * k + 1, 3 * k + 2] for k in range(3)]
_COLUMNS = [[k, k + 3, k + 6] for k in range(3)]
LINES = np.array([bits_of(line) for line in (*_ROWS, *_COLUMNS, [0, 4, 8], [2, 4, 6])], np.uint64)


@rule
def reset(s: Row) -> None:
    s.mine = s.theirs = np.uint64(0)


@rule
def moves(s: Row) -> Any:
    return FULL & ~(s.mine | s.theirs)


@rule
def play(s: Row, action: int) -> Any:
    stones = s.mine | one(action)
    for line in LINES:
        if stones & line == line:
            s.winner, s.ended = s.player, True
    s.mine, s.theirs = s.theirs, stones
    s.ended = s.ended or (s.mine | s.theirs) == FULL
    return np.uint64(0)


@rule
def undo(s: Row, action: int, flipped: Any) -> None:
    s.mine &= ~one(action)


GAME = Board(
    NAME="TicTacToe",
    VERSION=2,
    height=3,
    width=3,
    actions=9,
    passes=False,
    max_plies=9,
    order=(4, 0, 2, 6, 8, 1, 3, 5, 7),
    action_names=tuple(f"{'abc'[k % 3]}{3 - k // 3}" for k in range(9)),
    cells=tuple(range(9)),
    symmetries=square_symmetries(3, passes=False),
    reset=reset,
    moves=moves,
    play=play,
    undo=undo,
    evaluate=line_value(LINES),
    lines=tuple(map(int, LINES)),
)
