"""Full-width search on an n-tuple network against a naive one, exact scores and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.boards.game import Game
from envs.boards.judge import tic_tac_toe
from envs.boards.model import BoardModel
from envs.boards.solver import ILLEGAL
from rl.networks.tuples import TupleNetwork, random_tuples

Value = Callable[[np.ndarray], np.ndarray]


def network(name: str, count: int = 5, length: int = 4, seed: int = 0, scale: float = 0.2) -> TupleNetwork:
    model = BoardModel(name)
    board = model.board
    tuples = random_tuples(board.height, board.width, count, length, np.random.default_rng(seed))
    net = TupleNetwork(tuples, model.symmetries, np.array(board.cells))
    net.weights.data.normal_(0, scale, generator=torch.Generator().manual_seed(seed))
    return net


def naive(model: BoardModel, states: np.ndarray, depth: int, value: Value) -> np.ndarray:
    """The value of each action after `depth` plies, float32 [N, A], -inf for illegal ones."""
    out = np.full((len(states), model.num_actions), -np.inf, np.float32)
    row, action = np.nonzero(model.legal(states))
    after, reward, ended, _ = model.advance(states[row], action)
    q, going = reward.copy(), np.flatnonzero(~ended)
    if len(going):
        deeper = naive(model, after[going], depth - 1, value).max(axis=1) if depth > 1 else value(after[going])
        q[going] = -deeper
    out[row, action] = q
    return out


def leaf_of(name: str, net: TupleNetwork) -> Value:
    """What a leaf is worth: its last move's result or a win at once, else the network's value, by PyTorch."""
    model = BoardModel(name)

    def value(states: np.ndarray) -> np.ndarray:
        guess: np.ndarray = net({"obs": torch.from_numpy(model.observe(states)[0]["obs"])}).numpy()
        results = naive(model, states, 1, lambda after: np.full(len(after), np.nan, np.float32))
        won, last = (results == 1).any(axis=1), ~np.isnan(results).any(axis=1)
        if not model.early:  # before the last cell, such a game's end is left to the network
            last &= model.board.height * model.board.width - stones(states) <= 1
            won &= last
        return np.where(won, 1, np.where(last, results.max(axis=1), guess)).astype(np.float32)

    return value


def stones(states: np.ndarray) -> np.ndarray:
    shown: np.ndarray = np.bitwise_count(states["mine"] | states["theirs"])
    return shown


def positions(name: str, seed: int, num: int = 12, most: int = 60) -> np.ndarray:
    """Rows in play of random games of up to `most` plies."""
    game, rng = Game(name, num), np.random.default_rng(seed)
    game.rows["rng"] = rng.integers(1, 1 << 62, num)
    plies = rng.integers(0, most, num)
    for ply in range(most):
        going = (plies > ply) & ~game.rows["ended"]
        before = game.rows.copy()
        game.play(game.random_actions(), going)
        back = going & game.rows["ended"]  # keep the last position in play
        game.rows[back], plies[back] = before[back], 0
    return game.rows.copy()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(("TicTacToe", "ConnectFour", "Othello6")), st.integers(1, 4), st.integers(0, 10**6))
def test_it_finds_what_a_naive_search_finds(name: str, depth: int, seed: int) -> None:
    model, net, states = BoardModel(name), network(name, seed=seed % 50), positions(name, seed)
    q, value, settled = model.look_ahead(states, depth, net.net)
    one, deep = (naive(model, states, plies, leaf_of(name, net)) for plies in (1, depth))
    assert np.allclose(q, one, atol=1e-5)
    assert np.allclose(value, deep.max(axis=1), atol=1e-5)
    results = naive(model, states, 1, lambda after: np.full(len(after), np.nan, np.float32))
    assert (settled == ((results == 1).any(axis=1) | ~np.isnan(results).any(axis=1))).all()


def test_searched_to_the_end_it_finds_the_outcome_of_tic_tac_toe() -> None:
    judged = tic_tac_toe()
    best = np.where(judged.scores > ILLEGAL, np.sign(judged.scores), -1).max(axis=1)
    _, value, _ = BoardModel("TicTacToe").look_ahead(judged.play().rows, 9, network("TicTacToe", scale=3.0).net)
    assert (value == best).all()


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_values_of_leaves_change_their_sign_at_every_ply(depth: int) -> None:
    net = network("ConnectFour")
    net.weights.data.fill_(np.arctanh(0.25) / net.cells[..., 0].numel())
    _, value, _ = BoardModel("ConnectFour").look_ahead(Game("ConnectFour").rows, depth, net.net)
    assert value == pytest.approx((-1) ** depth * 0.25)


def test_it_looks_as_far_as_it_is_told() -> None:
    game, net = Game("ConnectFour"), network("ConnectFour", scale=0.0)
    for column in (0, 6, 0, 6, 0):  # three in column 1: the other player must answer there
        game.play(column)
    q, _, _ = BoardModel("ConnectFour").look_ahead(game.rows, 1, net.net)
    assert q[0].tolist() == [0, -1, -1, -1, -1, -1, -1]  # a leaf's win at once is known


def test_the_search_changes_nothing() -> None:
    states = positions("Othello6", 3)
    before = states.copy()
    BoardModel("Othello6").look_ahead(states, 3, network("Othello6").net)
    assert (states == before).all()
