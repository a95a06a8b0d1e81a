"""Othello on 8 x 8 and 6 x 6 cells: a move flips every line of enemy stones that it closes in; most stones win.

Bit and action k is the cell in row k // size, column k % size, from the top left corner. The last action passes: it is
legal only if no stone can be placed. The game ends when neither player can place a stone. Black, who moves first, has
the cells d5 and e4 (8 x 8), as in the rules of the World Othello Federation. Move generation: parallel prefix fills
in eight directions (the chess programming wiki's Kogge-Stone fill, here one step at a time).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.boards.rules import Board, Row, bits_of, count, one, rule, square_symmetries


def _lines(size: int) -> tuple[Any, Any]:
    """The compiled rules `placements` and `captured`, with `size` as a constant.

    placements(mine, theirs): the cells on which the player to move may place a stone. captured(mine, theirs, stone):
    the enemy stones that it flips there. All are sets of cells, one bit each.
    """
    cells = size * size
    full = np.uint64((1 << cells) - 1)
    not_left = np.uint64(bits_of(k for k in range(cells) if k % size > 0))
    not_right = np.uint64(bits_of(k for k in range(cells) if k % size < size - 1))
    forward = np.array([1, size - 1, size, size + 1], np.uint64)
    # A shift up by 1 or size + 1 must not come from the right edge, one by size - 1 not from the left edge.
    up_from = np.array([not_right, not_left, full, not_right], np.uint64)
    down_from = np.array([not_left, not_right, full, not_left], np.uint64)

    @rule
    def placements(mine: Any, theirs: Any) -> Any:
        found = np.uint64(0)
        for k in range(4):
            by = forward[k]
            run = theirs & ((mine & up_from[k]) << by)
            back = theirs & ((mine & down_from[k]) >> by)
            for _ in range(size - 3):
                run |= theirs & ((run & up_from[k]) << by)
                back |= theirs & ((back & down_from[k]) >> by)
            found |= ((run & up_from[k]) << by) | ((back & down_from[k]) >> by)
        return found & ~(mine | theirs) & full

    @rule
    def captured(mine: Any, theirs: Any, stone: Any) -> Any:
        flipped = np.uint64(0)
        for k in range(4):
            by = forward[k]
            run, ahead = np.uint64(0), (stone & up_from[k]) << by
            while ahead & theirs:
                run |= ahead
                ahead = (ahead & up_from[k]) << by
            if ahead & mine:
                flipped |= run
            run, ahead = np.uint64(0), (stone & down_from[k]) >> by
            while ahead & theirs:
                run |= ahead
                ahead = (ahead & down_from[k]) >> by
            if ahead & mine:
                flipped |= run
        return flipped

    return placements, captured


def _evaluation(size: int, placements: Any) -> Any:
    """The compiled rule `evaluate`: mobility, corners, the cells diagonally beside them, and stones."""
    cells = size * size
    corners = np.uint64(bits_of((0, size - 1, cells - size, cells - 1)))
    beside = np.uint64(bits_of((size + 1, 2 * size - 2, cells - 2 * size + 1, cells - size - 2)))

    @rule
    def evaluate(s: Row) -> int:
        mobility = count(placements(s.mine, s.theirs)) - count(placements(s.theirs, s.mine))
        edges = count(s.mine & corners) - count(s.theirs & corners)
        risks = count(s.mine & beside) - count(s.theirs & beside)
        return 10 * mobility + 80 * edges - 25 * risks + count(s.mine) - count(s.theirs)

    return evaluate


def _changes(size: int, placements: Any, captured: Any) -> tuple[Any, Any, Any]:
    """The compiled rules `reset`, `play` and `undo`."""
    half, pass_move = size // 2, size * size
    black = np.uint64(bits_of((half * size + half - 1, (half - 1) * size + half)))
    white = np.uint64(bits_of(((half - 1) * size + half - 1, half * size + half)))

    @rule
    def reset(s: Row) -> None:
        s.mine, s.theirs = black, white

    @rule
    def play(s: Row, action: int) -> Any:
        flipped = np.uint64(0)
        if action != pass_move:
            stone = one(action)
            flipped = captured(s.mine, s.theirs, stone)
            s.mine |= stone | flipped
            s.theirs &= ~flipped
        s.mine, s.theirs = s.theirs, s.mine
        if not placements(s.mine, s.theirs) and not placements(s.theirs, s.mine):
            s.ended = True
            lead = count(s.theirs) - count(s.mine)  # of the player who has just moved
            if lead > 0:
                s.winner = s.player
            elif lead < 0:
                s.winner = 1 - s.player
        return flipped

    @rule
    def undo(s: Row, action: int, flipped: Any) -> None:
        if action != pass_move:
            s.mine &= ~(one(action) | flipped)
            s.theirs |= flipped

    return reset, play, undo


def _board(size: int, name: str) -> Board:
    """The rules on a board of `size` x `size` cells."""
    cells = size * size
    placements, captured = _lines(size)
    reset, play, undo = _changes(size, placements, captured)

    @rule
    def moves(s: Row) -> Any:
        return placements(s.mine, s.theirs)

    rank = [[0 if k in (0, size - 1) else 2 if k in (1, size - 2) else 1 for k in range(size)] for _ in range(2)]
    order = sorted(range(cells), key=lambda k: (rank[0][k // size] + rank[1][k % size], abs(k - cells / 2)))
    names = tuple(f"{'abcdefgh'[k % size]}{k // size + 1}" for k in range(cells))
    return Board(
        NAME=name,
        VERSION=2,
        height=size,
        width=size,
        actions=cells + 1,
        passes=True,
        max_plies=2 * cells - 8,
        order=tuple(order),
        action_names=(*names, "pass"),
        cells=tuple(range(cells)),
        symmetries=square_symmetries(size, passes=True),
        reset=reset,
        moves=moves,
        play=play,
        undo=undo,
        evaluate=_evaluation(size, placements),
    )


OTHELLO6 = _board(6, "Othello6")
OTHELLO = _board(8, "Othello")
