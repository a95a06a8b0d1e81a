"""`Dense` says and learns what the modules say and autograd learns, on the same memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.networks import NetConfig
from rl.networks.dense import LARGEST, Dense
from rl.networks.torso import build_torso
from rl.optim import FlatOptimizer

VECTOR = EnvSpec("Vector-v0", {"obs": ObsLeaf((5,), "float32", "vector")}, ActionSpec("discrete", (3,)))


class Net(nn.Module):
    def __init__(self, config: NetConfig, spec: EnvSpec = VECTOR, stack: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.torso = build_torso(spec, config, stack)
        self.head = nn.Linear(self.torso.out_features, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.torso({"obs": x})[0])  # type: ignore[no-any-return]


def rows(count: int) -> torch.Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("count", [1, 32])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (16, 8)])
def test_output_and_gradient_are_those_of_autograd(
    hidden: tuple[int, ...], layer_norm: bool, activation: str, count: int
) -> None:
    net = Net(NetConfig(hidden=hidden, layer_norm=layer_norm, activation=activation))  # type: ignore[arg-type]
    optimizer = FlatOptimizer(net)
    dense = Dense.of(net.torso, net.head)
    assert dense is not None
    for _ in range(3):  # it follows the optimizer's steps
        x, slope = rows(count), torch.randn(count, 3)
        out = net(x)
        optimizer.backward((out * slope).sum())
        expected = optimizer.grad.clone()
        said, steps = dense.forward(x.numpy())
        optimizer.grad.fill_(float("nan"))  # every gradient is set
        dense.backward(slope.numpy(), steps)
        assert torch.allclose(torch.from_numpy(said), out.detach(), atol=1e-5)
        assert torch.allclose(optimizer.grad, expected, atol=1e-5 * float(expected.abs().max()))
        optimizer.apply(torch.tensor(0.0), lr=0.01)


def test_loaded_weights_are_followed_and_the_input_is_left_alone() -> None:
    net, other = Net(NetConfig(hidden=(8,))), Net(NetConfig(hidden=(8,)))
    nn.init.normal_(other.head.weight)
    FlatOptimizer(net)
    dense = Dense.of(net.torso, net.head)
    assert dense is not None
    net.load_state_dict(other.state_dict())
    x = rows(4)
    before = x.clone()
    assert torch.allclose(torch.from_numpy(dense(x.numpy())), other(x).detach(), atol=1e-6)
    assert torch.equal(x, before)


def test_what_is_more_than_plain_layers_stays_with_autograd() -> None:
    def dense(config: NetConfig, spec: EnvSpec = VECTOR, stack: int = 1, head: nn.Module | None = None) -> Dense | None:
        net = Net(config, spec, stack)
        return Dense.of(net.torso, head or net.head)

    board = EnvSpec("Board-v0", {"obs": ObsLeaf((10, 10, 2), "bool", "board", layout="HWC")}, VECTOR.action)
    two = EnvSpec("Two-v0", {"a": VECTOR.obs["obs"], "b": VECTOR.obs["obs"]}, VECTOR.action)
    assert dense(NetConfig()) is not None
    assert dense(NetConfig(activation="silu")) is None
    assert dense(NetConfig(core="gru")) is None
    assert dense(NetConfig(), stack=2) is None
    assert dense(NetConfig(), board) is None
    assert dense(NetConfig(), two) is None
    assert dense(NetConfig(), head=nn.Sequential(nn.Linear(64, 3))) is None
    assert LARGEST < 1024 * 1024
    assert dense(NetConfig(hidden=(1024, 1024))) is None


def test_a_shortcut_adds_no_name_to_the_weights() -> None:  # else no checkpoint written before it could be loaded
    names = {name.split(".")[0] for name in Net(NetConfig()).torso.state_dict()}
    assert names == {"encoder"}
