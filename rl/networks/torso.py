"""The part of a network that every agent shares: observation leaves in, features out."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from rl.errors import InputError
from rl.imports import import_named
from rl.interface import EnvSpec
from rl.networks.attention import ROWS, Attention
from rl.networks.config import NetConfig
from rl.networks.cores import Core
from rl.networks.encoders import CNNS, MLP, build_stem, stem_kind
from rl.networks.init import chrono_, orthogonal_
from rl.networks.resnet import ResNet
from rl.networks.simba import Simba

if TYPE_CHECKING:
    from rl.ranks import Ranks


class Encoder(nn.Module):
    """A stem for each leaf, their flat features concatenated, one MLP on all of them: [B, ...] to [B, out_features]."""

    def __init__(self, spec: EnvSpec, config: NetConfig, stack: int = 1) -> None:
        super().__init__()
        kinds = {name: stem_kind(leaf, config.encoder) for name, leaf in spec.obs.items()}
        if config.encoder in CNNS and config.encoder not in kinds.values():
            raise InputError(f"encoder {config.encoder!r} reads pictures and {spec.id} shows none: use 'auto' or 'mlp'")
        for field in ("width", "spectral_norm", "max_pool"):
            if getattr(config, field) != getattr(NetConfig, field) and "impala" not in kinds.values():
                raise InputError(f"{field} is a field of encoder 'impala': set encoder='impala' or leave it out")
        stems = {name: build_stem(spec.obs[name], kind, stack, config) for name, kind in kinds.items()}
        # a list, because a leaf's name may have characters that a module's name may not
        self.names = tuple(stems)
        self.stems = nn.ModuleList(stems.values())
        features = sum(stem.out_features for stem in stems.values())
        hidden = config.hidden
        if hidden is None:
            hidden = max((CNNS[kind].hidden if kind in CNNS else (64, 64) for kind in kinds.values()), key=max)
        self.mlp = MLP(features, hidden, config)
        self.out_features = hidden[-1] if hidden else features

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        parts = [stem(obs[name]) for name, stem in zip(self.names, self.stems, strict=True)]
        return self.mlp(parts[0] if len(parts) == 1 else torch.cat(parts, -1))


class Torso(nn.Module):
    """Encoder and core. Made by `build_torso`.

    out_features: width of the features.  state_size: 0 without a core; LSTM 2 * core_size (h, c), GRU core_size,
    attention the last rows.
    """

    ranks: Ranks | None = None
    """The processes that each encode a part of the environments, while they act together."""

    def __init__(self, spec: EnvSpec, encoder: nn.Module, core: Core | Attention | None, stack: int = 1) -> None:
        super().__init__()
        self.encoder = encoder
        self.core = core
        features: Any = encoder.out_features
        self.out_features: int = core.size if core else features
        self.state_size = core.state_size if core else 0
        self._name, leaf = next(iter(spec.obs.items()))
        self._dims = {name: len(leaf.shape) + (stack > 1) for name, leaf in spec.obs.items()}
        # one plain vector needs no stem and no reshaping, unless a subclass computes something else
        plain = len(spec.obs) == 1 and leaf.kind == "vector" and leaf.dtype == "float32" and len(leaf.shape) == 1
        self._plain = plain and stack == 1 and type(encoder) is Encoder and type(encoder.mlp) is MLP

    @property
    def plain_mlp(self) -> MLP | None:
        """The MLP if it is the whole encoder, because the observation is one plain vector, else None."""
        return self.encoder.mlp if self._plain else None  # type: ignore[union-attr, return-value]

    def forward(
        self, obs: dict[str, Tensor], state: Tensor | None = None, first: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Features [..., out_features] of leaves [..., *shape], or [..., S, *shape], oldest first, for S > 1 stacked.

        With a core the leading dimensions are [T, B]. `state` [B, state_size] is the state before row 0 (None: zeros),
        `first` bool [T, B] zeroes it before a row, and the state after row T - 1 is returned. Without a core, `state`
        is returned unchanged.
        """
        features = self.encode(obs) if self.ranks is None else self._encode_in_parts(obs, self.ranks)
        return (features, state) if self.core is None else self.core(features, state, first)

    def _encode_in_parts(self, obs: dict[str, Tensor], ranks: Ranks) -> Tensor:
        """`encode`, of which this rank computes its environments' part and receives the others'."""
        dim = 0 if self.core is None else 1
        own = next(iter(obs.values())).shape[dim] // ranks.count
        return ranks.join(self.encode({k: v.narrow(dim, ranks.rank * own, own) for k, v in obs.items()}), dim)

    def encode(self, obs: dict[str, Tensor]) -> Tensor:
        """The encoder alone, for any leading dimensions."""
        if self._plain:
            return self.encoder.mlp.forward(obs[self._name])  # type: ignore[union-attr, operator, no-any-return]
        x = obs[self._name]
        lead = x.shape[: x.ndim - self._dims[self._name]]
        if len(lead) == 1:
            return self.encoder(obs)
        flat = {name: obs[name].reshape(-1, *obs[name].shape[len(lead) :]) for name in self._dims}
        features: Tensor = self.encoder(flat)
        return features.reshape(*lead, features.shape[-1])


def build_torso(spec: EnvSpec, config: NetConfig, stack: int = 1) -> Torso:
    """The encoder that `config` names, by default the one that suits `spec.obs`, and the core.

    Your own encoder (`encoder="module:Class"`) is called as Class(spec, config, stack), has `out_features`, and maps
    a dict of leaves [B, (S,) *shape], as stored, to [B, out_features]. It may have no batch normalisation and no
    dropout. Raises `InputError` if encoder and observations do not fit.
    """
    make = _own if ":" in config.encoder else {"simba": Simba, "resnet": ResNet}.get(config.encoder, Encoder)
    encoder: nn.Module = make(spec, config, stack)
    core: Core | Attention | None = None
    if config.core != "none":
        features: Any = encoder.out_features
        if config.core == "attention":
            core = Attention(features, config.core_size, config.core_span or ROWS)
        else:
            core = Core(config.core, features, config.core_size)
    torso = Torso(spec, encoder, core, stack)
    if config.orthogonal:
        orthogonal_(torso)
    if isinstance(core, Core) and config.core_span:
        chrono_(core.rnn, config.core_span)
    return torso


def _own(spec: EnvSpec, config: NetConfig, stack: int) -> nn.Module:
    """The user's encoder, tried on blank observations. Raises `InputError` if it does not fit."""
    name = config.encoder
    kind = _load(name)
    try:
        encoder: nn.Module = kind(spec, config, stack)
    except InputError:
        raise
    except Exception as error:
        line = f"{type(error).__name__}: {error}"
        raise InputError(f"encoder {name!r} cannot be made as Class(spec, config, stack): {line}") from error
    if not isinstance(getattr(encoder, "out_features", None), int):
        raise InputError(f"encoder {name!r} needs an integer attribute `out_features`: the width of its output")
    _require_still(encoder, name)
    lead = (2,) if stack == 1 else (2, stack)
    device = next(encoder.parameters(), torch.zeros(())).device
    obs = {
        leaf: torch.zeros(*lead, *of.shape, dtype=getattr(torch, of.dtype), device=device)
        for leaf, of in spec.obs.items()
    }
    shown = ", ".join(f"{leaf!r} {of.dtype} {tuple(obs[leaf].shape)}" for leaf, of in spec.obs.items())
    try:
        with torch.no_grad():
            made = copy.deepcopy(encoder)(obs)  # a first call may leave tensors on this device
    except Exception as error:
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"encoder {name!r} failed on {{{shown}}}: {line}") from error
    wanted = (2, int(encoder.out_features))  # type: ignore[arg-type]
    if not isinstance(made, Tensor) or tuple(made.shape) != wanted:
        got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise InputError(f"encoder {name!r} gave {got} for {{{shown}}}, its out_features promise {wanted}")
    return encoder


def _require_still(encoder: nn.Module, name: str) -> None:
    """Raises `InputError` if acting would change the encoder, or draw from a generator that no checkpoint saves."""
    for module in encoder.modules():
        moving = isinstance(module, _NormBase) and module.track_running_stats
        if moving or isinstance(module, _DropoutNd | nn.RReLU):
            raise InputError(
                f"encoder {name!r} holds a {type(module).__name__}, which acting would change or draw from: an agent's "
                "network must give the same numbers when it acts and when it learns; use LayerNorm or GroupNorm"
            )


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        loaded = getattr(import_named(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"encoder {path!r} cannot be imported: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, nn.Module)):
        raise InputError(f"encoder {path!r} must be a class of torch.nn.Module")
    return loaded
