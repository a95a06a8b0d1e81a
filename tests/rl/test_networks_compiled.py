"""The compiled MLPs compute what `Dense` and PyTorch compute."""

import numpy as np
import pytest
import torch
from torch import nn

from rl.networks import NetConfig
from rl.networks.compiled import CompiledDense, _squash
from rl.networks.config import Activation
from rl.networks.dense import Dense
from rl.networks.encoders import MLP
from rl.optim import FlatOptimizer


def networks(
    widths: tuple[int, ...], norm: bool, activation: Activation = "relu"
) -> tuple[nn.Module, FlatOptimizer, Dense, CompiledDense]:
    torch.manual_seed(0)
    mlp = MLP(widths[0], widths[1:-1], NetConfig(layer_norm=norm, activation=activation))
    head = nn.Linear(widths[-2], widths[-1])
    whole = nn.Sequential(mlp, head)
    optimizer = FlatOptimizer(whole)
    optimizer.flat.normal_(0, 0.4)
    dense = Dense.of_mlp(mlp, head)
    assert dense is not None
    compiled = CompiledDense.of(dense, mlp, head)
    assert compiled is not None
    return whole, optimizer, dense, compiled


@pytest.mark.parametrize("rows", [1, 3, 4, 9, 32, 300])
@pytest.mark.parametrize("many", [1, 1_000_000_000], ids=["blas", "loops"])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("widths", [(1, 1, 1), (5, 16, 3), (4, 64, 64, 2), (9, 17, 128, 1), (16, 15, 17, 8)])
def test_values_and_gradients_are_pytorchs(
    widths: tuple[int, ...],
    norm: bool,
    many: int,
    rows: int,
    activation: Activation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rl.networks.compiled.MANY", many)
    whole, optimizer, dense, compiled = networks(widths, norm, activation)
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


def test_tanh_holds_for_every_size() -> None:
    z = np.concatenate([np.linspace(-20, 20, 400_001), np.logspace(-20, 2, 10_000)]).astype(np.float32)
    expected, found = np.tanh(z.astype(np.float64)), z.copy()
    _squash(found)
    assert np.abs(found - expected).max() < 2e-7 and np.abs(found).max() <= 1
    assert (np.abs(found - expected) <= 5e-7 * np.abs(expected)).all(), "small numbers keep their digits"
    extremes = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    _squash(extremes)
    assert np.isnan(extremes[0]) and extremes[1:].tolist() == [1.0, -1.0, 0.0]


def test_nan_and_infinity_reach_the_output() -> None:
    *_, compiled = networks((4, 16, 16, 2), False)
    x = np.zeros((6, 4), np.float32)
    x[2, 1], x[5, 0] = np.nan, np.inf
    out = compiled(x)
    assert np.isnan(out[2]).all() and not np.isfinite(out[5]).all() and np.isfinite(out[[0, 1, 3, 4]]).all()


def test_larger_networks_no_hidden_layers_and_parameters_that_lie_apart_are_not_compiled() -> None:
    for hidden, config, flat in (
        ((129,), NetConfig(), True),
        ((), NetConfig(), True),
        ((8,), NetConfig(), False),
    ):
        mlp = MLP(3, hidden, config)
        head = nn.Linear(hidden[-1] if hidden else 3, 2)
        if flat:
            FlatOptimizer(nn.Sequential(mlp, head))
        dense = Dense.of_mlp(mlp, head)
        assert dense is not None and CompiledDense.of(dense, mlp, head) is None
