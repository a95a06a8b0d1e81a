"""Compiles the rules of a board game over a batch, and holds N single-agent games in progress.

The loops below are templates: they call the rules `reset`, `moves`, `play`, `undo` and `evaluate`, and `compile_board`
makes one copy of them per game with the rules of that game.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs import arcade, compiled
from envs.boards import GAMES
from envs.boards.rules import NOBODY, WIN, Board, Row, below, count
from envs.compiled import compile_loops
from rl.errors import unknown


class Kernels(NamedTuple):
    """The compiled loops of one game over rows [N] of `STATE`. `mask`, bool [N], names the rows they work on."""

    begin: Any
    """begin(rows, mask): sets the first position and moves the agent to its next seat."""
    show: Any
    """show(rows, mask, seated, cells, boards, legal)

    Writes observations, bool [N, H * W, 2], and legal actions, bool [N, A]. Plane 0 has the stones of the player to
    move, or with `seated` those of the agent's seat. A game that has ended has no legal actions.
    """
    take: Any
    """take(rows, mask, actions, flipped, forfeit)

    Plays the int64 [N] actions and writes the flipped stones, uint64 [N]. Returns -1, or the first row whose action is
    illegal; then it has changed nothing. With `forfeit` an illegal action loses the game instead.
    """
    take_back: Any
    """take_back(rows, mask, moves, flipped): undoes the latest ply of the records `moves` and `flipped`, [N, plies]."""
    pick: Any
    """pick(rows, mask, actions): a random legal action of each row, by the generator of the row."""
    rollout: Any
    """rollout(rows, values): plays random moves to the end; float32 values [N] of the player to move at the start."""
    search: Any
    """search(rows, mask, depth, order, actions, values)

    The best action by alpha-beta search of `depth` plies and the values of all actions: exact for the best ones, an
    upper bound for the others, -2 * WIN for illegal ones. Equally good actions are drawn by the row's generator.
    """
    foresee: Any
    """foresee(rows, mask, depth, positions, order, seen, least, most, plies)

    What up to `depth` plies of exhaustive search prove of each legal action for the player to move: int8 [N, A], at
    least and at most lost (-1), drawn (0) or won (1), and the depth that proved it. It deepens ply by ply and ends with
    the soonest win, or after `positions` of each row. `seen`, uint64 [M, 3] with M a power of two or 0, remembers
    positions; with it, a game that is decided by its last move is searched to the end at once.
    """


def load_board(name: str) -> Board:
    """The rules of game `name`, a key of `GAMES`."""
    if not isinstance(name, str) or name not in GAMES:
        raise unknown("board game", str(name), GAMES)
    module, attribute = GAMES[name]
    return getattr(importlib.import_module(f"envs.boards.{module}"), attribute)


@lru_cache
def compile_board(name: str) -> Kernels:
    """The kernels of game `name`. Each is compiled, or read from the disk, when it is first called."""
    board, here = load_board(name), Path(__file__).parent
    sources = [here / "rules.py", here / "engine.py", here / f"{GAMES[name][0]}.py"]
    sources.append(Path(arcade.__file__).parent / "rules.py")
    scope = {**globals(), "reset": board.reset, "moves": board.moves, "play": board.play, "undo": board.undo}
    scope |= {"evaluate": board.evaluate, "ACTIONS": board.actions, "PASSES": board.passes}
    scope |= {"CELLS": len(board.cells), "EARLY": bool(board.lines)}
    folder = compiled.cache_folder("boards", name.lower(), sources)
    inner = (restart, moved, put_back, is_legal, random_move, value_of, place_of, depth_of, sure)
    outer = (begin, show, take, take_back, pick, rollout, search, foresee)
    return Kernels(*compile_loops(name, folder, scope, inner, outer))


ACTIONS, CELLS, PASSES, EARLY = 0, 0, False, True  # of the game, once bound, like the rules below
PROVED = 63
"""Stored in place of a depth: it is proved."""


def reset(s: Row) -> None: ...


def moves(s: Row) -> Any: ...


def play(s: Row, action: int) -> Any: ...


def undo(s: Row, action: int, flipped: Any) -> None: ...


def evaluate(s: Row) -> int: ...  # type: ignore[empty-body]


def restart(s: Row) -> None:
    s.mine = s.theirs = np.uint64(0)
    s.ply, s.player = 0, 0
    s.last, s.earlier = -1, -1
    s.winner, s.ended = NOBODY, False
    s.seat = s.next_seat
    s.next_seat = 1 - s.seat
    reset(s)


def moved(s: Row, action: int) -> Any:
    flipped = play(s, action)
    s.player = 1 - s.player
    s.ply += 1
    return flipped


def put_back(s: Row, mine: Any, theirs: Any) -> None:
    """The position before the latest ply, whose boards were `mine` and `theirs`, without its latest moves."""
    s.mine, s.theirs = mine, theirs
    s.player = 1 - s.player
    s.ply -= 1
    s.winner, s.ended = NOBODY, False


def is_legal(s: Row, action: int, free: Any) -> bool:
    if PASSES and action == ACTIONS - 1:
        return not free
    return 0 <= action < ACTIONS and (free >> np.uint64(action)) & np.uint64(1) == np.uint64(1)


def random_move(s: Row) -> int:
    free = moves(s)
    chosen, seen = ACTIONS - 1, 0
    for action in range(ACTIONS - PASSES):
        if (free >> np.uint64(action)) & np.uint64(1):
            seen += 1
            if below(s, seen) == 0:
                chosen = action
    return chosen


def begin(rows: np.ndarray, mask: np.ndarray) -> None:
    for i in range(len(rows)):
        if mask[i]:
            restart(rows[i])


def show(
    rows: np.ndarray, mask: np.ndarray, seated: bool, cells: np.ndarray, boards: np.ndarray, legal: np.ndarray
) -> None:
    for i in range(len(rows)):
        if not mask[i]:
            continue
        s = rows[i]
        mine, theirs = s.mine, s.theirs
        if seated and s.player != s.seat:
            mine, theirs = theirs, mine
        for k in range(len(cells)):
            boards[i, k, 0] = (mine >> cells[k]) & np.uint64(1)
            boards[i, k, 1] = (theirs >> cells[k]) & np.uint64(1)
        legal[i, :] = False
        if not s.ended:
            free = moves(s)
            for action in range(ACTIONS):
                legal[i, action] = is_legal(s, action, free)


def take(rows: np.ndarray, mask: np.ndarray, actions: np.ndarray, flipped: np.ndarray, forfeit: bool) -> int:
    if not forfeit:
        for i in range(len(rows)):
            if mask[i] and (rows[i].ended or not is_legal(rows[i], actions[i], moves(rows[i]))):
                return i
    for i in range(len(rows)):
        if not mask[i]:
            continue
        s, action = rows[i], actions[i]
        if forfeit and not is_legal(s, action, moves(s)):
            s.winner, s.ended = 1 - s.player, True
            continue
        flipped[i] = moved(s, action)
        s.earlier = s.last
        s.last = action
    return -1


def take_back(rows: np.ndarray, mask: np.ndarray, moves: np.ndarray, flipped: np.ndarray) -> None:
    for i in range(len(rows)):
        if not mask[i] or rows[i].ply == 0:
            continue
        s = rows[i]
        s.ply -= 1
        s.player = 1 - s.player
        s.winner, s.ended = NOBODY, False
        s.mine, s.theirs = s.theirs, s.mine
        undo(s, moves[i, s.ply], flipped[i, s.ply])
        s.last = moves[i, s.ply - 1] if s.ply > 0 else -1
        s.earlier = moves[i, s.ply - 2] if s.ply > 1 else -1


def pick(rows: np.ndarray, mask: np.ndarray, actions: np.ndarray) -> None:
    for i in range(len(rows)):
        if not mask[i]:
            continue
        actions[i] = random_move(rows[i])


def rollout(rows: np.ndarray, values: np.ndarray) -> None:
    for i in range(len(rows)):
        s = rows[i]
        me = s.player
        while not s.ended:
            moved(s, random_move(s))
        values[i] = 0.0 if s.winner == NOBODY else 1.0 if s.winner == me else -1.0


def value_of(s: Row, depth: int, order: np.ndarray, alpha: int, beta: int) -> int:
    """Negamax with alpha-beta; a win is worth more the sooner it comes."""
    if s.ended:
        if s.winner == NOBODY:
            return 0
        return WIN - s.ply if s.winner == s.player else s.ply - WIN
    if depth == 0:
        return evaluate(s)
    free = moves(s)
    best = -2 * WIN
    for k in range(len(order) + PASSES):
        action = order[k] if k < len(order) else ACTIONS - 1
        if not is_legal(s, action, free):
            continue
        mine, theirs = s.mine, s.theirs
        moved(s, action)
        value = -value_of(s, depth - 1, order, -beta, -max(alpha, best))
        put_back(s, mine, theirs)
        best = max(best, value)
        if best >= beta:
            break
    return best


def search(
    rows: np.ndarray, mask: np.ndarray, depth: int, order: np.ndarray, actions: np.ndarray, values: np.ndarray
) -> None:
    for i in range(len(rows)):
        if not mask[i]:
            continue
        s = rows[i]
        free = moves(s)
        best, ties = -2 * WIN, 0
        values[i, :] = -2 * WIN
        for k in range(len(order) + PASSES):
            action = order[k] if k < len(order) else ACTIONS - 1
            if not is_legal(s, action, free):
                continue
            mine, theirs = s.mine, s.theirs
            moved(s, action)
            value = -value_of(s, depth - 1, order, -2 * WIN, 1 - best)  # equal values are found exactly
            put_back(s, mine, theirs)
            values[i, action] = value
            if value > best:
                best, ties = value, 0
            if value == best:
                ties += 1
                if below(s, ties) == 0:
                    actions[i] = action


def place_of(mine: Any, theirs: Any, places: int) -> Any:
    spread = (mine * np.uint64(0x9E3779B97F4A7C15)) ^ (theirs * np.uint64(0xC2B2AE3D27D4EB4F))
    return np.int64((spread ^ (spread >> np.uint64(29))) >> np.uint64(7) & np.uint64(places - 1))


def depth_of(known: Any, kind: int) -> Any:
    """The depth that did not prove it, or PROVED."""
    return np.int64(known >> np.uint64(6 * kind) & np.uint64(63))


def sure(s: Row, depth: int, kind: int, order: np.ndarray, left: np.ndarray, seen: np.ndarray) -> bool:
    """Whether `depth` plies prove for the player to move: at least a draw (kind 0), a win (1), a loss (2), at most a
    draw (3).

    Everything beyond the depth is unknown, and so is everything once no positions are `left` [0]. `seen` [M, 3] holds
    the two boards and what is known of them; entries with another mark than `left` [1] are old.
    """
    upper = kind >= 2
    if s.ended:
        result = 0 if s.winner == NOBODY else 1 if s.winner == s.player else -1
        return result <= kind - 3 if upper else result >= kind
    if depth == 0:
        return False
    left[0] -= 1
    if left[0] < 0:
        return False
    mine, theirs = s.mine, s.theirs
    best: Any = -1
    place, known = 0, np.uint64(0)
    tabled = len(seen) > 0 and depth > 1
    if tabled:
        place = place_of(mine, theirs, len(seen))
        if seen[place, 0] == mine and seen[place, 1] == theirs and seen[place, 2] >> np.uint64(32) == left[1]:
            known = seen[place, 2]
            best = np.int64(known >> np.uint64(24) & np.uint64(255)) - 1
        told = depth_of(known, kind)
        if told == PROVED:
            return True
        if told >= depth or depth_of(known, (kind + 2) % 4) == PROVED or depth_of(known, 1 if upper else 2) == PROVED:
            return False
    free, found, first = moves(s), upper, best
    for k in range(-1 if first >= 0 else 0, len(order) + PASSES):
        action = first if k < 0 else order[k] if k < len(order) else ACTIONS - 1
        if not is_legal(s, action, free):
            continue
        moved(s, action)
        if depth == 1 and not s.ended:
            answer = False
        else:
            answer = sure(s, depth - 1, 3 - kind, order, left, seen)
        put_back(s, mine, theirs)
        if answer != upper:
            found, best = answer, action
            break
    if tabled:
        shift = np.uint64(6 * kind)
        known &= ~(np.uint64(63) << shift) & np.uint64(0xFFFFFF)
        known |= np.uint64(PROVED if found else min(depth, PROVED - 1)) << shift
        seen[place, 0], seen[place, 1] = mine, theirs
        seen[place, 2] = known | np.uint64(best + 1) << np.uint64(24) | np.uint64(left[1]) << np.uint64(32)
    return found


def foresee(
    rows: np.ndarray,
    mask: np.ndarray,
    depth: int,
    positions: int,
    order: np.ndarray,
    seen: np.ndarray,
    least: np.ndarray,
    most: np.ndarray,
    plies: np.ndarray,
) -> None:
    left = np.zeros(2, np.int64)
    for i in range(len(rows)):
        if not mask[i]:
            continue
        s = rows[i]
        left[0], left[1] = positions, i + 1
        free = moves(s)
        empty = CELLS - count(s.mine | s.theirs)
        over = False
        for far in range(1 if EARLY or len(seen) == 0 else empty, depth + 1):
            for k in range(len(order) + PASSES):
                action = order[k] if k < len(order) else ACTIONS - 1
                if over or plies[i, action] > 0 or not is_legal(s, action, free):
                    continue
                mine, theirs = s.mine, s.theirs
                moved(s, action)
                for kind in (2, 1, 3, 0):  # asked of the opponent; draws only where the depth can fill the board
                    asked = (0 < kind < 3 or far >= empty) and least[i, action] < most[i, action]
                    if asked and sure(s, far - 1, kind, order, left, seen):
                        if kind < 2:
                            most[i, action] = -kind
                        else:
                            least[i, action] = 3 - kind
                put_back(s, mine, theirs)
                if least[i, action] == most[i, action]:
                    plies[i, action] = far
                over = least[i, action] == 1 or left[0] < 0
