"""Heads: features to values of actions, atoms or quantiles, with noise or dueling streams."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl.networks.encoders import call_linear


class NoisyLinear(nn.Module):
    """A linear layer with learned, factorised Gaussian noise on its weights (Fortunato et al. 2018, eq. 9 to 11).

    Only `resample` draws noise. It is kept in buffers, so that acting twice gives the same, and checkpoints save it.
    With `noisy = False` the layer is its mean.
    """

    noise_in: Tensor  # [in]: f(eps), f(x) = sign(x) sqrt(|x|)
    noise_out: Tensor  # [out]

    def __init__(self, in_features: int, out_features: int, sigma: float = 0.5) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.noisy = True
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((out_features, in_features), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((out_features,), sigma * bound))
        self.register_buffer("noise_in", torch.zeros(in_features))
        self.register_buffer("noise_out", torch.zeros(out_features))

    @torch.no_grad()
    def resample(self, generator: torch.Generator) -> None:
        """Draws new noise; until the first call it is zero. The generator may live on another device."""
        for noise in (self.noise_in, self.noise_out):
            eps = torch.randn(noise.shape, generator=generator, device=generator.device)
            noise.copy_(eps.sign() * eps.abs().sqrt())

    def forward(self, x: Tensor) -> Tensor:
        if not self.noisy:
            return F.linear(x, self.weight, self.bias)
        # the noise has rank one: scaling input and output of a second product needs no noisy matrix
        mean = F.linear(x, self.weight, self.bias)
        noise = F.linear(x * self.noise_in, self.weight_sigma, self.bias_sigma)
        return torch.addcmul(mean, noise, self.noise_out)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


def linear(in_features: int, out_features: int, noisy: bool = False, sigma: float = 0.5) -> nn.Linear | NoisyLinear:
    """A plain or a noisy linear layer."""
    return NoisyLinear(in_features, out_features, sigma) if noisy else nn.Linear(in_features, out_features)


def resample_noise(module: nn.Module, generator: torch.Generator) -> None:
    """Draws new noise for every noisy layer in `module`, in the order of its modules."""
    for layer in module.modules():
        if isinstance(layer, NoisyLinear):
            layer.resample(generator)


def set_noise(module: nn.Module, on: bool) -> None:
    """Switches the noise of every noisy layer in `module` on, or off (the mean network, for evaluation)."""
    for layer in module.modules():
        if isinstance(layer, NoisyLinear):
            layer.noisy = on


class ValueHead(nn.Module):
    """Action values [..., A], or [..., A, Z] for Z outputs each (atoms, quantiles).

    Dueling (Wang et al. 2016, eq. 9): V + A - mean A over actions, for each of the Z outputs as in Rainbow. With
    `hidden` each stream has one layer of that width and a ReLU before its output.
    """

    def __init__(
        self,
        features: int,
        actions: int,
        outputs: int = 1,
        dueling: bool = False,
        noisy: bool = False,
        hidden: int | None = None,
        sigma: float = 0.5,
    ) -> None:
        super().__init__()

        def stream(out: int) -> nn.Module:
            if hidden is None:
                return linear(features, out, noisy, sigma)
            into = linear(features, hidden, noisy, sigma)
            return nn.Sequential(into, nn.ReLU(inplace=True), linear(hidden, out, noisy, sigma))

        self.outputs = outputs
        self.advantage = stream(actions * outputs)
        self.value = stream(outputs) if dueling else None
        self.plain = outputs == 1 and not dueling and isinstance(self.advantage, nn.Linear)
        """Whether the values are one linear layer of the features."""

    def forward(self, features: Tensor) -> Tensor:
        if self.plain:
            return call_linear(self.advantage, features)  # type: ignore[arg-type]
        q: Tensor = self.advantage(features)
        if self.outputs == 1:
            return q if self.value is None else q - q.mean(-1, keepdim=True) + self.value(features)
        q = q.unflatten(-1, (-1, self.outputs))  # [..., A, Z]
        return q if self.value is None else q - q.mean(-2, keepdim=True) + self.value(features).unsqueeze(-2)


class CosineEmbedding(nn.Module):
    """IQN's mix of features with quantile fractions (Dabney et al. 2018, eq. 4).

    features [..., F] and taus [..., N] in (0, 1) -> [..., N, F]: features * relu(linear(cos(pi i tau))), i = 0 .. 63.
    """

    frequencies: Tensor

    def __init__(self, features: int, cosines: int = 64, noisy: bool = False, sigma: float = 0.5) -> None:
        super().__init__()
        self.embed = linear(cosines, features, noisy, sigma)
        self.register_buffer("frequencies", math.pi * torch.arange(cosines), persistent=False)

    def forward(self, features: Tensor, taus: Tensor) -> Tensor:
        phi = F.relu(self.embed(torch.cos(taus.unsqueeze(-1) * self.frequencies)))  # [..., N, F]
        return features.unsqueeze(-2) * phi
