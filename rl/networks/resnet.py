"""AlphaZero's residual tower for boards (Silver et al. 2017), without batch normalisation."""

from __future__ import annotations

from torch import Tensor, nn

from rl.errors import InputError
from rl.interface import EnvSpec
from rl.networks.config import NetConfig, ResNetConfig
from rl.networks.encoders import MLP, Planes, Residual, activation


class ResNet(nn.Module):
    """`net.encoder=resnet`: 3x3 convolutions that keep the board's size, then 1x1 to `squeeze` channels, flat.

    `net.hidden` are the widths of an MLP after it; None is no MLP.
    """

    def __init__(self, spec: EnvSpec, config: NetConfig, stack: int) -> None:
        super().__init__()
        kinds = [leaf.kind for leaf in spec.obs.values()]
        if kinds not in (["board"], ["image"]):
            raise InputError(f"encoder 'resnet' reads one board, and {spec.id} shows {', '.join(kinds)}: use 'auto'")
        c = config if isinstance(config, ResNetConfig) else ResNetConfig()
        ((self.name, leaf),) = spec.obs.items()
        self.planes = Planes(leaf, stack, config.channels_last)
        inner, height, width = self.planes.shape
        self.tower = nn.Sequential(
            nn.Conv2d(inner, c.channels, 3, padding=1),
            *(Residual(c.channels, config) for _ in range(c.blocks)),
            activation(config),
            nn.Conv2d(c.channels, c.squeeze, 1),
            activation(config),
        )
        self.mlp = MLP(c.squeeze * height * width, config.hidden or (), config)
        self.out_features = config.hidden[-1] if config.hidden else c.squeeze * height * width

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        return self.mlp(self.tower(self.planes(obs[self.name])).flatten(1))  # type: ignore[no-any-return]
