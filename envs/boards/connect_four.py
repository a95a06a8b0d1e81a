"""Connect Four: seven columns of six cells, four in a row win. Action k drops a stone into column k.

Bit 7 * column + height, counted from the bottom; the seventh bit of each column stays empty, so that shifts never run
from one column into the next (Tromp's layout).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.boards.rules import Board, Row, bits_of, line_value, one, rule

WIDTH, HEIGHT = 7, 6
FULL = np.uint64(bits_of(7 * x + y for x in range(WIDTH) for y in range(HEIGHT)))
STEPS = ((1, 0), (0, 1), (1, 1), (1, -1))
LINES = np.array(
    [
        bits_of(7 * (x + k * dx) + y + k * dy for k in range(4))
        for dx, dy in STEPS
        for x in range(WIDTH)
        for y in range(HEIGHT)
        if x + 3 * dx < WIDTH and 0 <= y + 3 * dy < HEIGHT
    ],
    np.uint64,
)


@rule
def reset(s: Row) -> None:
    s.mine = s.theirs = np.uint64(0)


@rule
def moves(s: Row) -> Any:
    free = np.uint64(0)
    stones = s.mine | s.theirs
    for x in range(WIDTH):
        if not (stones >> np.uint64(7 * x + HEIGHT - 1)) & np.uint64(1):
            free |= one(x)
    return free


@rule
def four_in_a_row(stones: Any) -> bool:
    """Whether these stones hold four in a row."""
    for shift in (np.uint64(1), np.uint64(7), np.uint64(6), np.uint64(8)):
        pairs = stones & (stones >> shift)
        if pairs & (pairs >> (shift + shift)):
            return True
    return False


@rule
def play(s: Row, action: int) -> Any:
    stones = s.mine | s.theirs
    column = np.uint64(0b111111) << np.uint64(7 * action)
    placed = s.mine | ((stones + one(7 * action)) & column)
    if four_in_a_row(placed):
        s.winner, s.ended = s.player, True
    s.mine, s.theirs = s.theirs, placed
    s.ended = s.ended or (s.mine | s.theirs) == FULL
    return np.uint64(0)


@rule
def undo(s: Row, action: int, flipped: Any) -> None:
    column = np.uint64(0b1111111) << np.uint64(7 * action)
    stones = (s.mine | s.theirs) & column
    s.mine ^= ((stones + one(7 * action)) & column) >> np.uint64(1)


MIRROR = tuple(7 * y + 6 - x for y in range(HEIGHT) for x in range(WIDTH))

GAME = Board(
    NAME="ConnectFour",
    VERSION=2,
    height=HEIGHT,
    width=WIDTH,
    actions=WIDTH,
    passes=False,
    max_plies=42,
    order=(3, 2, 4, 1, 5, 0, 6),
    action_names=tuple(f"column {x + 1}" for x in range(WIDTH)),
    cells=tuple(7 * x + HEIGHT - 1 - y for y in range(HEIGHT) for x in range(WIDTH)),
    symmetries=(
        ("as it is", tuple(range(42)), tuple(range(7))),
        ("mirrored", MIRROR, tuple(range(6, -1, -1))),
    ),
    reset=reset,
    moves=moves,
    play=play,
    undo=undo,
    evaluate=line_value(LINES),
    lines=tuple(map(int, LINES)),
)
