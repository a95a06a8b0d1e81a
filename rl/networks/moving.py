"""Layers that compute something else while they learn than while they act: batch renormalisation and dropout.

Only critics and the policies trained against them use them. They act as fixed functions, except inside `learning`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MovingLayer(nn.Module):
    """A layer with a `learns` switch, which `learning` turns on."""

    learns = False


@contextmanager
def learning(module: nn.Module) -> Iterator[None]:
    """Turns on the moving layers of `module` inside."""
    layers = _moving_layers(module)
    for layer in layers:
        layer.learns = True
    try:
        yield
    finally:
        for layer in layers:
            layer.learns = False


_FOUND: WeakKeyDictionary[nn.Module, list[MovingLayer]] = WeakKeyDictionary()


def _moving_layers(module: nn.Module) -> list[MovingLayer]:
    """The moving layers of `module`, found once: the search would take a tenth of SAC's update."""
    if module not in _FOUND:
        _FOUND[module] = [layer for layer in module.modules() if isinstance(layer, MovingLayer)]
    return _FOUND[module]


class Dropout(MovingLayer):
    """Zeroes each input with probability `share` and scales the rest so that the mean stays."""

    generator: torch.Generator | None = None
    """Set by `seed_dropout`."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.learns:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.share
        return x * kept / (1 - self.share)


def seed_dropout(module: nn.Module, generator: torch.Generator) -> None:
    """Every dropout layer in `module` draws from `generator`."""
    for layer in module.modules():
        if isinstance(layer, Dropout):
            layer.generator = generator


class BatchRenorm(MovingLayer):
    """Batch renormalisation (Ioffe 2017) of [B, F], after `warmup` batches of plain batch normalisation.

    While it learns, rows are standardised by the batch's moments and corrected towards the running ones, by a factor
    within [1/3, 3] and a shift within [-5, 5]. While it acts, rows are standardised by the running moments alone.
    """

    MOMENTUM, EPS = 0.01, 1e-3
    LARGEST_FACTOR, LARGEST_SHIFT = 3.0, 5.0
    mean: Tensor
    var: Tensor
    batches: Tensor

    def __init__(self, features: int, warmup: int) -> None:
        super().__init__()
        self.warmup = warmup
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("var", torch.ones(features))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if not self.learns:
            return F.batch_norm(x, self.mean, self.var, self.weight, self.bias, eps=self.EPS)
        if int(self.batches) <= self.warmup:
            self.batches += 1
            return F.batch_norm(x, self.mean, self.var, self.weight, self.bias, True, self.MOMENTUM, self.EPS)
        with torch.no_grad():
            var, mean = torch.var_mean(x, 0, correction=0)
            running = (self.var + self.EPS).sqrt()
            factor = ((var + self.EPS).sqrt() / running).clamp(1 / self.LARGEST_FACTOR, self.LARGEST_FACTOR)
            shift = ((mean - self.mean) / running).clamp(-self.LARGEST_SHIFT, self.LARGEST_SHIFT)
        plain = F.batch_norm(x, self.mean, self.var, None, None, True, self.MOMENTUM, self.EPS)
        return (plain * factor + shift) * self.weight + self.bias
