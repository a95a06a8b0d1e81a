"""Full-width search of a few plies whose leaves an n-tuple network values (`rl.tuples`), compiled per game.

Alpha-beta in negamax form (Knuth and Moore 1975). A position in which the player to move wins at once, or makes the
last move of the game, is worth its result; the network is not asked.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from envs import arcade, compiled
from envs.boards import GAMES, engine
from envs.boards.rules import NOBODY, Row, count
from envs.compiled import compile_loops
from rl import tuples
from rl.tuples import gain, move_to, total

OPEN = np.float32(2.0)
"""Of a position whose outcome is not known."""


@lru_cache
def compile_plies(name: str) -> Any:
    """The compiled `action_values` of game `name`."""
    board, here = engine.load_board(name), Path(__file__).parent
    sources = [here / "rules.py", here / "engine.py", here / "plies.py", here / f"{GAMES[name][0]}.py"]
    sources += [Path(arcade.__file__).parent / "rules.py", Path(str(tuples.__file__))]
    scope = {**vars(engine), **globals(), "moves": board.moves, "play": board.play}
    scope |= {"ACTIONS": board.actions, "PASSES": board.passes}
    scope |= {"CELLS": len(board.cells), "EARLY": bool(board.lines)}
    folder = compiled.cache_folder("boards", f"{name.lower()}-plies", sources)
    inner = (engine.moved, engine.put_back, engine.is_legal, result_of, known, after, worth)
    return compile_loops(name, folder, scope, inner, (action_values,))[0]


ACTIONS, CELLS, PASSES, EARLY = 0, 0, False, True  # of the game, once bound, like the rules below


def moves(s: Row) -> Any: ...


def is_legal(s: Row, action: int, free: Any) -> Any: ...


def moved(s: Row, action: int) -> Any: ...


def put_back(s: Row, mine: Any, theirs: Any) -> None: ...


def result_of(s: Row, player: int) -> Any:
    """Of an ended game, for `player`."""
    return np.float32(0.0 if s.winner == NOBODY else 1.0 if s.winner == player else -1.0)


def known(s: Row) -> Any:
    """What a position in play is worth if the player to move wins at once or makes the last move, else OPEN.

    In a game that is decided by its last move, that is asked only where at most one cell is empty.
    """
    if not EARLY and CELLS - count(s.mine | s.theirs) > 1:
        return OPEN
    free, mine, theirs, me = moves(s), s.mine, s.theirs, s.player
    best, going = -OPEN, False
    for action in range(ACTIONS):
        if not is_legal(s, action, free):
            continue
        moved(s, action)
        if s.ended:
            best = max(best, result_of(s, me))
        else:
            going = True
        put_back(s, mine, theirs)
    return OPEN if going and best < 1 else best


def after(s: Row, net: Any, digits: np.ndarray, where: np.ndarray, q: np.ndarray) -> bool:
    """Writes the value of each action after one ply, -inf for illegal ones; whether the position is not known."""
    free, mine, theirs, me = moves(s), s.mine, s.theirs, s.player
    best, going, at_base = -OPEN, False, False
    base, table = np.float32(0.0), net.tables[0]
    for action in range(ACTIONS):
        q[action] = -np.inf
        if not is_legal(s, action, free):
            continue
        flipped = moved(s, action)
        if s.ended:
            q[action] = result_of(s, me)
            best = max(best, q[action])
        else:
            going = True
            q[action] = -known(s)
            if q[action] == -OPEN and not flipped and (s.mine | s.theirs) != (mine | theirs):
                if not at_base:
                    table = net.tables[1 - move_to(net, theirs, mine, digits, where)]
                    base, at_base = total(table, where), True
                q[action] = -np.tanh(base + gain(net, table, where, s.theirs ^ mine))
            elif q[action] == -OPEN:
                table = net.tables[move_to(net, s.mine, s.theirs, digits, where)]
                q[action], at_base = -np.tanh(total(table, where)), False
        put_back(s, mine, theirs)
    return bool(going and best < 1)


def worth(
    s: Row,
    depth: int,
    alpha: Any,
    beta: Any,
    order: np.ndarray,
    net: Any,
    digits: np.ndarray,
    where: np.ndarray,
    q: np.ndarray,
) -> Any:
    """The value of a position in play after `depth` plies, if it lies between `alpha` and `beta`; else a bound."""
    if depth == 1:
        after(s, net, digits, where, q)
        return q.max()
    sure = known(s)
    if sure != OPEN:
        return sure
    free, mine, theirs, me = moves(s), s.mine, s.theirs, s.player
    best = -OPEN
    for k in range(len(order) + PASSES):
        action = order[k] if k < len(order) else ACTIONS - 1
        if not is_legal(s, action, free):
            continue
        moved(s, action)
        if s.ended:
            value = result_of(s, me)
        else:
            value = -worth(s, depth - 1, -beta, -max(alpha, best), order, net, digits, where, q)
        put_back(s, mine, theirs)
        best = max(best, value)
        if best >= beta:
            break
    return best


def action_values(
    rows: np.ndarray,
    depth: int,
    order: np.ndarray,
    net: Any,
    cursors: Any,
    q: np.ndarray,
    value: np.ndarray,
    settled: np.ndarray,
) -> None:
    """The value of each action after one ply, float32 [N, A], and of each position after `depth` plies, float32 [N].

    q is -inf for illegal actions. settled, bool [N]: the player to move wins at once or makes the last move. cursors
    [C]: row i looks up from number i % C, which is fast if the position there is much the same.
    """
    below = np.empty(ACTIONS, np.float32)
    for i in range(len(rows)):
        s, digits, where = rows[i], cursors[0][i % len(cursors[0])], cursors[1][i % len(cursors[0])]
        settled[i] = not after(s, net, digits, where, q[i])
        value[i] = q[i].max()
        if depth == 1 or settled[i]:
            continue
        mine, theirs, best = s.mine, s.theirs, -OPEN
        for action in np.argsort(-q[i]):
            if q[i, action] == -np.inf:
                break
            moved(s, action)
            if s.ended:
                found = q[i, action]
            else:
                found = -worth(s, depth - 1, -OPEN, -best, order, net, digits, where, below)
            put_back(s, mine, theirs)
            best = max(best, found)
        value[i] = best
