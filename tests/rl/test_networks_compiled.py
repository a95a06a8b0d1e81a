"""The compiled MLPs compute what `Dense` and PyTorch compute."""

import numpy as np
import pytest
import torch
from torch import nn

from rl.networks import NetConfig
from rl.networks.compiled import CompiledDense, q_learning
from rl.networks.dense import Dense
from rl.networks.encoders import MLP
from rl.optim import FlatOptimizer


def networks(widths: tuple[int, ...], norm: bool) -> tuple[nn.Module, FlatOptimizer, Dense, CompiledDense]:
    torch.manual_seed(0)
    mlp = MLP(widths[0], widths[1:-1], NetConfig(layer_norm=norm))
    head = nn.Linear(widths[-2], widths[-1])
    whole = nn.Sequential(mlp, head)
    optimizer = FlatOptimizer(whole)
    optimizer.flat.normal_(0, 0.4)
    dense = Dense.of_mlp(mlp, head)
    assert dense is not None
    compiled = CompiledDense.of(dense, mlp, head)
    assert compiled is not None
    return whole, optimizer, dense, compiled


@pytest.mark.parametrize("rows", [1, 3, 4, 9, 32])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("widths", [(1, 1, 1), (5, 16, 3), (4, 64, 64, 2), (9, 17, 128, 1)])
def test_values_and_gradients_are_pytorchs(widths: tuple[int, ...], norm: bool, rows: int) -> None:
    whole, optimizer, dense, compiled = networks(widths, norm)
    x, at_output = torch.randn(rows, widths[0]), torch.randn(rows, widths[-1])
    out, kept = compiled.forward(x.numpy())
    compiled.backward(at_output.numpy().copy(), kept)
    found = optimizer.grad.clone()
    optimizer.grad.fill_(7.0)
    expected = whole(x)
    optimizer.backward((expected * at_output).sum())
    size = float(optimizer.grad.abs().max())
    assert torch.allclose(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-5)
    assert np.allclose(out, dense(x.numpy()), rtol=1e-4, atol=1e-5)
    assert torch.allclose(found, optimizer.grad, rtol=1e-4, atol=1e-5 * size), "every gradient is set, none is added to"


def test_it_follows_the_parameters_and_leaves_the_gradient_at_the_output_alone() -> None:
    whole, optimizer, _, compiled = networks((3, 8, 2), True)
    x, at_output = np.ones((5, 3), np.float32), np.ones((5, 2), np.float32)
    before, kept = compiled.forward(x)
    compiled.backward(at_output, kept)
    assert (at_output == 1).all()
    optimizer.apply(torch.tensor(1.0), 0.1)
    after = compiled(x)
    assert not np.allclose(before, after) and np.allclose(after, whole(torch.from_numpy(x)).detach().numpy(), atol=1e-5)


def test_nan_and_infinity_reach_the_output() -> None:
    *_, compiled = networks((4, 16, 16, 2), False)
    x = np.zeros((6, 4), np.float32)
    x[2, 1], x[5, 0] = np.nan, np.inf
    out = compiled(x)
    assert np.isnan(out[2]).all() and not np.isfinite(out[5]).all() and np.isfinite(out[[0, 1, 3, 4]]).all()


def test_larger_networks_other_activations_and_parameters_that_lie_apart_are_not_compiled() -> None:
    for hidden, config, flat in (
        ((129,), NetConfig(), True),
        ((8,), NetConfig(activation="tanh"), True),
        ((), NetConfig(), True),
        ((8,), NetConfig(), False),
    ):
        mlp = MLP(3, hidden, config)
        head = nn.Linear(hidden[-1] if hidden else 3, 2)
        if flat:
            FlatOptimizer(nn.Sequential(mlp, head))
        dense = Dense.of_mlp(mlp, head)
        assert dense is not None and CompiledDense.of(dense, mlp, head) is None


def rows_of(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Two rows of two actions: the errors are 1.5 - 4 = -2.5 and 1 - 0.75 = 0.25."""
    given = {
        "q_values": np.array([[1.5, 9.0], [9.0, 1.0]], np.float32),
        "after": np.array([[2.0, 4.0], [5.0, 6.0]], np.float32),
        "values": np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
        "allowed": np.zeros((0, 0), bool),
        "action": np.array([0, 1]),
        "reward": np.array([3.0, 0.75], np.float32),
        "discount": np.array([0.5, 0.0], np.float32),
        "weight": np.zeros(0, np.float32),
    }
    return given | changed


def learned(huber: bool = True, **changed: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    output_grad, priority = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
    loss, mean = q_learning(*rows_of(**changed).values(), huber, output_grad, priority)
    return loss, mean, output_grad, priority


def test_q_learning_by_hand() -> None:
    loss, mean, output_grad, priority = learned()
    assert loss == pytest.approx((2.0 + 0.03125) / 2) and mean == 1.25  # |e| - 1/2 beyond 1, else e^2 / 2
    assert output_grad.tolist() == [[-0.5, 0.0], [0.0, 0.125]] and priority.tolist() == [2.5, 0.25]
    loss, _, output_grad, _ = learned(huber=False)
    assert loss == pytest.approx((3.125 + 0.03125) / 2) and output_grad[0, 0] == -1.25
    loss, _, output_grad, priority = learned(weight=np.array([0.5, 2.0], np.float32))
    assert loss == pytest.approx((1.0 + 0.0625) / 2) and priority.tolist() == [2.5, 0.25]
    assert output_grad.tolist() == [[-0.25, 0.0], [0.0, 0.25]]


def test_q_learning_takes_the_best_allowed_action_by_the_other_values() -> None:
    masked = learned(allowed=np.array([[False, True], [False, False]]))
    assert masked[3].tolist() == [3.5, 0.25], "1.5 - (3 + 0.5 x 4); the second row ended"
    ahead = learned(values=np.array([[0.0, 1.0], [0.0, 0.0]], np.float32))
    assert ahead[3][0] == 3.5


def test_q_learning_hides_no_nan() -> None:
    nan = np.array([[np.nan, 0.0], [0.0, 1.0]], np.float32)
    assert np.isnan(learned(after=nan, values=nan)[0])
    loss, _, output_grad, priority = learned(q_values=nan)
    assert np.isnan(loss) and np.isnan(output_grad[0, 0]) and np.isnan(priority[0])
    ended = learned(after=np.full((2, 2), np.nan, np.float32), discount=np.zeros(2, np.float32))
    assert np.isfinite(ended[0]), "the value after the end is not read"
