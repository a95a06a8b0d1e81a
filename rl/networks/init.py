"""How weights begin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Layers built inside draw their weights from `seed`, and torch's global generator is left as it was.

    Build on the CPU and move afterwards: then a seed means the same weights on every device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@torch.no_grad()
def orthogonal_(module: ModuleT, gain: float = math.sqrt(2.0)) -> ModuleT:
    """Orthogonal weights of `gain` and zero biases for every linear and convolutional layer in `module`; returns it.

    Usual gains (Andrychowicz et al. 2021): sqrt(2) inside, 0.01 for a policy's output, 1 for a value's. Recurrent
    layers get gain 1. Norms and noisy layers keep their own initialisation.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.orthogonal_(layer.weight, gain)
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.RNNBase):
            for name, parameter in layer.named_parameters():
                if name.startswith("weight"):
                    nn.init.orthogonal_(parameter, 1.0)
                else:
                    parameter.zero_()
    return module


@torch.no_grad()
def chrono_(rnn: nn.LSTM | nn.GRU, span: int) -> None:
    """Gate biases that keep a memory for 1 to `span` rows (Tallec and Ollivier 2018, equation 16); the others are zero.

    LSTM: forget gate log(U(1, span - 1)), input gate its negative. GRU: update gate log(U(1, span - 1)), the gate that
    in PyTorch's form keeps the old state.
    """
    size = rnn.hidden_size
    bias = rnn.get_parameter("bias_ih_l0").zero_()
    rnn.get_parameter("bias_hh_l0").zero_()
    keep = torch.empty(size).uniform_(1, span - 1).log()
    bias[size : 2 * size] = keep  # both kinds have this gate second
    if isinstance(rnn, nn.LSTM):
        bias[:size] = -keep
