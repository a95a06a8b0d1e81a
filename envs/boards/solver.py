"""A perfect Connect Four player: negamax with alpha-beta on bitboards and a transposition table.

The score of a position is positive if the player to move wins, 0 for a draw, negative for a loss. Its size says how
early: 1 means a win with the last stone of the winner, 2 one stone earlier, and so on (at most 18).

The scheme is the usual one (Allis 1988; Tromp; the "Solving Connect 4" articles of Pons): a search without obviously
losing moves, moves ordered by the threats they make, null windows around a guess that narrow down to the score, and a
table of bounds. The table has buckets of two entries: the first prefers positions with fewer stones, the second is
always replaced. Mirrored positions share an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs import arcade, compiled
from envs.boards.connect_four import FULL, HEIGHT, WIDTH, four_in_a_row
from envs.boards.game import Game
from envs.boards.opening_book import book
from envs.boards.opening_book import key_of as key_of_position
from envs.boards.rules import bits_of, count, one
from envs.compiled import compile_loops
from rl.errors import InputError

CELLS = WIDTH * HEIGHT
BOTTOM = np.uint64(bits_of(7 * x for x in range(WIDTH)))
COLUMN = np.uint64(0b111111)
ORDER = (3, 2, 4, 1, 5, 0, 6)
ILLEGAL = -100
"""Score of a move into a full column."""
TABLED_BELOW = 34
"""Positions with this many stones are searched faster than they are found in the table."""
REPLIES_BELOW = 30
"""With fewer stones the replies are looked up in the table before any of them is searched."""
MIRRORED_BELOW = 22
"""With this many stones or more a mirrored position is so rare that looking for it costs more than it saves."""


def spots(stones: Any, mask: Any) -> Any:
    """The empty cells that would complete four in a row, whether a stone can be dropped there now or not."""
    found = (stones << np.uint64(1)) & (stones << np.uint64(2)) & (stones << np.uint64(3))
    for a in (np.uint64(6), np.uint64(7), np.uint64(8)):
        b, c = a + a, a + a + a
        pair = (stones << a) & (stones << b)
        found |= pair & (stones << c)
        found |= pair & (stones >> a)
        pair = (stones >> a) & (stones >> b)
        found |= pair & (stones >> c)
        found |= pair & (stones << a)
    return found & (FULL ^ mask)


def mirror(board: Any) -> Any:
    column = np.uint64(0b1111111)
    turned = np.uint64(0)
    for x in range(WIDTH):
        turned |= ((board >> np.uint64(7 * x)) & column) << np.uint64(7 * (WIDTH - 1 - x))
    return turned


def search(
    mine: Any, mask: Any, ply: int, alpha: int, beta: int, table: np.ndarray, stack: np.ndarray, nodes: np.ndarray
) -> int:
    """Score of a position whose player to move cannot win at once: exact between alpha and beta, else a bound.

    mine: stones of the player to move. mask: all stones. stack: uint64 [42, 7, 2], memory for the moves of each ply.
    """
    nodes[0] += 1
    wins = spots(mine ^ mask, mask)  # of the opponent
    possible: Any = (mask + BOTTOM) & FULL
    forced = possible & wins
    if forced:
        if forced & (forced - np.uint64(1)):
            return -((CELLS - ply) // 2)
        possible = forced
    possible &= ~(wins >> np.uint64(1))  # never below a cell that wins for the opponent
    if not possible:
        return -((CELLS - ply) // 2)
    if ply >= CELLS - 2:
        return 0
    lower, upper = -((CELLS - 2 - ply) // 2), (CELLS - 1 - ply) // 2
    if lower >= beta:
        return lower
    if upper <= alpha:
        return upper
    if not possible & (possible - np.uint64(1)):  # a single move: the table would gain nothing
        return -search(mine ^ mask, mask | possible, ply + 1, -beta, -max(alpha, lower), table, stack, nodes)
    tabled = ply < TABLED_BELOW
    key = key_of(mine, mask, ply)
    if tabled:
        entry = look_up(key, table)
        if entry:
            bound = bound_of(entry)
            if entry & np.uint64(1):
                if bound >= beta:
                    return bound
                alpha = max(alpha, bound)
            else:
                if bound <= alpha:
                    return bound
                beta = min(beta, bound)
    many = sort_moves(mine, mask, possible, stack[ply])
    if ply < REPLIES_BELOW:
        for k in range(many):  # a reply that is known to be bad enough for the opponent
            entry = look_up(key_of(mine ^ mask, mask | stack[ply, k, 0], ply + 1), table)
            if entry and not entry & np.uint64(1) and -bound_of(entry) >= beta:
                return -bound_of(entry)
    best = lower
    for k in range(many):
        move = stack[ply, k, 0]
        value = -search(mine ^ mask, mask | move, ply + 1, -beta, -max(alpha, best), table, stack, nodes)
        if value > best:
            best = value
            if best >= beta:
                break
    if tabled:
        store(table, key, ply, best, best >= beta)
    return best


def key_of(mine: Any, mask: Any, ply: int) -> Any:
    """A number for the position, 49 bits; early in a game the same for its mirror image."""
    key: Any = mine + mask + BOTTOM
    if ply < MIRRORED_BELOW:
        key = min(key, mirror(mine) + mirror(mask) + BOTTOM)
    return key


def bucket(key: Any, table: np.ndarray) -> int:
    """Where the two entries of a position begin."""
    spread = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
    return int((spread & np.uint64(len(table) // 2 - 1)) << np.uint64(1))


def look_up(key: Any, table: np.ndarray) -> Any:
    """The entry of a position, 0 if there is none."""
    place = bucket(key, table)
    if table[place] >> np.uint64(14) == key:
        return table[place]
    if table[place + 1] >> np.uint64(14) == key:
        return table[place + 1]
    return np.uint64(0)


def bound_of(entry: Any) -> Any:
    return np.int64((entry >> np.uint64(1)) & np.uint64(0x7F)) - 64


def store(table: np.ndarray, key: Any, ply: int, bound: int, at_least: bool) -> None:
    """An entry: key (49 bits), ply (6), the bound + 64 (7), and whether the score is at least or at most this."""
    place = bucket(key, table)
    entry = (key << np.uint64(14)) | (np.uint64(ply) << np.uint64(8))
    entry |= (np.uint64(bound + 64) << np.uint64(1)) | np.uint64(at_least)
    first = table[place]
    keep = first != 0 and first >> np.uint64(14) != key and (first >> np.uint64(8)) & np.uint64(63) < np.uint64(ply)
    if keep:
        table[place + 1] = entry
    else:
        if first >> np.uint64(14) != key:
            table[place + 1] = first
        table[place] = entry


def sort_moves(mine: Any, mask: Any, possible: Any, moves: np.ndarray) -> int:
    """Writes the possible moves, those with the most threats first, then the central ones. Returns their number."""
    many = 0
    for x in ORDER:
        move = possible & (COLUMN << np.uint64(7 * x))
        if not move:
            continue
        threats = np.uint64(count(spots(mine | move, mask | move)))
        k = many
        while k > 0 and moves[k - 1, 1] < threats:
            moves[k, 0], moves[k, 1] = moves[k - 1, 0], moves[k - 1, 1]
            k -= 1
        moves[k, 0], moves[k, 1] = move, threats
        many += 1
    return many


def score(mine: Any, mask: Any, ply: int, table: np.ndarray, stack: np.ndarray, nodes: np.ndarray) -> int:
    """The exact score of a position that has not ended."""
    if spots(mine, mask) & (mask + BOTTOM):
        return (CELLS + 1 - ply) // 2
    if ply == CELLS:
        return 0
    low, high = -((CELLS - ply) // 2), (CELLS + 1 - ply) // 2
    while low < high:
        guess = low + (high - low) // 2
        if guess <= 0 and low // 2 < guess:
            guess = -(-low // 2)
        elif guess >= 0 and high // 2 > guess:
            guess = high // 2
        value = search(mine, mask, ply, guess, guess + 1, table, stack, nodes)
        if value <= guess:
            high = value
        else:
            low = value
    return low


def scores(
    boards: np.ndarray, masks: np.ndarray, table: np.ndarray, stack: np.ndarray, nodes: np.ndarray, found: np.ndarray
) -> None:
    """Writes the score of every move of each position, int8 [N, 7]; ILLEGAL for a full column."""
    for i in range(len(boards)):
        mine, mask = boards[i], masks[i]
        ply = count(mask)
        for x in range(WIDTH):
            move = (mask + one(7 * x)) & (COLUMN << np.uint64(7 * x))
            if not move:
                found[i, x] = ILLEGAL
            elif four_in_a_row(mine | move):
                found[i, x] = (CELLS + 1 - ply) // 2
            else:
                found[i, x] = -score(mine ^ mask, mask | move, ply + 1, table, stack, nodes)


def values(
    boards: np.ndarray, masks: np.ndarray, table: np.ndarray, stack: np.ndarray, nodes: np.ndarray, found: np.ndarray
) -> None:
    """Writes the score of each position, int8 [N]."""
    for i in range(len(boards)):
        found[i] = score(boards[i], masks[i], count(masks[i]), table, stack, nodes)


INNER = (spots, mirror, key_of, bucket, look_up, bound_of, store, sort_moves, search, score)


class Solution(NamedTuple):
    """The result for one position."""

    score: int
    """For the player to move, if both play perfectly."""
    moves: tuple[int | None, ...]
    """Score of each column, None if it is full."""

    @property
    def best(self) -> tuple[int, ...]:
        """The columns (0 to 6) that keep the score."""
        return tuple(x for x, value in enumerate(self.moves) if value == self.score)


@lru_cache(maxsize=1)
def _compiled() -> Any:
    here = Path(__file__).parent
    sources = [
        here / "solver.py",
        here / "connect_four.py",
        here / "rules.py",
        Path(arcade.__file__).parent / "rules.py",
    ]
    folder = compiled.cache_folder("boards", "solver", sources)
    scope = {**globals()}
    return compile_loops("solver", folder, scope, INNER, (scores, values))


class Solver:
    """Solves positions of Connect Four. Results of one position speed up the next ones.

    entries: size of the transposition table, a power of two; 8 bytes each.
    """

    def __init__(self, entries: int = 1 << 23) -> None:
        if entries < 2 or entries & (entries - 1):
            raise InputError(f"entries must be a power of two of at least 2, got {entries}")
        self._table = np.zeros(entries, np.uint64)
        self._stack = np.zeros((CELLS, WIDTH, 2), np.uint64)
        self._nodes = np.zeros(1, np.int64)

    @property
    def nodes(self) -> int:
        """Positions searched so far."""
        return int(self._nodes[0])

    def scores(self, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """The score of every move, int8 [N, 7], of positions given as `Game.rows` has them, uint64 [N] and [N].

        A full column has `ILLEGAL`. No position may have ended.
        """
        found = np.zeros((len(mine), WIDTH), np.int8)
        stones = np.ascontiguousarray(mine), np.ascontiguousarray(mine | theirs)
        _compiled()[0](*stones, self._table, self._stack, self._nodes, found)
        return found

    def values(self, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """The score of each position, int8 [N]; faster than all of its moves."""
        found = np.zeros(len(mine), np.int8)
        stones = np.ascontiguousarray(mine), np.ascontiguousarray(mine | theirs)
        _compiled()[1](*stones, self._table, self._stack, self._nodes, found)
        return found

    def solve(self, moves: str | Sequence[int]) -> Solution:
        """The score of every legal move after `moves`: columns 1 to 7, as "4444" or as numbers.

        Raises `InputError` for moves that cannot be played and for a game that has ended.
        """
        game = played(moves)
        found = opening_scores(game.rows)
        if found is None:
            found = self.scores(game.rows["mine"], game.rows["theirs"])[0].tolist()
        return _solution(found)


def _solution(scores: Sequence[int]) -> Solution:
    known = tuple(None if value == ILLEGAL else int(value) for value in scores)
    return Solution(max(value for value in known if value is not None), known)


def opening_scores(row: np.ndarray) -> list[int] | None:
    """The score of every move of one position, `Game.rows` [1], if the opening book has them all, else None."""
    if row["ply"][0] >= HEIGHT:  # no column is full before, and no move can win
        return None
    after = Game("ConnectFour", WIDTH)
    after.rows = np.repeat(row, WIDTH)
    after.play(np.arange(WIDTH))
    stones = zip(after.rows["mine"].tolist(), after.rows["theirs"].tolist(), strict=True)
    found = [book().get(key_of_position(mine, theirs)) for mine, theirs in stones]
    return None if None in found else [-int(value) for value in found if value is not None]


def played(moves: str | Sequence[int]) -> Game:
    """Connect Four after `moves`, columns 1 to 7. Raises `InputError` if they cannot be played or end the game."""
    game = Game("ConnectFour")
    for k, move in enumerate(moves):
        column = str(move)
        if column not in ("1", "2", "3", "4", "5", "6", "7"):
            raise InputError(f"move {k + 1} is {column!r}: moves are columns from 1 to 7, such as 4444")
        if game.ended[0]:
            raise InputError(f"the game ended before move {k + 1}: {''.join(map(str, moves))!r} is too long")
        if not game.legal()[0, int(column) - 1]:
            raise InputError(f"move {k + 1} goes into column {column}, which is full")
        game.play(int(column) - 1)
    if game.ended[0]:
        raise InputError(f"the game has ended after {''.join(map(str, moves))!r}: there is nothing to solve")
    return game


def solve(moves: str | Sequence[int]) -> Solution:
    """`Solver.solve` with a new table."""
    return Solver().solve(moves)
