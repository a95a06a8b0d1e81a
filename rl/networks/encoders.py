"""From stored observations to flat features: one stem for each leaf, then a shared MLP (see torso.py).

Leaves arrive as they are stored (uint8, bool, int64, float32) as [B, *shape], or [B, S, *shape], oldest first, when
S > 1 rows are stacked. Conversion to float happens here, once, on the network's device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from rl.errors import InputError
from rl.interface import ObsLeaf
from rl.networks.config import MovingNetConfig, NetConfig
from rl.networks.moving import BatchRenorm, Dropout

# in place if the gradient needs the output only
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "elu": F.elu,
    "silu": F.silu,
}


def activation(config: NetConfig, in_place: bool = True) -> nn.Module:
    match config.activation:
        case "relu":
            return nn.ReLU(in_place)
        case "tanh":
            return nn.Tanh()
        case "elu":
            return nn.ELU()
        case "silu":
            return nn.SiLU()


class MLP(nn.Sequential):
    """Linear, (LayerNorm,) activation for each width in `hidden`; [..., features] to [..., hidden[-1]].

    Layers are applied without module calls, which halves the time for one observation and 64-64. Hooks on a linear
    layer still run, unless `rl.networks.dense` replaces the network.
    """

    def __init__(self, features: int, hidden: tuple[int, ...], config: NetConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.layers: list[tuple[nn.Linear, nn.LayerNorm | None]] = []
        self._act = _IN_PLACE[config.activation]
        self.moving = isinstance(config, MovingNetConfig) and (config.dropout > 0 or config.renorm is not None)
        """Whether layers learn in another way than they act."""
        dropout, renorm = (config.dropout, config.renorm) if isinstance(config, MovingNetConfig) else (0.0, None)
        if renorm is not None:
            self.append(BatchRenorm(features, renorm))
        for size in hidden:
            linear = nn.Linear(features, size)
            norm = nn.LayerNorm(size) if config.layer_norm else None
            self.layers.append((linear, norm))
            drop = Dropout(dropout) if dropout else None
            after = None if renorm is None else BatchRenorm(size, renorm)
            self.extend(filter(None, (linear, drop, norm, activation(config), after)))
            features = size

    def forward(self, x: Tensor) -> Tensor:
        if self.moving:
            return super().forward(x)
        for linear, norm in self.layers:
            x = call_linear(linear, x)
            if norm is not None:
                x = norm(x)
            x = self._act(x)
        return x


def call_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """`layer(x)` without the cost of a module call, unless it has hooks."""
    if layer._forward_hooks or layer._forward_pre_hooks:
        return layer(x)
    parameters = layer._parameters
    return F.linear(x, parameters["weight"], parameters["bias"])  # type: ignore[arg-type]


class Flat(nn.Module):
    """A vector, or an image or board read as one: float [B, S * prod(shape)]."""

    def __init__(self, leaf: ObsLeaf, stack: int) -> None:
        super().__init__()
        self.scale = 1.0 / leaf.scale if leaf.kind == "image" else 1.0
        self.scaled = self.scale != 1.0
        self.out_features = stack * torch.Size(leaf.shape).numel()

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(x.shape[0], self.out_features)
        if not x.is_floating_point():
            x = x.float()
        return x * self.scale if self.scaled else x


class OneHot(nn.Module):
    """Categories as concatenated one-hot blocks: int64 [B, (S,) K] becomes float [B, S * sum(nvec)]."""

    offsets: Tensor

    def __init__(self, leaf: ObsLeaf, stack: int) -> None:
        super().__init__()
        nvec = torch.tensor(leaf.nvec * stack)
        self.out_features = int(nvec.sum())
        self.register_buffer("offsets", nvec.cumsum(0) - nvec, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        index = x.reshape(x.shape[0], -1) + self.offsets
        zeros = torch.zeros(x.shape[0], self.out_features, dtype=torch.float32, device=x.device)
        return zeros.scatter_(1, index, 1.0)


BLOCK = 4
"""Side of the squares that pictures are cut into: the step of Mnih et al.'s first layer, of 8 x 8 pixels."""


class Planes(nn.Module):
    """A stack of pictures as float planes [B, S * C, H, W]: bytes divided by `leaf.scale`, axes in order.

    For a `BlockConv2d` that steps by BLOCK, bytes that become bfloat16 are cut into squares of BLOCK x BLOCK pixels,
    each of which is a pixel of the result [B, S * C * BLOCK * BLOCK, H / BLOCK, W / BLOCK].
    """

    def __init__(self, leaf: ObsLeaf, stack: int, channels_last: bool, blocks: bool = False) -> None:
        super().__init__()
        channels, height, width = plane_shape(leaf)
        self.shape = (stack * channels, height, width)
        self.stack = stack
        self.hwc = len(leaf.shape) == 3 and leaf.layout == "HWC"
        self.scale = 1.0 / leaf.scale if leaf.kind == "image" else 1.0
        self.scaled = self.scale != 1.0
        # the weights stay contiguous: every convolution keeps the format of its input
        self.channels_last = channels_last
        self.blocks = blocks and channels_last and height % BLOCK == 0 and width % BLOCK == 0

    def forward(self, x: Tensor) -> Tensor:
        if self.hwc:
            x = x.movedim(-1, -3)
        x = x.reshape(x.shape[0], *self.shape)
        if self.blocks and not x.is_cuda and x.dtype == torch.uint8 and _arithmetic(x) != torch.float32:
            x = _cut(x)
        elif self.channels_last and not x.is_contiguous(memory_format=torch.channels_last):
            # on bytes, which takes half of the time of `to` with this format
            x = torch.stack(x.unbind(1), -1).movedim(-1, 1)
        x = x.to(_arithmetic(x), copy=self.scaled)
        return x.mul_(self.scale) if self.scaled else x


def _arithmetic(x: Tensor) -> torch.dtype:
    """What bytes and bits are divided in: where autocast computes in bfloat16, that, for half of the memory traffic.

    The quotient is rounded once either way, so the bits are those of float32 that autocast rounds later.
    """
    where = x.device.type
    if x.dtype in (torch.uint8, torch.bool) and torch.is_autocast_enabled(where):
        return torch.get_autocast_dtype(where)
    return torch.float32


def _cut(x: Tensor) -> Tensor:
    """Bytes [B, C, H, W] as [B, C * BLOCK * BLOCK, H / BLOCK, W / BLOCK] in channels-last format."""
    rows, channels, height, width = x.shape
    quads = x.contiguous().view(torch.int32)  # four pixels are moved at once
    quads = quads.view(rows, channels, height // BLOCK, BLOCK, width // BLOCK).permute(0, 2, 4, 1, 3).contiguous()
    return quads.view(torch.uint8).view(rows, height // BLOCK, width // BLOCK, -1).movedim(-1, 1)


class BlockConv2d(nn.Conv2d):
    """A convolution that steps by BLOCK. It also reads pictures that `Planes` has cut, with the same result.

    With BLOCK * BLOCK times the channels and kernels as many times smaller, bfloat16 instructions multiply whole rows:
    the gradient of Mnih et al.'s first layer takes half of the time.
    """

    def forward(self, x: Tensor) -> Tensor:
        out, channels, height, width = self.weight.shape
        if x.shape[1] == channels:
            return super().forward(x)
        weight = self.weight.view(out, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        weight = weight.permute(0, 1, 3, 5, 2, 4).reshape(out, -1, height // BLOCK, width // BLOCK)
        return F.conv2d(x, weight, self.bias)


def plane_shape(leaf: ObsLeaf) -> tuple[int, int, int]:
    """(C, H, W) of an image or board leaf."""
    match leaf.shape:
        case (height, width):
            return 1, height, width
        case (height, width, channels) if leaf.layout == "HWC":
            return channels, height, width
        case (channels, height, width) if leaf.layout == "CHW":
            return channels, height, width
    raise InputError(f"an {leaf.kind} observation needs shape (H, W), HWC or CHW, got {leaf.shape} {leaf.layout!r}")


class PixelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel of [B, C, H, W]: no copy in channels-last format."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def _conv(into: int, out: int, kernel: int, stride: int, config: NetConfig) -> list[nn.Module]:
    conv = (BlockConv2d if stride == BLOCK else nn.Conv2d)(into, out, kernel, stride)
    if not config.layer_norm:
        return [conv, activation(config)]
    # the norm returns a view; with an activation in place, autograd takes a third of the update's time for it
    return [conv, PixelNorm(out), activation(config, in_place=False)]


def nature(channels: int, config: NetConfig) -> nn.Sequential:
    """Mnih et al. 2015: 32 8x8 / 4, 64 4x4 / 2, 64 3x3 / 1."""
    return nn.Sequential(
        *_conv(channels, 32, 8, 4, config),
        *_conv(32, 64, 4, 2, config),
        *_conv(64, 64, 3, 1, config),
    )


def nips(channels: int, config: NetConfig) -> nn.Sequential:
    """Mnih et al. 2013: 16 8x8 / 4, 32 4x4 / 2. With its 256 units a third of the arithmetic of `nature`."""
    return nn.Sequential(*_conv(channels, 16, 8, 4, config), *_conv(16, 32, 4, 2, config))


def board(channels: int, config: NetConfig) -> nn.Sequential:
    """Young and Tian 2019 (MinAtar): 16 3x3 / 1."""
    return nn.Sequential(*_conv(channels, 16, 3, 1, config))


def impala(channels: int, config: NetConfig) -> nn.Sequential:
    """Espeholt et al. 2018, the large network: three stages of a convolution, a max-pool and two residual blocks."""
    layers: list[nn.Module] = []
    for out in (16 * config.width, 32 * config.width, 32 * config.width):
        layers += [nn.Conv2d(channels, out, 3, padding=1), nn.MaxPool2d(3, 2, 1)]
        layers += [Residual(out, config), Residual(out, config)]
        channels = out
    layers.append(activation(config))
    if config.max_pool:
        layers.append(AdaptiveMaxPool(config.max_pool))
    return nn.Sequential(*layers)


class AdaptiveMaxPool(nn.Module):
    """`nn.AdaptiveMaxPool2d` to `size` x `size`; on a GPU with a gradient that adds in the same order in every run."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return largest_in_windows(x, self.size) if x.is_cuda else F.adaptive_max_pool2d(x, self.size)


def largest_in_windows(x: Tensor, size: int) -> Tensor:
    """[..., H, W] to [..., size, size]: the maximum over rows, then over columns, in windows that may overlap.

    Equal elements share the gradient; in PyTorch's adaptive max-pool the first one gets all of it.
    """
    for dim in (-2, -1):
        length = x.shape[dim]
        starts = [i * length // size for i in range(size)]
        ends = [-(-(i + 1) * length // size) for i in range(size)]
        x = torch.stack([x.narrow(dim, a, b - a).amax(dim) for a, b in zip(starts, ends, strict=True)], dim)
    return x


class Residual(nn.Module):
    """x + conv(act(conv(act(x)))), 3x3, channels kept."""

    def __init__(self, channels: int, config: NetConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for _ in range(2):
            if config.layer_norm:
                self.layers.append(PixelNorm(channels))
            # not in place: the first one's input is also the shortcut
            self.layers.append(activation(config, in_place=False))
            conv = nn.Conv2d(channels, channels, 3, padding=1)
            if config.spectral_norm:
                parametrize.register_parametrization(conv, "weight", SpectralNorm(conv.weight))
            self.layers.append(conv)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value, estimated by power iteration (Miyato et al. 2018, alg. 1).

    Each forward pass of learning makes one iteration, the target network's too. Agents act and are evaluated in
    `inference_mode`, which makes none, so that the network stays the same to the bit.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(matrix.shape[0]), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(matrix.shape[1]), dim=0))
        for _ in range(15):
            self._iterate(matrix)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.v.copy_(F.normalize(matrix.T @ self.u, dim=0))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # in bfloat16 the iteration would not converge
            matrix = weight.flatten(1)
            if self.training and not torch.is_inference_mode_enabled():
                self._iterate(matrix)
            sigma = torch.dot(self.u.clone(), matrix @ self.v.clone())
            return weight / sigma


class CNN(NamedTuple):
    """A convolutional encoder by name."""

    build: Callable[[int, NetConfig], nn.Sequential]
    smallest: int
    """Least side of a picture, in pixels: a smaller one leaves nothing for the last convolution."""
    hidden: tuple[int, ...]
    """Default widths of the MLP after it."""


CNNS = {
    "nature": CNN(nature, 36, (512,)),
    "nips": CNN(nips, 20, (256,)),
    "impala": CNN(impala, 1, (512,)),
    "board": CNN(board, 3, (128,)),
}
BOARD_LARGEST = 16  # cells; one 3x3 layer sees too little of a larger board


class Pixels(nn.Module):
    """A convolutional stem: an image or board leaf to flat features [B, out_features]."""

    def __init__(self, leaf: ObsLeaf, stack: int, kind: str, config: NetConfig) -> None:
        super().__init__()
        cnn = CNNS[kind]
        self.planes = Planes(leaf, stack, config.channels_last, blocks=kind in ("nature", "nips"))
        channels, height, width = self.planes.shape
        if min(height, width) < cnn.smallest:
            least = f"{cnn.smallest}x{cnn.smallest}"
            raise InputError(f"encoder {kind!r} needs pictures of at least {least}, got {height}x{width}: use 'auto'")
        self.conv = cnn.build(channels, config)
        with torch.no_grad():
            self.out_features = self.conv(torch.zeros(1, channels, height, width)).numel()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.planes(x)).flatten(1)


def stem_kind(leaf: ObsLeaf, encoder: str) -> str:
    """The stem of a leaf: `flat`, `onehot` or a CNN's name; `auto` chooses by the picture's size."""
    if leaf.kind == "index":
        return "onehot"
    if leaf.kind in ("vector", "action") or encoder == "mlp":
        return "flat"
    if encoder != "auto":
        return encoder
    _, height, width = plane_shape(leaf)
    if min(height, width) < CNNS["board"].smallest:
        return "flat"
    if max(height, width) <= BOARD_LARGEST:
        return "board"
    return "nature" if min(height, width) >= CNNS["nature"].smallest else "impala"


def build_stem(leaf: ObsLeaf, kind: str, stack: int, config: NetConfig) -> Flat | OneHot | Pixels:
    if kind == "flat":
        return Flat(leaf, stack)
    if kind == "onehot":
        return OneHot(leaf, stack)
    return Pixels(leaf, stack, kind, config)
