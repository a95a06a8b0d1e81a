"""Lab: tree search. Read search.md first, then repair `backup` below.

python docs/labs/search.py        plays tic-tac-toe against a perfect player, with more and more simulations
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import lab  # type: ignore[import-not-found]

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
EVERY = 20  # simulations between two points of the curve
POINTS = 6
GAMES = 20
EXPLORE = 1.0
Board = str  # nine of "x", "o" and "."; x moves first


@dataclass
class Node:
    """A position. `total` is the sum of results of its visits, for the player who moved into it (1 won, -1 lost)."""

    board: Board
    visits: int = 0
    total: float = 0.0
    children: dict[int, Node] = field(default_factory=dict)


def backup(path: list[Node], result: float) -> None:
    """Adds a simulation's result to the nodes of `path`, the root first.

    result: 1, 0 or -1, for the player who moved into the last node of the path.
    """
    # HOLE: the players take turns, but every node of the path gets the same sign.
    for node in path:
        node.visits += 1
        node.total += result


def legal(board: Board) -> list[int]:
    return [k for k in range(9) if board[k] == "."]


def after(board: Board, move: int) -> Board:
    return board[:move] + "xo"[board.count(".") % 2 == 0] + board[move + 1 :]


def ended(board: Board) -> bool:
    return lost(board) or "." not in board


def lost(board: Board) -> bool:
    """Whether the player to move has lost: the other one has three in a row."""
    return any(board[a] == board[b] == board[c] != "." for a, b, c in LINES)


@functools.cache
def minimax(board: Board) -> int:
    """1 if the player to move wins by perfect play, -1 if they lose, 0 for a draw."""
    if lost(board):
        return -1
    return max((-minimax(after(board, move)) for move in legal(board)), default=0)


def perfect(board: Board, rng: random.Random) -> int:
    return max(legal(board), key=lambda move: (-minimax(after(board, move)), rng.random()))


def simulate(root: Node, rng: random.Random, backup: Callable[[list[Node], float], None]) -> None:
    """One simulation: down the tree by UCT (Kocsis & Szepesvari 2006), one new node, random moves to the end."""
    path = [root]
    while not ended(path[-1].board):
        node = path[-1]
        new = [move for move in legal(node.board) if move not in node.children]
        if new:
            move = rng.choice(new)
            node.children[move] = Node(after(node.board, move))
            path.append(node.children[move])
            break
        path.append(max(node.children.values(), key=lambda child: _uct(child, node.visits)))
    board, sign = path[-1].board, 1
    while not ended(board):
        board, sign = after(board, rng.choice(legal(board))), -sign
    backup(path, sign * float(lost(board)))


def _uct(child: Node, visits: int) -> float:
    return child.total / child.visits + EXPLORE * math.sqrt(math.log(visits) / child.visits)


def searched(board: Board, simulations: int, rng: random.Random, backup: Callable[[list[Node], float], None]) -> int:
    root = Node(board)
    for _ in range(simulations):
        simulate(root, rng, backup)
    return max(root.children, key=lambda move: root.children[move].visits)


def learn(backup: Callable[[list[Node], float], None] = backup) -> list[float]:
    """The share of `GAMES` games that are not lost, in percent, with `EVERY` simulations, twice as many, and so on."""
    curve = []
    for point in range(1, POINTS + 1):
        rng, draws = random.Random(0), 0
        for game in range(GAMES):
            board, mine = "." * 9, game % 2
            while not ended(board):
                turn = board.count(".") % 2  # 1 if x moves
                own = turn != mine
                move = searched(board, EVERY * point, rng, backup) if own else perfect(board, rng)
                board = after(board, move)
            draws += not lost(board)
        curve.append(100 * draws / GAMES)
    return curve


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    return "" if curve[-1] >= 85 else f"with {EVERY * POINTS} simulations, {curve[-1]:.0f}% of the games are not lost"


if __name__ == "__main__":
    lab.main(learn, check)
