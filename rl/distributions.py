"""Distributions over actions, and the heads that make them from features.

Every distribution has the same five methods, so that a policy agent has no branch on the action space:

    raw = dist.sample(generator, noise)    the argument of `log_prob`; `act` stores it with the next row
    raw = dist.mode()                      the greedy choice
    dist.action(raw)                       the environment's action: `raw` itself, except for squashed actions
    dist.log_prob(raw), dist.entropy()     [...], summed over an action's elements

All are plain tensors with any leading dimensions; numbers come from the generator given, never from the global one.
Masks are bool, True where allowed: a masked choice has probability exactly 0. A row with nothing allowed (a terminal
observation may have one) counts as one with everything allowed equally, so that nothing becomes NaN.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl.errors import InputError
from rl.fields import check_fields
from rl.interface import ActionSpec
from rl.networks.init import orthogonal_

# Logits of choices that are not allowed: finite, so that p log p is 0 and not NaN. Padding is lower than a masked
# choice, so that an element with nothing allowed is uniform over its own choices only.
_MASKED = -1e30
_PADDING = torch.finfo(torch.float32).min

Deviation = Literal["shared", "state", "gsde"]

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
LOG_STD_RANGE = (-20.0, 2.0)


class Distribution(ABC):
    __slots__ = ()

    @abstractmethod
    def sample(self, generator: torch.Generator, noise: Tensor | None = None) -> Tensor: ...

    @abstractmethod
    def mode(self) -> Tensor: ...

    def action(self, raw: Tensor) -> Tensor:
        return raw

    @abstractmethod
    def log_prob(self, raw: Tensor) -> Tensor: ...

    @abstractmethod
    def entropy(self) -> Tensor: ...

    @abstractmethod
    def numbers(self) -> dict[str, Tensor]:
        """The tensors that define the distribution over actions, [..., K or A], by name."""


class Categorical(Distribution):
    """One of A choices: logits [..., A], mask bool [..., A], actions int64 [...]."""

    __slots__ = ("log_probs",)

    def __init__(self, logits: Tensor, mask: Tensor | None = None) -> None:
        logits = logits.float()
        if mask is not None:
            logits = logits.masked_fill(~mask, _MASKED)
        self.log_probs = F.log_softmax(logits, -1)

    def sample(self, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        # Inverts the cumulated probabilities: a choice of probability 0 owns no interval, so it cannot be drawn.
        cumulated = self.log_probs.exp().cumsum(-1)
        total = cumulated[..., -1:]
        return torch.searchsorted(cumulated, _uniform(total, generator).mul_(total), right=True).squeeze(-1)

    def mode(self) -> Tensor:
        return self.log_probs.argmax(-1)

    def log_prob(self, raw: Tensor) -> Tensor:
        return self.log_probs.gather(-1, raw.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.log_probs.exp() * self.log_probs).sum(-1)

    def numbers(self) -> dict[str, Tensor]:
        return {"log_probs": self.log_probs}


class MultiCategorical(Distribution):
    """K independent choices, element k among nvec[k]: actions int64 [..., K].

    Logits and mask are [..., sum(nvec)], the choices of all elements one after the other: with nvec = (2, 3)
    columns 0 and 1 are the choices of element 0, columns 2 to 4 those of element 1.
    """

    __slots__ = ("elements",)

    def __init__(self, logits: Tensor, nvec: tuple[int, ...], mask: Tensor | None = None) -> None:
        logits = logits.float()
        if mask is not None:
            logits = logits.masked_fill(~mask, _MASKED)
        if len(set(nvec)) == 1:
            padded = logits.unflatten(-1, (len(nvec), nvec[0]))
        else:
            blocks = logits.split(nvec, -1)
            padded = torch.stack(
                [F.pad(block, (0, max(nvec) - block.shape[-1]), value=_PADDING) for block in blocks], -2
            )
        self.elements = Categorical(padded)  # [..., K, max(nvec)]

    def sample(self, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        return self.elements.sample(generator)

    def mode(self) -> Tensor:
        return self.elements.mode()

    def log_prob(self, raw: Tensor) -> Tensor:
        return self.elements.log_prob(raw).sum(-1)

    def entropy(self) -> Tensor:
        return self.elements.entropy().sum(-1)

    def numbers(self) -> dict[str, Tensor]:
        return self.elements.numbers()


class Bernoulli(Distribution):
    """K independent bits: logits [..., K] of a 1, actions int64 [..., K] of 0 and 1.

    The mask is that of K two-way choices, bool [..., 2 K]: columns 2 k and 2 k + 1 allow a 0 and a 1 in element k.
    """

    __slots__ = ("logits",)

    def __init__(self, logits: Tensor, mask: Tensor | None = None) -> None:
        logits = logits.float()
        if mask is not None:
            zero, one = mask.unflatten(-1, (-1, 2)).unbind(-1)
            forced = (one.float() - zero.float()) * -_MASKED  # [..., K]: towards the only bit allowed, else 0
            logits = torch.where(zero & one, logits, forced)
        self.logits = logits

    def sample(self, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        return (_uniform(self.logits, generator) < self.logits.sigmoid()).long()

    def mode(self) -> Tensor:
        return (self.logits > 0).long()

    def log_prob(self, raw: Tensor) -> Tensor:
        return -F.softplus(torch.where(raw > 0, -self.logits, self.logits)).sum(-1)

    def entropy(self) -> Tensor:
        return (F.softplus(self.logits) - self.logits * self.logits.sigmoid()).sum(-1)

    def numbers(self) -> dict[str, Tensor]:
        return {"logits": self.logits}


class DiagGaussian(Distribution):
    """Independent normals: mean [..., K], log_std broadcastable to it, actions float32 [..., K]."""

    __slots__ = ("log_std", "mean")

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean, self.log_std = mean.float(), log_std.float()

    def sample(self, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        return self.mean + self.log_std.exp() * _normal(self.mean.shape, generator, self.mean.device)

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, raw: Tensor) -> Tensor:
        z = (raw - self.mean) * (-self.log_std).exp()
        return (-0.5 * z * z - self.log_std).sum(-1) - HALF_LOG_TAU * self.mean.shape[-1]

    def entropy(self) -> Tensor:
        return (self.log_std + (0.5 + HALF_LOG_TAU)).expand_as(self.mean).sum(-1)

    def numbers(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "log_std": self.log_std.expand_as(self.mean)}


class StateDependentGaussian(DiagGaussian):
    """gSDE (Raffin et al. 2021): the deviation of action k is a linear function of the features, so that exploration
    is smooth while one `noise` is held.

    mean [..., K], features [..., F], log_std [F, K]. `noise` is [..., F, K], standard normal, made by the head's
    `draw_noise`: the action is mean + features @ (std * noise), marginally normal with variance features^2 @ std^2.
    """

    __slots__ = ("features", "std")

    def __init__(self, mean: Tensor, features: Tensor, log_std: Tensor) -> None:
        # Detached, as in the paper: the noise must not shape the features.
        self.features, self.std = features.detach().float(), log_std.exp()
        super().__init__(mean, 0.5 * (self.features.square() @ self.std.square() + 1e-6).log())

    def sample(self, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        """With `noise` the action that it stands for; without, a new independent draw."""
        if noise is None:
            return super().sample(generator)
        return self.mean + (self.features.unsqueeze(-2) @ (self.std * noise)).squeeze(-2)


class Squashed(Distribution):
    """A Gaussian squashed by tanh onto [low, high]. `raw` is the number before the squash, from which the
    log-probability of the action is exact however close to a bound it lies (Haarnoja et al. 2018, appendix C).

    `mode` is the squashed mean. The entropy has no closed form: the mean of log |d action / d raw| is integrated by
    Gauss-Hermite quadrature in each dimension (error below 1e-3 for deviations up to 2), with gradients.
    """

    __slots__ = ("base", "centre", "half")

    def __init__(self, base: DiagGaussian, centre: Tensor, half: Tensor) -> None:
        self.base, self.centre, self.half = base, centre, half

    def sample(self, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        return self.base.sample(generator, noise)

    def mode(self) -> Tensor:
        return self.base.mode()

    def action(self, raw: Tensor) -> Tensor:
        return self.centre + self.half * raw.tanh()

    def log_prob(self, raw: Tensor) -> Tensor:
        return self.base.log_prob(raw) - self._log_slope(raw).sum(-1)

    def entropy(self) -> Tensor:
        node, weight = (torch.from_numpy(part).to(self.half) for part in _HERMITE)
        raw = self.base.mean.unsqueeze(-1) + self.base.log_std.exp().unsqueeze(-1) * node  # [..., K, nodes]
        return self.base.entropy() + (self._log_slope(raw.movedim(-1, 0)).movedim(0, -1) @ weight).sum(-1)

    def _log_slope(self, raw: Tensor) -> Tensor:
        """log(half (1 - tanh^2 raw)), without cancellation for large |raw|."""
        return self.half.log() + 2.0 * (math.log(2.0) - raw - F.softplus(-2.0 * raw))

    def numbers(self) -> dict[str, Tensor]:
        return {
            "mean": self.action(self.base.mean),
            "raw_mean": self.base.mean,
            "log_std": self.base.numbers()["log_std"],
        }


_node, _weight = np.polynomial.hermite_e.hermegauss(32)
_HERMITE = (_node, _weight / _weight.sum())


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=generator.device).to(like.device)


def _normal(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device).to(device)


@dataclass(frozen=True)
class PolicyConfig:
    """How a policy turns features into actions."""

    deviation: Deviation = "shared"
    """Box actions: one deviation for all states, one predicted from each, or gSDE's smooth exploration."""
    log_std: float = 0.0
    """Box actions: logarithm of the initial deviation (gSDE: of each weight of its noise)."""
    squash: bool = False
    """Box actions: tanh onto the action's bounds, instead of clipping by the environment."""
    gain: float = 0.01
    """Gain of the output layer's orthogonal initialisation: near-uniform at first. 0 is PyTorch's own."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not math.isfinite(self.log_std):
            raise InputError(f"log_std must be finite, got {self.log_std}")
        if not 0 <= self.gain < math.inf:
            raise InputError(f"gain must be 0 or more, got {self.gain}")


class PolicyHead(nn.Module):
    """features [..., F] and, for the discrete kinds, mask bool [..., sum(nvec)] -> a distribution."""

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Distribution:
        raise NotImplementedError

    def draw_noise(self, num_envs: int, generator: torch.Generator) -> Tensor | None:
        """gSDE's noise [num_envs, F, K] for `sample`, to be held for some steps and saved; None for other heads."""
        return None


class DiscreteHead(PolicyHead):
    """Categorical, multi-categorical or Bernoulli, by the kind of the action."""

    def __init__(self, action: ActionSpec, features: int, config: PolicyConfig) -> None:
        super().__init__()
        self.kind, self.nvec = action.kind, action.nvec
        self.logits = _output(features, action.size if self.kind == "multibinary" else action.logits, config)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Distribution:
        return self.read(self.logits(features), mask)

    def read(self, logits: Tensor, mask: Tensor | None = None) -> Distribution:
        """The distribution that `logits` [..., sum(nvec)], or [..., K] of bits, stand for."""
        if self.kind == "discrete":
            return Categorical(logits, mask)
        if self.kind == "multibinary":
            return Bernoulli(logits, mask)
        return MultiCategorical(logits, self.nvec, mask)


class GaussianHead(PolicyHead):
    """A Gaussian over a Box, with the deviation and the squash that the config asks for."""

    centre: Tensor
    half_range: Tensor

    def __init__(self, action: ActionSpec, features: int, config: PolicyConfig) -> None:
        super().__init__()
        self.deviation, self.squash = config.deviation, config.squash
        self.mean = _output(features, action.size, config)
        if config.deviation == "state":
            self.log_std_layer = _output(features, action.size, config)
            nn.init.constant_(self.log_std_layer.bias, config.log_std)
        else:
            shape = (features, action.size) if config.deviation == "gsde" else (action.size,)
            self.log_std = nn.Parameter(torch.full(shape, config.log_std))
        if self.squash:
            low, high = torch.tensor(action.low), torch.tensor(action.high)
            if not bool(torch.isfinite(high - low).all()):
                raise InputError(f"squash needs bounded actions, got [{action.low}, {action.high}]: use squash=False")
            self.register_buffer("centre", (low + high) / 2, persistent=False)
            self.register_buffer("half_range", (high - low) / 2, persistent=False)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Distribution:
        mean = self.mean(features)
        if self.deviation == "gsde":
            base: DiagGaussian = StateDependentGaussian(mean, features, self.log_std)
        elif self.deviation == "state":
            base = DiagGaussian(mean, self.log_std_layer(features).clamp(*LOG_STD_RANGE))
        else:
            base = DiagGaussian(mean, self.log_std)
        return Squashed(base, self.centre, self.half_range) if self.squash else base

    def draw_noise(self, num_envs: int, generator: torch.Generator) -> Tensor | None:
        if self.deviation != "gsde":
            return None
        return _normal((num_envs, *self.log_std.shape), generator, self.log_std.device)


def policy_head(action: ActionSpec, features: int, config: PolicyConfig | None = None) -> PolicyHead:
    """The head for an action space. Raises `InputError` if a field of `config` does not apply to it."""
    config = config or PolicyConfig()
    if action.kind == "box":
        return GaussianHead(action, features, config)
    for name in ("deviation", "log_std", "squash"):
        value = getattr(config, name)
        if value != getattr(PolicyConfig, name):
            raise InputError(f"{name}={value!r} is for Box actions, and these are {action.kind}: leave it out")
    return DiscreteHead(action, features, config)


def _output(features: int, out: int, config: PolicyConfig) -> nn.Linear:
    layer = nn.Linear(features, out)
    return orthogonal_(layer, config.gain) if config.gain else layer
