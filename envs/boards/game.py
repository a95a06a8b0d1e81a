"""The two-player core: N positions of one game with their records, for search, self-play and judges."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from envs.boards.engine import compile_board, load_board
from envs.boards.rules import STATE
from envs.compiled import as_array
from rl.errors import InputError
from rl.interface import Symmetries


class Game:
    """`num` positions of the game `name`, each with the record of its moves.

    Players are 0 (moves first) and 1. Everything that a player sees is canonical: plane 0 has the stones of the player
    to move. Methods work on all positions or on those of a `mask`, bool [N]. Raises `InputError` for illegal moves.
    """

    def __init__(self, name: str, num: int = 1) -> None:
        if isinstance(num, bool) or not isinstance(num, int | np.integer) or num < 1:
            raise InputError(f"num must be a whole number of at least 1, got {num!r}")
        self.board, self.kernels, self.num = load_board(name), compile_board(name), int(num)
        self.name = name
        self.num_actions = self.board.actions
        self.shape = (self.board.height, self.board.width, 2)
        self.rows = np.zeros(self.num, STATE)
        """The positions, a structured array [N] (`envs.boards.rules.STATE`)."""
        self.moves = np.full((self.num, self.board.max_plies), -1, np.int16)
        """The record: row i holds `rows["ply"][i]` actions, then -1 or moves that were undone."""
        self.flipped = np.zeros((self.num, self.board.max_plies), np.uint64)
        self._all = np.ones(self.num, bool)
        self._cells = np.array(self.board.cells, np.uint64)
        self._order = np.array(self.board.order, np.int64)
        self.reset()

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy`: the compiled code is shared, not copied."""
        return {key: value for key, value in vars(self).items() if key not in ("board", "kernels")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, board=load_board(state["name"]), kernels=compile_board(state["name"]))

    def reset(self, mask: np.ndarray | None = None) -> None:
        """Sets the first position."""
        self.kernels.begin(self.rows, self._all if mask is None else mask)

    def legal(self) -> np.ndarray:
        """The legal actions of the player to move, bool [N, A]; all False after the end of a game."""
        return self.observe()[1]

    def observation(self) -> np.ndarray:
        """Bool [N, H, W, 2], seen by the player to move: its own stones, then the opponent's."""
        return self.observe()[0]

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """`observation()` and `legal()` in one pass."""
        boards = np.empty((self.num, len(self._cells), 2), np.bool_)
        legal = np.empty((self.num, self.num_actions), np.bool_)
        self.kernels.show(self.rows, self._all, False, self._cells, boards, legal)
        return boards.reshape(self.num, *self.shape), legal

    def play(self, actions: Any, mask: np.ndarray | None = None) -> None:
        """Plays one action in each position: int [N], or one number for all.

        Raises `InputError` that names the first illegal action; then no position has changed.
        """
        given = as_array(actions)
        if given.dtype.kind not in "iu" or given.shape not in ((), (self.num,)):
            raise InputError(f"actions must be whole numbers of shape ({self.num},), got {given.dtype} {given.shape}")
        chosen = np.broadcast_to(given.astype(np.int64), (self.num,))
        mask, flipped = self._all if mask is None else mask, np.zeros(self.num, np.uint64)
        bad = self.kernels.take(self.rows, mask, np.ascontiguousarray(chosen), flipped, False)
        if bad >= 0:
            raise InputError(self._complaint(bad, int(chosen[bad])))
        which = np.flatnonzero(mask)
        ply = self.rows["ply"][which] - 1
        self.moves[which, ply], self.flipped[which, ply] = chosen[which], flipped[which]

    def undo(self, mask: np.ndarray | None = None) -> None:
        """Takes back the latest move. A first position stays as it is."""
        self.kernels.take_back(self.rows, self._all if mask is None else mask, self.moves, self.flipped)

    def random_actions(self, mask: np.ndarray | None = None) -> np.ndarray:
        """A random legal action of each position in play, int64 [N], drawn by the position's own generator."""
        actions, playing = np.zeros(self.num, np.int64), ~self.rows["ended"]
        self.kernels.pick(self.rows, playing if mask is None else playing & mask, actions)
        return actions

    def minimax(self, depth: int, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Alpha-beta search of `depth` plies: actions int64 [N] and values int64 [N, A] (see `Kernels.search`)."""
        if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or depth < 1:
            raise InputError(f"the depth of a minimax search must be a whole number of at least 1, got {depth!r}")
        actions, values = np.zeros(self.num, np.int64), np.zeros((self.num, self.num_actions), np.int64)
        playing = ~self.rows["ended"]
        chosen = playing if mask is None else playing & mask
        self.kernels.search(self.rows, chosen, int(depth), self._order, actions, values)
        return actions, values

    @property
    def player(self) -> np.ndarray:
        """Who is to move: 0 or 1, int8 [N]."""
        return self.rows["player"]

    @property
    def winner(self) -> np.ndarray:
        """0 or 1, int8 [N]; -1 in play and after a draw (see `ended`)."""
        return self.rows["winner"]

    @property
    def ended(self) -> np.ndarray:
        """Bool [N]."""
        return self.rows["ended"]

    def outcome(self) -> np.ndarray:
        """For the player to move: 1 won, -1 lost, 0 drawn or in play; int8 [N]. After a win it is -1."""
        winner = self.rows["winner"]
        return np.where(winner < 0, 0, np.where(winner == self.rows["player"], 1, -1)).astype(np.int8)

    @property
    def symmetries(self) -> Symmetries:
        return self.board.maps

    def text(self, index: int = 0, colour: bool = False) -> str:
        """Position `index` for a terminal; with ANSI colours if `colour`."""
        from envs.boards.text import text

        return text(self.board, self.rows[index], colour)

    def _complaint(self, row: int, action: int) -> str:
        where = f" in position {row}" if self.num > 1 else ""
        if self.rows["ended"][row]:
            return f"the game{where} has ended: nothing can be played"
        may = [self.board.action_names[k] for k in np.flatnonzero(self.legal()[row])]
        known = 0 <= action < self.num_actions
        what = f"{self.board.action_names[action]!r} is not legal" if known else f"there is no action {action}"
        return f"{what}{where}: choose from {', '.join(may)}"


def benchmark(name: str, num: int = 1024, seconds: float = 1.0) -> float:
    """Moves a second of random play on one core, with observations and legal actions; a reset is not a move."""
    game = Game(name, num)
    game.rows["rng"] = np.arange(1, num + 1)
    moves = 0
    start = time.process_time()
    warm = False
    while (elapsed := time.process_time() - start) < seconds:
        if game.ended.any():
            game.reset(game.ended.copy())
        game.play(game.random_actions())
        game.observe()
        moves += num
        if not warm:  # compiled by now
            warm, moves, start = True, 0, time.process_time()
    return moves / elapsed
