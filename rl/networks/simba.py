"""SimBa (Lee et al. 2025): running observation statistics, residual blocks with LayerNorm, LayerNorm at the end."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rl.errors import InputError
from rl.interface import EnvSpec
from rl.networks.config import NetConfig
from rl.networks.encoders import build_stem, stem_kind
from rl.normalise import ObservationNormaliser


class Simba(nn.Module):
    """`net.encoder=simba`: `net.hidden` has one width for each block, all equal; None is one block of 128.

    Agents update the statistics with the rows that they observe in training. Use it with `optimizer=adamw` and
    `weight_decay=0.01`.
    """

    def __init__(self, spec: EnvSpec, config: NetConfig, stack: int) -> None:
        super().__init__()
        hidden = (128,) if config.hidden is None else config.hidden
        if len(set(hidden)) != 1:
            raise InputError(f"encoder 'simba' needs equal widths, one for each block, got hidden {hidden}")
        self.normaliser = ObservationNormaliser({k: x.shape for k, x in spec.obs.items() if x.kind == "vector"})
        self.names = tuple(spec.obs)
        stems = [build_stem(leaf, stem_kind(leaf, "auto"), stack, config) for leaf in spec.obs.values()]
        self.stems = nn.ModuleList(stems)
        self.out_features = hidden[0]
        self.embed = nn.Linear(sum(stem.out_features for stem in stems), hidden[0])
        self.blocks = nn.Sequential(*(Block(width) for width in hidden))
        self.norm = nn.LayerNorm(hidden[0])
        with torch.no_grad():
            nn.init.orthogonal_(self.embed.weight)
            self.embed.bias.zero_()

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        obs = self.normaliser(obs)
        parts = [stem(obs[name]) for name, stem in zip(self.names, self.stems, strict=True)]
        return self.norm(self.blocks(self.embed(torch.cat(parts, -1))))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + an MLP of LayerNorm(x), four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / layer.in_features))
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)
