"""A board game as the simulator of a search (`rl.search.model.BoardGame`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from envs.boards.engine import Kernels, compile_board, load_board
from envs.boards.plies import compile_plies
from envs.boards.rules import NOBODY, STATE, Board
from rl.interface import Obs, Symmetries
from rl.tuples import Cursors, Net

REMEMBERED = 1 << 16
"""Positions that `foresee` remembers at most."""


@dataclass(frozen=True)
class BoardModel:
    """Positions are rows of `STATE`. Rules are compiled at the first use."""

    name: str
    players: ClassVar[int] = 2
    stochastic: ClassVar[bool] = False

    @property
    def board(self) -> Board:
        return load_board(self.name)

    @property
    def kernels(self) -> Kernels:
        return compile_board(self.name)

    @cached_property
    def num_actions(self) -> int:
        return self.board.actions

    @cached_property
    def longest(self) -> int:
        return self.board.max_plies

    @cached_property
    def early(self) -> bool:
        return bool(self.board.lines)

    @property
    def symmetries(self) -> Symmetries:
        return self.board.maps

    def positions(self, obs: Obs) -> np.ndarray:
        """The positions that bool [N, H, W, 2] shows, as if player 0 were to move."""
        (planes,) = obs.values()
        bits = np.uint64(1) << np.array(self.board.cells, np.uint64)
        stones = (planes.reshape(len(planes), -1, 2) * bits[None, :, None]).sum(axis=1, dtype=np.uint64)  # [N, 2]
        rows = np.zeros(len(planes), STATE)
        rows["mine"], rows["theirs"] = stones[:, 0], stones[:, 1]
        rows["ply"] = planes.reshape(len(planes), -1).sum(axis=1)
        rows["last"] = rows["earlier"] = -1
        rows["winner"] = NOBODY
        return rows

    def advance(
        self, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        rows, mover = states.copy(), states["player"]
        every, flipped = np.ones(len(rows), bool), np.zeros(len(rows), np.uint64)
        bad = self.kernels.take(rows, every, actions, flipped, False)
        if bad >= 0:
            raise ValueError(f"action {actions[bad]} of row {bad} is not legal")
        reward = np.where(rows["winner"] == NOBODY, 0, np.where(rows["winner"] == mover, 1, -1))
        return rows, reward.astype(np.float32), rows["ended"].copy(), np.zeros(len(rows), np.int64)

    def observe(self, states: np.ndarray) -> tuple[Obs, np.ndarray]:
        board = self.board
        boards = np.empty((len(states), len(board.cells), 2), np.bool_)
        legal = np.empty((len(states), board.actions), np.bool_)
        self.kernels.show(states, np.ones(len(states), bool), False, np.array(board.cells, np.uint64), boards, legal)
        return {"obs": boards.reshape(len(states), board.height, board.width, 2)}, legal

    def legal(self, states: np.ndarray) -> np.ndarray:
        return self.observe(states)[1]

    def foresee(
        self, states: np.ndarray, depth: int, positions: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As in `rl.search.model.BoardGame`."""
        rows, shape = states.copy(), (len(states), self.board.actions)
        least, most, plies = np.full(shape, -1, np.int8), np.ones(shape, np.int8), np.zeros(shape, np.int8)
        places = 0 if positions is None else min(1 << positions.bit_length(), REMEMBERED)
        seen, order = np.zeros((places, 3), np.uint64), np.array(self.board.order, np.int64)
        limit = np.iinfo(np.int64).max if positions is None else positions
        self.kernels.foresee(rows, ~rows["ended"], depth, limit, order, seen, least, most, plies)
        return least, most, plies

    def look_ahead(
        self, states: np.ndarray, depth: int, net: Net, cursors: Cursors | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As in `rl.search.model.BoardGame`."""
        rows, shape = states.copy(), (len(states), self.board.actions)
        q, value, settled = np.empty(shape, np.float32), np.empty(len(rows), np.float32), np.empty(len(rows), bool)
        compile_plies(self.name)(
            rows, depth, np.array(self.board.order, np.int64), net, cursors or net.cursors(1), q, value, settled
        )
        return q, value, settled

    def rollout(self, states: np.ndarray, rng: np.random.Generator, how: Any = None) -> np.ndarray:
        """As in `rl.search.model.Model`; every game is played to its end."""
        rows, values = states.copy(), np.zeros(len(states), np.float32)
        rows["rng"] = rng.integers(1, 1 << 62, len(rows), np.uint64)
        self.kernels.rollout(rows, values)
        return values

    def action_name(self, action: int) -> str:
        return self.board.action_names[action]
