"""N-tuple networks: the compiled loops against PyTorch, autograd and an explicit table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.boards.game import Game
from envs.boards.model import BoardModel
from rl.networks.tuples import TupleNetwork, random_tuples

GAMES = ("TicTacToe", "ConnectFour", "Othello6")


def boards(name: str, seed: int, num: int = 40) -> np.ndarray:
    """Positions of random games, uint64 [N, 2]."""
    game, rng = Game(name, num), np.random.default_rng(seed)
    game.rows["rng"] = rng.integers(1, 1 << 62, num)
    plies = rng.integers(0, 9, num)
    for ply in range(8):
        game.play(game.random_actions(), (plies > ply) & ~game.rows["ended"])
    return np.stack([game.rows["mine"], game.rows["theirs"]], axis=1)


def planes(positions: np.ndarray, name: str) -> np.ndarray:
    """The stones on each cell, bool [N, cells, 2]."""
    cells = np.array(BoardModel(name).board.cells, np.uint64)
    return (positions[:, None] >> cells[:, None]) & np.uint64(1) == 1


def by_pytorch(net: TupleNetwork, positions: np.ndarray, name: str) -> torch.Tensor:
    return net({"obs": torch.from_numpy(planes(positions, name))[:, None]})  # type: ignore[no-any-return]


def network(name: str, count: int = 5, length: int = 4, seed: int = 0) -> TupleNetwork:
    model = BoardModel(name)
    height, width = model.board.height, model.board.width
    tuples = random_tuples(height, width, count, length, np.random.default_rng(seed))
    made = TupleNetwork(tuples, model.symmetries, model.board.cells)
    generator = torch.Generator().manual_seed(seed)
    made.weights.data.normal_(0, 0.1, generator=generator)
    return made


@pytest.mark.parametrize("name", GAMES)
def test_the_compiled_values_are_those_of_pytorch(name: str) -> None:
    net, shown = network(name), boards(name, 1)
    assert np.allclose(net.values(shown), by_pytorch(net, shown, name).numpy(), atol=1e-6)


@pytest.mark.parametrize("name", GAMES)
def test_a_step_follows_the_gradient_of_half_of_the_squared_error(name: str) -> None:
    net, shown = network(name), boards(name, 2, num=1)
    net.weights.requires_grad_(True)
    error = 0.7 - by_pytorch(net, shown, name)
    (gradient,) = torch.autograd.grad((error.square() / 2).sum(), net.weights)
    net.weights.requires_grad_(False)
    expected = net.weights - 0.05 / net.cells[..., 0].numel() * gradient
    squared = net.learn(shown, np.array([0.7]), 0.05)
    assert torch.allclose(net.weights, expected, atol=1e-6)
    assert squared == pytest.approx(error.square().item(), rel=1e-5)


def test_boards_learn_one_after_the_other() -> None:
    together, apart = network("ConnectFour"), network("ConnectFour")
    shown, targets = boards("ConnectFour", 3), np.linspace(-1, 1, 40, dtype=np.float32)
    together.learn(shown, targets, 0.1)
    for board, target in zip(shown, targets, strict=True):
        apart.learn(board[None], target[None], 0.1)
    assert torch.equal(together.weights, apart.weights)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(GAMES), st.integers(0, 10**6))
def test_the_value_is_the_sum_over_tuples_and_symmetries(name: str, seed: int) -> None:
    net, (board, *_) = network(name, seed=seed % 100), boards(name, seed)
    model, total = BoardModel(name), 0.0
    (stones,) = planes(board[None], name)
    parity = int(stones.sum()) % 2
    for cells in model.symmetries.cells:
        seen = stones[cells]  # the transformed board
        for t, tuple_ in enumerate(net.cells[0].tolist()):
            number = sum((seen[c, 0] + 2 * seen[c, 1]) * 3**k for k, c in enumerate(tuple_))
            total += float(net.weights[parity, t, number])
    assert net.values(board[None])[0] == pytest.approx(np.tanh(total), abs=1e-5)


@pytest.mark.parametrize("name", GAMES)
def test_transformed_boards_have_the_same_value(name: str) -> None:
    net, shown, maps = network(name), boards(name, 4), BoardModel(name).symmetries.cells
    bits = np.uint64(1) << np.array(BoardModel(name).board.cells, np.uint64)[:, None]
    for cells in maps:
        moved = (planes(shown, name)[:, cells] * bits).sum(axis=1, dtype=np.uint64)
        assert np.allclose(net.values(moved), net.values(shown), atol=1e-6)


def test_loaded_weights_come_with_their_tuples() -> None:
    saved, other, shown = network("Othello6", seed=1), network("Othello6", seed=2), boards("Othello6", 6)
    other.load_state_dict(saved.state_dict())
    assert np.array_equal(other.values(shown), saved.values(shown))


def test_even_and_odd_numbers_of_stones_have_tables_of_their_own() -> None:
    net, shown = network("ConnectFour"), boards("ConnectFour", 5)
    odd = planes(shown, "ConnectFour").sum((1, 2)) % 2 == 1
    before = net.values(shown)
    net.weights.data[1] += 0.01
    assert (net.values(shown)[odd] != before[odd]).all() and (net.values(shown)[~odd] == before[~odd]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(2, 7), st.integers(1, 12), st.integers(1, 4), st.integers(0, 99))
def test_tuples_are_walks_over_neighbouring_cells(height: int, width: int, count: int, length: int, seed: int) -> None:
    found = random_tuples(height, width, count, length, np.random.default_rng(seed))
    assert found.shape == (count, length) and found.min() >= 0 and found.max() < height * width
    for walk in found.tolist():
        assert len(set(walk)) == length
        steps = np.abs(np.diff(np.array([divmod(c, width) for c in walk]), axis=0))
        assert (steps.max(axis=1) == 1).all() if length > 1 else True
