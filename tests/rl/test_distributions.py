"""Log-probabilities against numeric densities, samples against probabilities, masks without NaN."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor

from rl.distributions import (
    Bernoulli,
    Categorical,
    DiagGaussian,
    Distribution,
    MultiCategorical,
    PolicyConfig,
    Squashed,
    StateDependentGaussian,
    policy_head,
)
from rl.errors import InputError
from rl.interface import ActionSpec

DISCRETE = ActionSpec("discrete", (4,))
BOX = ActionSpec("box", low=(-2.0, 0.0), high=(2.0, 1.0))


pytestmark = pytest.mark.usefixtures("seeded_weights")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_categorical_log_prob_and_entropy_are_those_of_the_softmax() -> None:
    logits = torch.tensor([[0.0, 1.0, -2.0], [3.0, 3.0, 3.0]])
    dist = Categorical(logits)
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(-1, keepdims=True)
    np.testing.assert_allclose(dist.log_prob(torch.tensor([1, 2])), np.log([p[0, 1], p[1, 2]]), rtol=1e-6)
    np.testing.assert_allclose(dist.entropy(), scipy.stats.entropy(p, axis=1), rtol=1e-6)
    assert dist.mode()[0] == 1


def test_categorical_samples_follow_the_probabilities() -> None:
    p = torch.tensor([0.1, 0.0, 0.6, 0.3])
    sample = Categorical(p.log().expand(20_000, 4)).sample(rng())
    assert sample.shape == (20_000,) and sample.dtype == torch.int64
    counts = torch.bincount(sample, minlength=4)
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[[0, 2, 3]].numpy(), [2_000, 12_000, 6_000]).pvalue > 1e-3


def test_sampling_reads_the_given_generator_only() -> None:
    dist = Categorical(torch.zeros(64, 9))
    before = torch.random.get_rng_state()
    first, again, other = dist.sample(rng(1)), dist.sample(rng(1)), dist.sample(rng(2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_masked_choices_have_probability_zero_and_finite_gradients() -> None:
    logits = torch.randn(5_000, 4, generator=rng(), requires_grad=True)
    mask = torch.tensor([True, False, True, False]).expand(5_000, 4)
    dist = Categorical(logits, mask)
    probs = dist.log_probs.exp()
    assert (probs[:, [1, 3]] == 0.0).all()
    sample = dist.sample(rng())
    assert set(sample.tolist()) == {0, 2} and set(dist.mode().tolist()) <= {0, 2}
    open_only = Categorical(logits[:, [0, 2]])
    torch.testing.assert_close(dist.entropy(), open_only.entropy())
    torch.testing.assert_close(dist.log_prob(sample), open_only.log_prob(sample // 2))
    (dist.entropy().sum() + dist.log_prob(sample).sum()).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[:, [1, 3]] == 0).all() and (logits.grad[:, [0, 2]] != 0).any()


def test_a_forbidden_choice_is_not_drawn_at_the_border_of_its_empty_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.distributions._uniform", lambda like, generator: torch.zeros_like(like))
    mask = torch.tensor([[False, True, True], [False, False, True], [True, False, True]])
    assert Categorical(torch.zeros(3, 3), mask).sample(rng()).tolist() == [1, 2, 0]


def test_one_allowed_choice_is_certain() -> None:
    dist = Categorical(torch.randn(3, 5, generator=rng()), torch.eye(5, dtype=torch.bool)[:3])
    assert dist.sample(rng()).tolist() == [0, 1, 2]
    assert dist.entropy().tolist() == [0.0, 0.0, 0.0] and dist.log_prob(torch.tensor([0, 1, 2])).tolist() == [0.0] * 3


@pytest.mark.parametrize("seed", range(3))
def test_nothing_allowed_counts_as_everything_allowed_equally(seed: int) -> None:
    logits = torch.randn(2, 5, generator=rng(seed), requires_grad=True)
    nothing = torch.zeros(2, 5, dtype=torch.bool)
    torch.testing.assert_close(Categorical(logits, nothing).log_probs.exp(), torch.full((2, 5), 0.2))
    multi = MultiCategorical(logits, (2, 3), nothing)
    assert multi.entropy().tolist() == pytest.approx([math.log(6)] * 2)
    multi.entropy().sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (multi.sample(rng(seed)) < torch.tensor([2, 3])).all()
    bits = Bernoulli(logits, torch.zeros(2, 10, dtype=torch.bool))
    assert bits.entropy().tolist() == pytest.approx([5 * math.log(2)] * 2)


def test_multicategorical_is_the_product_of_its_elements_in_concatenated_layout() -> None:
    logits = torch.randn(7, 9, generator=rng())
    nvec = (2, 4, 3)
    dist = MultiCategorical(logits, nvec)
    parts = [Categorical(block) for block in logits.split(nvec, -1)]
    sample = dist.sample(rng())
    assert sample.shape == (7, 3) and (sample < torch.tensor(nvec)).all()
    torch.testing.assert_close(dist.log_prob(sample), sum(p.log_prob(sample[:, k]) for k, p in enumerate(parts)))
    torch.testing.assert_close(dist.entropy(), sum(p.entropy() for p in parts))
    assert torch.equal(dist.mode(), torch.stack([p.mode() for p in parts], -1))


def test_multicategorical_padding_is_never_drawn_and_passes_no_gradient_trouble() -> None:
    logits = torch.full((4_000, 5), -50.0, requires_grad=True)
    mask = torch.tensor([True, False, False, True, True]).expand(4_000, 5)
    dist = MultiCategorical(logits, (2, 3), mask)
    sample = dist.sample(rng())
    assert set(sample[:, 0].tolist()) == {0} and set(sample[:, 1].tolist()) == {1, 2}
    (dist.log_prob(sample) + dist.entropy()).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_multicategorical_of_equal_elements_equals_the_padded_path() -> None:
    logits = torch.randn(6, 12, generator=rng())
    equal = MultiCategorical(logits, (3, 3, 3, 3))
    uneven = MultiCategorical(torch.cat([logits, torch.zeros(6, 5)], -1), (3, 3, 3, 3, 5))
    torch.testing.assert_close(equal.elements.log_probs, uneven.elements.log_probs[:, :4, :3])


def test_bernoulli_is_the_two_way_categorical() -> None:
    logits = torch.randn(8, 3, generator=rng()) * 3
    pairs = torch.stack([torch.zeros_like(logits), logits], -1).flatten(1)
    mask = torch.rand(8, 6, generator=rng(1)) < 0.7
    mask[:, ::2] |= ~mask[:, 1::2]
    for allowed in (None, mask):
        bits, two_way = Bernoulli(logits, allowed), MultiCategorical(pairs, (2, 2, 2), allowed)
        torch.testing.assert_close(bits.entropy(), two_way.entropy(), atol=1e-5, rtol=1e-5)
        sample = bits.sample(rng(2))
        assert sample.dtype == torch.int64
        torch.testing.assert_close(bits.log_prob(sample), two_way.log_prob(sample))
    frequency = Bernoulli(torch.tensor([0.0, 2.0]).expand(20_000, 2)).sample(rng()).float().mean(0)
    np.testing.assert_allclose(frequency, [0.5, 1 / (1 + math.exp(-2))], atol=0.01)


def test_masked_bits_never_come_up() -> None:
    logits = torch.tensor([[5.0, -5.0]]).expand(1_000, 2).clone().requires_grad_()
    mask = torch.tensor([True, False, False, True]).expand(1_000, 4)  # element 0 must be 0, element 1 must be 1
    dist = Bernoulli(logits, mask)
    assert dist.sample(rng()).unique(dim=0).tolist() == [[0, 1]]
    assert (dist.log_prob(torch.tensor([0, 1])) == 0.0).all() and (dist.entropy() == 0.0).all()
    (dist.entropy() + dist.log_prob(torch.tensor([0, 1]))).sum().backward()
    assert logits.grad is not None and (logits.grad == 0).all()


def test_gaussian_log_prob_and_entropy_are_scipys() -> None:
    mean, log_std = torch.tensor([[0.3, -1.0], [2.0, 0.0]]), torch.tensor([-0.5, 0.7])
    dist = DiagGaussian(mean, log_std)
    raw = dist.sample(rng())
    expected = scipy.stats.norm(mean.numpy(), log_std.exp().numpy())
    np.testing.assert_allclose(dist.log_prob(raw), expected.logpdf(raw.numpy()).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(dist.entropy(), expected.entropy().sum(-1), rtol=1e-6)
    many = DiagGaussian(mean[0].expand(40_000, 2), log_std).sample(rng())
    assert scipy.stats.kstest(many[:, 1].numpy(), "norm", (-1.0, math.exp(0.7))).pvalue > 1e-3


def squashed(mean: float, std: float, low: float, high: float) -> Squashed:
    base = DiagGaussian(torch.tensor([mean]), torch.tensor([math.log(std)]))
    return Squashed(base, torch.tensor([(low + high) / 2]), torch.tensor([(high - low) / 2]))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.8, 0.3), (-1.5, 0.6)])
def test_squashed_log_prob_is_the_density_of_the_action(mean: float, std: float) -> None:
    dist = squashed(mean, std, -2.0, 3.0)

    def density(action: float) -> float:
        raw = math.atanh((action - 0.5) / 2.5)
        return math.exp(float(dist.log_prob(torch.tensor([raw]))))

    assert scipy.integrate.quad(density, -2.0, 3.0, epsabs=1e-5, epsrel=1e-5)[0] == pytest.approx(1.0, abs=1e-4)
    # By finite differences of the distribution function of the action.
    for raw in (-1.0, 0.2, 1.4):
        lo, hi = raw - 1e-3, raw + 1e-3
        mass = scipy.stats.norm.cdf(hi, mean, std) - scipy.stats.norm.cdf(lo, mean, std)
        width = 2.5 * (math.tanh(hi) - math.tanh(lo))
        assert float(dist.log_prob(torch.tensor([raw]))) == pytest.approx(math.log(mass / width), abs=1e-3)


def test_squashed_log_prob_is_exact_where_the_action_has_reached_its_bound_in_float32() -> None:
    dist, raw = squashed(20.0, 1.0, -1.0, 1.0), torch.tensor([20.0])
    assert dist.action(raw).item() == 1.0  # from the action alone the log-probability would be infinite
    # log(1 - tanh^2 u) = log 4 - 2u to within 1e-17 here
    assert float(dist.log_prob(raw)) == pytest.approx(-0.5 * math.log(2 * math.pi) - (math.log(4) - 40.0), rel=1e-6)


@pytest.mark.parametrize("std", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, 1.0, -3.0])
def test_squashed_entropy_is_the_integral(mean: float, std: float) -> None:
    dist = squashed(mean, std, 0.0, 1.0)

    def integrand(raw: float) -> float:
        slope = 2 * (math.log(2) - raw - np.logaddexp(0, -2 * raw)) + math.log(0.5)
        p = scipy.stats.norm.pdf(raw, mean, std)
        return float(-p * (scipy.stats.norm.logpdf(raw, mean, std) - slope))

    exact = scipy.integrate.quad(integrand, mean - 10 * std, mean + 10 * std, limit=200)[0]
    assert float(dist.entropy()) == pytest.approx(exact, abs=1e-3)


def test_squashed_actions_stay_within_their_bounds() -> None:
    head = policy_head(BOX, 3, PolicyConfig(squash=True, log_std=1.5))
    dist = head(torch.randn(500, 3, generator=rng()))
    action = dist.action(dist.sample(rng()))
    low, high = torch.tensor(BOX.low), torch.tensor(BOX.high)
    assert (action >= low).all() and (action <= high).all()
    assert (action < low + 0.05).any(0).all() and (action > high - 0.05).any(0).all()


def test_gsde_is_normal_with_the_deviation_its_features_say() -> None:
    features, log_std = torch.tensor([1.0, -2.0, 0.5]), torch.randn(3, 2, generator=rng())
    dist = StateDependentGaussian(torch.tensor([0.5, -1.0]), features, log_std)
    variance = (features.square().unsqueeze(-1) * log_std.exp().square()).sum(0)
    torch.testing.assert_close(dist.log_std, 0.5 * variance.log(), atol=1e-4, rtol=1e-4)
    noise = torch.randn(40_000, 3, 2, generator=rng())
    many = StateDependentGaussian(dist.mean.expand(40_000, 2), features.expand(40_000, 3), log_std)
    held = many.sample(rng(), noise)
    torch.testing.assert_close(held.std(0), variance.sqrt(), rtol=0.02, atol=0.0)
    torch.testing.assert_close(many.sample(rng(3)).std(0), variance.sqrt(), rtol=0.02, atol=0.0)
    raw = torch.tensor([0.7, 0.1])
    expected = scipy.stats.norm(dist.mean.numpy(), variance.sqrt().numpy()).logpdf(raw.numpy()).sum()
    assert float(dist.log_prob(raw)) == pytest.approx(expected, rel=1e-4)


def test_gsde_noise_held_makes_exploration_a_smooth_function_of_the_state() -> None:
    head = policy_head(BOX, 8, PolicyConfig(deviation="gsde", log_std=-1.0))
    noise = head.draw_noise(4, rng())
    assert noise is not None and noise.shape == (4, 8, 2)
    features = torch.randn(4, 8, generator=rng())
    first = head(features).sample(rng(1), noise)
    assert torch.equal(first, head(features).sample(rng(2), noise))  # nothing else is drawn
    assert torch.equal(first, head(features.unsqueeze(0)).sample(rng(2), noise)[0])  # [T, B] as with a core
    assert not torch.equal(first, head(features).sample(rng(1), head.draw_noise(4, rng(9))))
    torch.testing.assert_close(head(features + 1e-4).sample(rng(), noise), first, atol=1e-2, rtol=0.0)


def test_gsde_noise_shapes_its_deviation_but_not_the_features() -> None:
    head = policy_head(BOX, 8, PolicyConfig(deviation="gsde", log_std=-1.0))
    features = torch.randn(4, 8, generator=rng(), requires_grad=True)
    head(features).entropy().sum().backward()
    assert features.grad is None or (features.grad == 0).all()
    assert dict(head.named_parameters())["log_std"].grad.abs().sum() > 0  # type: ignore[union-attr]


def test_state_dependent_deviation_depends_on_the_state_and_the_shared_one_does_not() -> None:
    features = torch.randn(2, 8, generator=rng())
    shared = policy_head(BOX, 8, PolicyConfig(log_std=-0.5, gain=1.0))(features).entropy()
    state = policy_head(BOX, 8, PolicyConfig(deviation="state", gain=1.0))(features).entropy()
    assert shared.tolist() == pytest.approx([math.log(2 * math.pi)] * 2)
    assert state[0] != state[1]


def test_a_fresh_policy_is_nearly_uniform_and_gain_zero_is_not() -> None:
    features = torch.randn(100, 64, generator=rng()) * 3
    near = policy_head(DISCRETE, 64)(features).entropy()
    far = policy_head(DISCRETE, 64, PolicyConfig(gain=0.0))(features).entropy()
    assert (math.log(4) - near).max() < 0.01 < (math.log(4) - far).max()


@pytest.mark.parametrize(
    ("action", "kind", "shape"),
    [
        (DISCRETE, Categorical, (5,)),
        (ActionSpec("multidiscrete", (3, 2)), MultiCategorical, (5, 2)),
        (ActionSpec("multibinary", (2, 2, 2)), Bernoulli, (5, 3)),
        (BOX, DiagGaussian, (5, 2)),
    ],
)
def test_the_head_fits_the_action_space(action: ActionSpec, kind: type, shape: tuple[int, ...]) -> None:
    mask = None if action.kind == "box" else torch.ones(5, action.logits, dtype=torch.bool)
    head = policy_head(action, 8)
    dist: Distribution = head(torch.randn(5, 8, generator=rng()), mask)
    assert isinstance(dist, kind)
    raw = dist.sample(rng(), head.draw_noise(5, rng()))
    assert raw.shape == dist.mode().shape == dist.action(raw).shape == shape
    assert str(raw.dtype).removeprefix("torch.") == action.dtype
    assert dist.log_prob(raw).shape == dist.entropy().shape == (5,)


@pytest.mark.parametrize(
    ("action", "config"),
    [
        (ActionSpec("multidiscrete", (3, 2)), PolicyConfig()),
        (ActionSpec("multibinary", (2, 2, 2)), PolicyConfig()),
        (BOX, PolicyConfig(squash=True, deviation="gsde")),
    ],
)
def test_a_policy_loss_compiles_to_one_graph(action: ActionSpec, config: PolicyConfig) -> None:
    head = policy_head(action, 8, config)
    features = torch.randn(5, 8, generator=rng())
    raw = head(features).sample(rng())

    def loss(features: Tensor) -> Tensor:
        dist = head(features)
        return dist.log_prob(raw) + dist.entropy()

    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(features), loss(features))


def test_low_precision_logits_are_widened_once() -> None:
    logits = torch.randn(4, 6, generator=rng()).bfloat16()
    for dist in (Categorical(logits), MultiCategorical(logits, (2, 4)), Bernoulli(logits)):
        entropy: Tensor = dist.entropy()
        assert entropy.dtype == torch.float32


@pytest.mark.parametrize(
    ("action", "fields", "words"),
    [
        (BOX, {"deviation": "sde"}, "unknown deviation 'sde': did you mean 'gsde'?"),
        (BOX, {"log_std": math.nan}, "log_std must be finite, got nan"),
        (BOX, {"gain": -1.0}, "gain must be 0 or more, got -1.0"),
        (DISCRETE, {"squash": True}, "squash=True is for Box actions, and these are discrete: leave it out"),
        (ActionSpec("multibinary", (2,)), {"deviation": "gsde"}, "deviation='gsde' is for Box actions"),
        (ActionSpec("box", low=(-math.inf,), high=(1.0,)), {"squash": True}, "squash needs bounded actions"),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_one_line(action: ActionSpec, fields: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError) as caught:
        policy_head(action, 4, PolicyConfig(**fields))
    assert words in str(caught.value) and "\n" not in str(caught.value)
