"""The convolution that slides over the frames of a vector."""

import pytest
import torch

from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.networks import NetConfig
from rl.networks.torso import build_torso

NAME = "rl.networks.convolved:Convolved"


def spec(leaf: ObsLeaf) -> EnvSpec:
    return EnvSpec("Test-v0", {"obs": leaf}, ActionSpec("discrete", (3,)))


def test_its_kernel_slides_over_the_frames_of_a_vector() -> None:
    torso = build_torso(spec(ObsLeaf((2,), "float32", "vector")), NetConfig(encoder=NAME, hidden=()), stack=4)
    conv = next(part for part in torso.modules() if isinstance(part, torch.nn.Conv2d))
    frames = torch.randn(5, 4, 2)  # [B, S, F]
    out, _ = torso({"obs": frames})
    assert out.shape == (5, 32) and torso.out_features == 32, "16 channels at each of 2 places"
    weight = conv.weight[:, :, 0]  # [C, F, 3]
    for place in range(2):
        window = frames[:, place : place + 3]  # [B, 3, F]
        expected = torch.relu(torch.einsum("bkf,cfk->bc", window, weight) + conv.bias)
        torch.testing.assert_close(out.reshape(5, 16, 2)[:, :, place], expected)


def test_a_picture_is_read_as_by_auto() -> None:
    board = spec(ObsLeaf((10, 10, 4), "bool", "board", "HWC"))
    ours = build_torso(board, NetConfig(encoder=NAME, hidden=(20,)), stack=2)
    auto = build_torso(board, NetConfig(hidden=(20,)), stack=2)
    shapes = [[p.shape for p in torso.parameters()] for torso in (ours, auto)]
    assert shapes[0] == shapes[1] and ours.out_features == 20


def test_fewer_frames_than_its_kernel_sees_are_refused() -> None:
    with pytest.raises(InputError, match="slides over at least 3 frames of a vector: stack is 1"):
        build_torso(spec(ObsLeaf((2,), "float32", "vector")), NetConfig(encoder=NAME))
