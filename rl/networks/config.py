"""`NetConfig`: the parts of a network before its heads. Imports no torch, so that recipes stay light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from rl.errors import InputError, unknown
from rl.fields import check_fields

Activation = Literal["relu", "tanh", "elu", "silu"]
CoreKind = Literal["none", "lstm", "gru", "attention"]

ENCODERS = ("auto", "mlp", "nature", "nips", "impala", "board", "simba", "resnet")


@dataclass(frozen=True)
class NetConfig:
    """Encoder and core of an agent's network; heads belong to the agent."""

    SWITCHES: ClassVar[dict[str, str]] = {"core_size": "core"}
    """Fields that have an effect only while another one is on."""

    encoder: str = "auto"
    """`auto` goes by kind and size; `mlp`, `nature`, `nips`, `impala`, `board`, `simba`, `resnet` or `module:Class`."""
    hidden: tuple[int, ...] | None = None
    """Widths of the MLP on the flat encoding; () is none; None is 64x64, after a CNN 512, `nips` 256, `board` 128."""
    activation: Activation = "relu"
    """Non-linearity of every layer."""
    layer_norm: bool = False
    """LayerNorm between each layer and its non-linearity; in a CNN over the channels of each pixel, as in PQN."""
    core: CoreKind = "none"
    """Memory on top of the encoder; `attention` is a small transformer over the last `core_span` rows."""
    core_size: int = 128
    """Units of the core."""
    core_span: int = 0
    """Rows over which an untrained core remembers, by its gates' biases (Tallec and Ollivier 2018); 0 is off.

    Without it, half of the memory is lost with each row: after 50 rows float32 has nothing left to learn from.
    `attention` reads so many rows, and 16 if it is 0."""
    orthogonal: bool = False
    """Orthogonal weights of gain sqrt(2) and zero biases (a core: gain 1), instead of PyTorch's defaults.

    Useful for pictures: on Pong the defaults left a small CNN's whole first layer inactive."""
    width: int = 1
    """Multiplies the channels of `impala` (16, 32, 32)."""
    spectral_norm: bool = False
    """Spectral normalisation of the residual convolutions of `impala` (Beyond The Rainbow)."""
    max_pool: int = 0
    """Side of an adaptive max-pool after `impala` (Beyond The Rainbow: 6); 0 is off."""
    channels_last: bool = True
    """Convolve in channels-last memory format: measured 1.5 times faster on a CPU for batches of 256."""

    def __post_init__(self) -> None:
        if ":" not in self.encoder and self.encoder not in ENCODERS:
            raise unknown("encoder", self.encoder, ENCODERS)
        check_fields(self)
        if self.hidden is not None:
            object.__setattr__(self, "hidden", tuple(self.hidden))
            for size in self.hidden:
                _at_least("hidden", size, 1)
        _at_least("core_size", self.core_size, 1)
        _at_least("core_span", self.core_span, 0)
        if 0 < self.core_span < 3:
            raise InputError(f"core_span must be 0 (off) or at least 3 rows, got {self.core_span}")
        if self.core_span and self.core == "none":
            raise InputError(
                f"core_span {self.core_span} needs a core: set core to lstm, gru or attention, or core_span to 0"
            )
        _at_least("width", self.width, 1)
        _at_least("max_pool", self.max_pool, 0)


@dataclass(frozen=True)
class MovingNetConfig(NetConfig):
    """A `NetConfig` whose MLP has layers from `rl.networks.moving`; for critics and the policies trained with them."""

    dropout: float = 0.0
    """Dropout after each linear layer; 0 is off."""
    renorm: int | None = None
    """Batch renormalisation of the input and after each layer, plain for so many batches; None is off."""


@dataclass(frozen=True)
class ResNetConfig(NetConfig):
    """A `NetConfig` of the encoder `resnet`."""

    encoder: str = "resnet"
    channels: int = 64
    """Channels of each convolution."""
    blocks: int = 3
    """Residual blocks of two convolutions."""
    squeeze: int = 8
    """Channels that a last 1x1 convolution leaves for the heads."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("channels", 1), ("blocks", 0), ("squeeze", 1)):
            _at_least(name, getattr(self, name), least)


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be an integer of at least {least}, got {value!r}")
