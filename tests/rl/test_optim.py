from __future__ import annotations

import pytest
import torch
from torch import nn

from rl.errors import InputError, NonFiniteError
from rl.optim import FlatOptimizer, OptimizerName, flatten_parameters


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adam", lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-5)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=1e-2, eps=1e-5, weight_decay=0.1)),
        ("radam", lambda p: torch.optim.RAdam(p, lr=1e-2, eps=1e-5)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p, lr=1e-2, eps=1e-5, alpha=0.99)),
    ],
)
@pytest.mark.parametrize("compiled", [False, True], ids=["as_on_a_gpu", "compiled"])
def test_flat_steps_equal_torchs_own_with_clipping(
    name: str, reference: object, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlatOptimizer, "_on_cpu", compiled)
    ours, theirs = net(), net()
    flat = FlatOptimizer(ours, name, eps=1e-5, weight_decay=0.1 if name == "adamw" else 0.0, max_grad_norm=0.5)  # type: ignore[arg-type]
    optimizer = reference(theirs.parameters())  # type: ignore[operator]
    x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(20):
        norm = flat.step(ours(x).square().mean(), lr=1e-2)
        optimizer.zero_grad()
        theirs(x).square().mean().backward()
        expected = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
        assert norm.item() == pytest.approx(expected.item(), rel=1e-4)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-5)


@pytest.mark.parametrize(("name", "moment", "steps"), [("adam", "exp_avg", 1_000), ("rmsprop", "square_avg", 10_000)])
def test_the_moment_of_a_unit_that_is_off_reaches_zero_and_does_not_stay_denormal(
    name: OptimizerName, moment: str, steps: int
) -> None:
    flat = FlatOptimizer(net(), name)
    flat.step(flat.module(torch.ones(1, 3, 5, 5)).square().sum(), 1e-3)
    assert flat.state[moment].any()
    flat.grad.zero_()
    for _ in range(steps):
        flat.apply(torch.tensor(0.0), 1e-3)
    assert not flat.state[moment].any()
    if name == "adam":
        assert flat.state["exp_avg_sq"].any()


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("gradient", [1e-12, 1e-18, 1e-25])
def test_a_second_moment_that_is_rounded_to_zero_makes_no_longer_step_than_torchs(
    name: OptimizerName, gradient: float
) -> None:
    flat = FlatOptimizer(net(), name, eps=1e-30)
    before = flat.flat.clone()
    for _ in range(10):
        flat.grad.fill_(gradient)
        flat.apply(torch.tensor(0.0), 1e-3)
    longest = 1e-3 * sum((1 - 0.99**t) ** -0.5 for t in range(1, 11)) if name == "rmsprop" else 10 * 1e-3
    assert (before - flat.flat).abs().max() <= longest * 1.001


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_gradient_that_is_not_finite_or_too_long_to_measure_is_refused(value: float) -> None:
    flat = FlatOptimizer(net())
    flat.grad[3] = value
    before = flat.flat.clone()
    with pytest.raises(NonFiniteError, match="the gradient is"):
        flat.apply(torch.tensor(1.0), 1e-3)
    assert torch.equal(flat.flat, before)


def test_weight_decay_is_refused_where_it_would_shrink_frozen_weights() -> None:
    module = net()
    module[0].weight.requires_grad_(False)  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"weight_decay 0\.1 would shrink '0\.weight', which is frozen: set it to 0"):
        FlatOptimizer(module, "adamw", weight_decay=0.1)
    before = module[0].weight.clone()  # type: ignore[operator]
    FlatOptimizer(module, "adamw").step(module(torch.ones(1, 3, 5, 5)).square().mean(), lr=1e-2)
    assert torch.equal(module[0].weight, before)  # type: ignore[arg-type]


def test_flattening_keeps_values_shapes_and_memory_format() -> None:
    module = net()
    before = [p.detach().clone() for p in module.parameters()]
    flat = flatten_parameters(module)
    assert flat.numel() == sum(p.numel() for p in before)
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert next(module.parameters()).is_contiguous(memory_format=torch.channels_last)
    flat.zero_()
    assert all((p == 0).all() for p in module.parameters())


def test_loading_a_state_dict_writes_through_to_the_flat_tensor() -> None:
    a, b = net(0), net(1)
    flat = flatten_parameters(a)
    a.load_state_dict(b.state_dict())
    assert torch.equal(flat[-2:], b[3].bias)  # type: ignore[index]


@pytest.mark.parametrize(("factor", "source"), [(float("nan"), "loss is nan"), (float("inf"), "loss is inf")])
def test_a_non_finite_loss_leaves_the_weights_and_names_its_source(factor: float, source: str) -> None:
    module = net()
    flat = FlatOptimizer(module)
    before = flat.flat.detach().clone()
    with pytest.raises(NonFiniteError, match=source):
        flat.step(module(torch.ones(1, 3, 5, 5)).sum() * factor, lr=1e-3)
    assert torch.equal(flat.flat, before)


def test_saved_moments_continue_bit_for_bit() -> None:
    x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    a = net()
    first = FlatOptimizer(a)
    for _ in range(5):
        first.step(a(x).square().mean(), 1e-2)
    b = net(9)
    second = FlatOptimizer(b)
    b.load_state_dict(a.state_dict())
    second.load_state_dict({k: v.clone() for k, v in first.state_dict().items()})
    for _ in range(5):
        first.step(a(x).square().mean(), 1e-2)
        second.step(b(x).square().mean(), 1e-2)
    assert torch.equal(first.flat, second.flat)
