"""Heads against values worked out by hand."""

import math

import pytest
import torch
from torch import nn

from rl.networks.heads import CosineEmbedding, NoisyLinear, ValueHead, linear, resample_noise, set_noise
from rl.networks.init import orthogonal_

pytestmark = pytest.mark.usefixtures("seeded_weights")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_dueling_values_are_v_plus_the_advantage_less_its_mean() -> None:
    head = ValueHead(2, 3, dueling=True)
    assert isinstance(head.advantage, nn.Linear) and isinstance(head.value, nn.Linear)
    with torch.no_grad():
        head.advantage.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        head.advantage.bias.zero_()
        head.value.weight.copy_(torch.tensor([[10.0, 0.0]]))
        head.value.bias.fill_(1.0)
    # x = (1, 2): V = 11, A = (1, 2, 3), mean 2
    assert head(torch.tensor([[1.0, 2.0]])).tolist() == [[10.0, 11.0, 12.0]]


def test_dueling_is_per_atom_over_actions() -> None:
    head = ValueHead(5, 3, outputs=4, dueling=True)
    x = torch.randn(2, 7, 5, generator=rng())
    q = head(x)
    assert q.shape == (2, 7, 3, 4) and head.value is not None
    a, v = head.advantage(x).reshape(2, 7, 3, 4), head.value(x).reshape(2, 7, 1, 4)
    torch.testing.assert_close(q, v + a - a.mean(2, keepdim=True))
    torch.testing.assert_close(q.mean(2, keepdim=True), v)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("hidden", [None, 8])
@pytest.mark.parametrize("outputs", [1, 4])
def test_every_combination_has_its_shape_and_its_layers(
    dueling: bool, noisy: bool, hidden: int | None, outputs: int
) -> None:
    head = ValueHead(6, 3, outputs, dueling, noisy, hidden)
    q = head(torch.randn(5, 6, generator=rng()))
    assert q.shape == ((5, 3) if outputs == 1 else (5, 3, outputs))
    layers = [part for part in head.modules() if isinstance(part, nn.Linear | NoisyLinear)]
    assert len(layers) == (1 + dueling) * (1 + (hidden is not None))
    assert all(isinstance(layer, NoisyLinear) == noisy for layer in layers)
    assert len(head.state_dict()) == len(layers) * (6 if noisy else 2)


def test_a_noisy_layer_is_its_mean_plus_factorised_noise() -> None:
    layer = NoisyLinear(4, 3)
    x = torch.randn(5, 4, generator=rng())
    mean = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), mean)  # no noise before the first draw
    layer.resample(rng(1))
    # eq. 10 and 11: eps_ij = f(eps_i) f(eps_j), bias noise f(eps_j), f(x) = sign(x) sqrt|x|
    f = [
        eps.sign() * eps.abs().sqrt()
        for g in [rng(1)]
        for eps in (torch.randn(4, generator=g), torch.randn(3, generator=g))
    ]
    weight = layer.weight + layer.weight_sigma * torch.outer(f[1], f[0])
    bias = layer.bias + layer.bias_sigma * f[1]
    torch.testing.assert_close(layer(x), nn.functional.linear(x, weight, bias))
    assert not torch.allclose(layer(x), mean)


def test_noisy_weights_begin_as_in_the_paper() -> None:
    layer = NoisyLinear(100, 50, sigma=0.5)
    assert layer.weight.abs().max() <= 0.1 and layer.weight.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)
    assert (layer.weight_sigma == 0.05).all() and (layer.bias_sigma == 0.05).all()


def test_noise_lives_in_the_checkpoint_and_is_the_given_generators() -> None:
    head, twin = ValueHead(4, 2, noisy=True, hidden=8), ValueHead(4, 2, noisy=True, hidden=8)
    x, before = torch.randn(3, 4, generator=rng()), torch.random.get_rng_state()
    resample_noise(head, rng(1))
    first = head(x)
    assert torch.equal(first, head(x))  # drawn by resample only
    twin.load_state_dict(head.state_dict())
    assert torch.equal(twin(x), first)
    resample_noise(head, rng(2))
    assert not torch.equal(head(x), first)
    resample_noise(head, rng(1))
    assert torch.equal(head(x), first)
    assert torch.equal(before, torch.random.get_rng_state())


def test_noise_switched_off_is_the_mean_network_and_comes_back_unchanged() -> None:
    head = ValueHead(4, 2, noisy=True)
    x = torch.randn(3, 4, generator=rng())
    quiet = head(x)
    resample_noise(head, rng(1))
    noisy = head(x)
    set_noise(head, False)
    assert torch.equal(head(x), quiet)
    set_noise(head, True)
    assert torch.equal(head(x), noisy) and not torch.equal(noisy, quiet)


def test_both_means_and_deviations_of_a_noisy_layer_learn() -> None:
    layer = NoisyLinear(4, 3)
    layer.resample(rng())
    layer(torch.randn(5, 4, generator=rng())).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_cosine_embedding_is_equation_4() -> None:
    embedding = CosineEmbedding(5, cosines=64)
    features, taus = torch.randn(2, 5, generator=rng()), torch.rand(2, 3, generator=rng(1))
    out = embedding(features, taus)
    assert out.shape == (2, 3, 5)
    cosines = torch.tensor([math.cos(math.pi * i * float(taus[1, 2])) for i in range(64)])
    phi = torch.relu(embedding.embed(cosines))
    torch.testing.assert_close(out[1, 2], features[1] * phi, atol=1e-5, rtol=1e-4)
    assert embedding(features.expand(4, 2, 5), taus.expand(4, 2, 3)).shape == (4, 2, 3, 5)


def test_linear_is_plain_or_noisy() -> None:
    assert type(linear(3, 2)) is nn.Linear
    noisy = linear(4, 2, noisy=True, sigma=0.1)
    assert isinstance(noisy, NoisyLinear) and noisy.bias_sigma.tolist() == pytest.approx([0.05, 0.05])


def test_orthogonal_gain_is_the_singular_value() -> None:
    layer = orthogonal_(nn.Linear(8, 3), gain=0.01)
    assert torch.linalg.svdvals(layer.weight).tolist() == pytest.approx([0.01] * 3)
    assert layer.bias.tolist() == [0.0] * 3
