"""Running means and variances of observations and returns."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class RunningMoments(nn.Module):
    """Mean and variance of all rows so far, merged batch by batch (Chan et al. 1979); buffers of the module, so saved.

    Args:
        shape: of one observation.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("var", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Adds a batch [B, *shape]; an empty batch changes nothing."""
        if not len(x):
            return
        x = x.double()
        mean, var, n = x.mean(0), x.var(0, unbiased=False), len(x)
        total = self.count + n
        delta = mean - self.mean
        merged = self.var * self.count + var * n + delta.square() * self.count * n / total
        self.mean += delta * n / total
        self.var.copy_(merged / total)
        self.count.copy_(total)

    def forward(self, x: Tensor, limit: float = 10.0) -> Tensor:
        """x standardised and clipped to [-limit, limit], float32; only clipped before the first update."""
        scale = (self.var + 1e-8).rsqrt()
        return ((x - self.mean.float()) * scale.float()).clamp(-limit, limit)


class ObservationNormaliser(nn.Module):
    """Standardises the float leaves of an observation; images, boards and categories stay unchanged."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.names = tuple(shapes)
        self.moments = nn.ModuleList(RunningMoments(shape) for shape in shapes.values())

    def forward(self, obs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**obs, **{name: moments(obs[name]) for name, moments in self._leaves()}}

    def update(self, obs: dict[str, Tensor]) -> None:
        """Adds rows [B, *shape] of each leaf, one frame each; leaves without statistics are ignored."""
        for name, moments in self._leaves():
            moments.update(obs[name])

    def _leaves(self) -> Iterator[tuple[str, RunningMoments]]:
        for name, moments in zip(self.names, self.moments, strict=True):
            assert isinstance(moments, RunningMoments)
            yield name, moments
