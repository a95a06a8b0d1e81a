"""A convolutional network for any observation: pictures over their pixels, vectors over the frames of their stack."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from rl.errors import InputError
from rl.interface import EnvSpec
from rl.networks.config import NetConfig
from rl.networks.encoders import MLP, activation
from rl.networks.torso import Encoder

CHANNELS, FRAMES = 16, 3
"""Channels as in the CNN of small boards, and the frames of a vector's kernel."""


class Convolved(nn.Module):
    """`net.encoder=rl.networks.convolved:Convolved`: a convolution of a vector's frames over time, then the MLP.

    Pictures are read as by `auto`. A vector needs a stack of at least three frames.
    """

    def __init__(self, spec: EnvSpec, config: NetConfig, stack: int) -> None:
        super().__init__()
        (self.name, leaf), *others = spec.obs.items()
        self.layers: nn.Module
        self.slides = leaf.kind == "vector" and not others
        if not self.slides:
            encoder = Encoder(spec, replace(config, encoder="auto"), stack)
            self.layers, self.out_features = encoder, encoder.out_features
            return
        if stack < FRAMES:
            raise InputError(f"encoder 'Convolved' slides over at least {FRAMES} frames of a vector: stack is {stack}")
        hidden = (64, 64) if config.hidden is None else config.hidden
        features = CHANNELS * (stack - FRAMES + 1)
        conv = nn.Conv2d(leaf.shape[0], CHANNELS, (1, FRAMES))
        self.layers = nn.Sequential(conv, activation(config), nn.Flatten(), MLP(features, hidden, config))
        self.out_features = hidden[-1] if hidden else features

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        if not self.slides:
            return self.layers(obs)  # type: ignore[no-any-return]
        frames = obs[self.name]  # [B, S, F]
        return self.layers(frames.movedim(-1, 1).unsqueeze(2))  # type: ignore[no-any-return]  # [B, F, 1, S]
