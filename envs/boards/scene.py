"""One position as plain data for drawing: stones on a board and the facts beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from envs.boards.engine import compile_board, load_board
from envs.boards.rules import Board
from envs.boards.text import stones_of

State = Any
"""One structured row of `envs.boards.rules.STATE`."""


@dataclass(frozen=True)
class Stone:
    """A stone in column `x`, row `y`, counted from the top left corner."""

    x: int
    y: int
    owner: int
    """0 or 1: the player who moves first or second."""
    fresh: bool = False
    """Whether the latest ply placed it."""
    flipped: bool = False
    """Whether the latest ply turned it over."""


@dataclass(frozen=True)
class Scene:
    """One position of one game, ready to be drawn."""

    game: str
    cells: tuple[int, int]
    """Columns and rows."""
    stones: tuple[Stone, ...]
    player: int
    """Who is to move."""
    seat: int
    """The player whose view it is: the agent of a single-agent environment."""
    winner: int = -1
    over: bool = False
    line: tuple[tuple[int, int], ...] = ()
    """The cells of the winning rows."""
    free: tuple[tuple[int, int], ...] = ()
    """Cells that the player to move may take, in games that show them."""
    last: tuple[int, int] | None = None
    """The cell of the latest stone."""
    passed: bool = False
    """Whether the latest ply was a pass."""


def plies(game: str, state: State, before: State | None = None) -> list[Scene]:
    """The scenes of the plies from `before` to `state`, at most two; only that of `state` if they are not known."""
    board, rows = load_board(game), [np.array([state])]
    if before is None or int(before["ply"]) > int(state["ply"]) or before["ended"]:
        before = None if int(state["ply"]) != 1 else _first(game)
    missing = 0 if before is None else int(state["ply"]) - int(before["ply"])
    if before is None or missing not in (1, 2):
        return [_scene(board, rows[0][0], None)]
    rows.insert(0, np.array([before]))
    if missing == 2:
        rows.insert(1, np.array([before]))
        everyone, flipped = np.ones(1, bool), np.zeros(1, np.uint64)
        action = np.array([state["earlier"]], np.int64)
        if compile_board(game).take(rows[1], everyone, action, flipped, False) >= 0:  # another game
            return [_scene(board, rows[-1][0], None)]
    return [_scene(board, row[0], old[0]) for old, row in pairwise(rows)]


def _first(game: str) -> State:
    rows = np.zeros(1, load_board(game).STATE)
    compile_board(game).begin(rows, np.ones(1, bool))
    return rows[0]


def _scene(board: Board, state: State, before: State | None) -> Scene:
    both = stones_of(state)
    old = both if before is None else stones_of(before)
    place = {bit: (k % board.width, k // board.width) for k, bit in enumerate(board.cells)}
    stones = []
    for owner in (0, 1):
        for bit, (x, y) in place.items():
            if both[owner] >> bit & 1:
                fresh = not (old[0] | old[1]) >> bit & 1
                stones.append(Stone(x, y, owner, fresh, not fresh and not old[owner] >> bit & 1))
    free: tuple[tuple[int, int], ...] = ()
    if board.passes and not state["ended"]:
        rows, legal = np.array([state]), np.zeros((1, board.actions), np.bool_)
        shown = np.zeros((1, len(board.cells), 2), np.bool_)
        cells = np.array(board.cells, np.uint64)
        compile_board(board.NAME).show(rows, np.ones(1, bool), False, cells, shown, legal)
        free = tuple(place[int(k)] for k in np.flatnonzero(legal[0, :-1]))
    last, latest = int(state["last"]), None
    if board.NAME == "ConnectFour" and last >= 0:
        latest = min((stone.x, stone.y) for stone in stones if stone.x == last)  # the highest in its column
    elif 0 <= last < len(board.cells):
        latest = place[last]
    return Scene(
        board.NAME,
        (board.width, board.height),
        tuple(stones),
        player=int(state["player"]),
        seat=int(state["seat"]),
        winner=int(state["winner"]),
        over=bool(state["ended"]),
        line=_winning(board, both[int(state["winner"])], place) if state["winner"] >= 0 else (),
        free=free,
        last=latest,
        passed=board.passes and int(state["last"]) == board.actions - 1,
    )


def _winning(board: Board, stones: int, place: dict[int, tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    cells = {
        place[bit] for line in map(int, board.lines) if stones & line == line for bit in range(64) if line >> bit & 1
    }
    return tuple(sorted(cells))
