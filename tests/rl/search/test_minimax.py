"""Full-width search against exact scores and the boards' own minimax."""

from __future__ import annotations

import numpy as np
import pytest

from envs.boards.game import Game
from envs.boards.judge import tic_tac_toe
from envs.boards.model import BoardModel
from envs.boards.solver import ILLEGAL
from rl.search.minimax import action_values

MODEL = BoardModel("TicTacToe")


def nothing(states: np.ndarray) -> np.ndarray:
    assert not states["ended"].any(), "a position that ended was valued"
    return np.zeros(len(states), np.float32)


def test_searched_to_the_end_it_finds_the_outcome_of_every_move_of_tic_tac_toe() -> None:
    positions = tic_tac_toe()
    q = action_values(MODEL, positions.play().rows, 9, nothing)
    legal = positions.scores > ILLEGAL
    assert (np.sign(positions.scores[legal]) == q[legal]).all() and (q[~legal] == -np.inf).all()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_values_of_leaves_change_their_sign_at_every_ply(depth: int) -> None:
    q = action_values(BoardModel("ConnectFour"), Game("ConnectFour").rows, depth, lambda s: np.full(len(s), 0.25))
    assert (q == (-1) ** depth * np.float32(0.25)).all()


def test_it_looks_as_far_as_it_is_told() -> None:
    game = Game("ConnectFour")
    for column in (0, 6, 0, 6, 0):  # three in column 1: the other player must answer there
        game.play(column)
    one = action_values(BoardModel("ConnectFour"), game.rows, 1, nothing)[0]
    two = action_values(BoardModel("ConnectFour"), game.rows, 2, nothing)[0]
    assert (one == 0).all() and two.tolist() == [0, -1, -1, -1, -1, -1, -1]
