"""Whole sequences give what step-by-step acting gives, and memory never crosses the start of an episode."""

import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.networks import NetConfig
from rl.networks.attention import Attention
from rl.networks.cores import Core
from rl.networks.summary import describe
from rl.networks.torso import build_torso

KINDS: Any = pytest.mark.parametrize("kind", ["lstm", "gru"])
SPEC = EnvSpec("Test-v0", {"obs": ObsLeaf((4,), "float32", "vector")}, ActionSpec("discrete", (2,)))
FRAMES = EnvSpec("Frames-v0", {"obs": ObsLeaf((10, 10, 2), "bool", "board", "HWC")}, ActionSpec("discrete", (2,)))


pytestmark = pytest.mark.usefixtures("seeded_weights")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def step_by_step(core: Core, x: Tensor, state: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Acting, written out: the outputs and the last state."""
    out = []
    for t in range(len(x)):
        state = torch.where(first[t].unsqueeze(-1), torch.zeros_like(state), state)
        y, state = core(x[t : t + 1], state, torch.zeros_like(first[t : t + 1]))
        out.append(y[0])
    return torch.stack(out), state


@KINDS
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize(("T", "B"), [(1, 3), (2, 1), (17, 5), (40, 8)])
def test_a_sequence_equals_step_by_step_acting(kind: Literal["lstm", "gru"], rate: float, T: int, B: int) -> None:
    core = Core(kind, 6, 12)
    for seed in range(3):
        x = torch.randn(T, B, 6, generator=rng(seed), requires_grad=True)
        state = torch.randn(B, core.state_size, generator=rng(seed + 10)).tanh().requires_grad_()
        first = torch.rand(T, B, generator=rng(seed + 20)) < rate
        out, last = step_by_step(core, x, state, first)
        leaves = [x, state, *core.parameters()]
        weight = torch.randn(out.shape, generator=rng(seed + 30))
        gradients = torch.autograd.grad((out * weight).sum() + last.sum(), leaves)
        for forward in (core, core._packed):  # the second is what a GPU runs
            got, got_last = forward(x, state, first)
            torch.testing.assert_close(got, out, atol=1e-6, rtol=0.0)
            torch.testing.assert_close(got_last, last, atol=1e-6, rtol=0.0)
            mine = torch.autograd.grad((got * weight).sum() + got_last.sum(), leaves)
            for a, b in zip(mine, gradients, strict=True):
                torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@KINDS
def test_what_follows_a_first_row_does_not_depend_on_what_came_before(kind: Literal["lstm", "gru"]) -> None:
    core = Core(kind, 6, 12)
    x, first = torch.randn(9, 2, 6, generator=rng()), torch.zeros(9, 2, dtype=torch.bool)
    first[4, 1] = True
    other = x.clone()
    other[:4] += 1.0
    state = torch.randn(2, core.state_size, generator=rng(1))
    (a, a_last), (b, b_last) = core(x, state, first), core(other, -state, first)
    assert torch.equal(a[4:, 1], b[4:, 1]) and torch.equal(a_last[1], b_last[1])
    assert not torch.allclose(a[4:, 0], b[4:, 0], atol=1e-4)
    fresh, _ = core(x[4:, 1:])  # no state: zeros
    torch.testing.assert_close(a[4:, 1:], fresh, atol=1e-6, rtol=0.0)


@KINDS
def test_a_first_row_zero_drops_the_state_that_was_handed_in(kind: Literal["lstm", "gru"]) -> None:
    core = Core(kind, 6, 12)
    x, state = torch.randn(5, 2, 6, generator=rng()), torch.randn(2, core.state_size, generator=rng(1))
    first = torch.zeros(5, 2, dtype=torch.bool)
    first[0] = True
    for rows in (1, 5):
        torch.testing.assert_close(core(x[:rows], state, first[:rows]), core(x[:rows]), atol=1e-6, rtol=0.0)


def test_the_state_is_h_then_c_for_an_lstm_and_h_for_a_gru() -> None:
    x = torch.randn(3, 2, 6, generator=rng())
    lstm, gru = Core("lstm", 6, 12), Core("gru", 6, 12)
    assert (lstm.state_size, gru.state_size) == (24, 12)
    out, (h, c) = lstm.rnn(x)
    torch.testing.assert_close(lstm(x)[1], torch.cat([h[0], c[0]], -1))
    torch.testing.assert_close(gru(x)[1], gru.rnn(x)[1][0])
    torch.testing.assert_close(lstm(x)[0], out)


@KINDS
@pytest.mark.parametrize("spec", [SPEC, FRAMES])
def test_a_torso_with_memory_takes_sequences_and_single_rows(kind: Literal["lstm", "gru"], spec: EnvSpec) -> None:
    torso = build_torso(spec, NetConfig(core=kind, core_size=20), stack=2)
    leaf = spec.obs["obs"]
    x = torch.randint(2, (6, 3, 2, *leaf.shape), generator=rng()).to(getattr(torch, leaf.dtype))  # [T, B, S, ...]
    first = torch.rand(6, 3, generator=rng()) < 0.3
    features, last = torso({"obs": x}, None, first)
    assert last is not None
    assert features.shape == (6, 3, 20) and last.shape == (3, torso.state_size)
    state: Tensor | None = torch.zeros(3, torso.state_size)
    for t in range(6):
        row, state = torso({"obs": x[t : t + 1]}, state, first[t : t + 1])
        torch.testing.assert_close(row[0], features[t], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(state, last, atol=1e-6, rtol=1e-5)


def test_a_torso_without_memory_has_no_state_and_hands_back_what_it_got() -> None:
    torso = build_torso(SPEC, NetConfig())
    assert torso.state_size == 0 and torso({"obs": torch.zeros(3, 4)})[1] is None
    empty = torch.zeros(3, 0)
    assert torso({"obs": torch.zeros(3, 4)}, empty)[1] is empty


@KINDS
def test_a_span_keeps_a_cue_that_a_plain_core_has_lost(kind: Literal["lstm", "gru"]) -> None:
    """Two cues, then 50 equal rows: how far apart are the features at the end?"""

    def apart(span: int) -> float:
        config = NetConfig(hidden=(32,), core=kind, core_size=64, core_span=span, orthogonal=True)
        torso = build_torso(SPEC, config)
        rows = torch.zeros(51, 2, 4)
        rows[0, 0, 0], rows[0, 1, 1] = 1.0, 1.0
        features, _ = torso({"obs": rows})
        return float((features[-1, 0] - features[-1, 1]).detach().abs().max())

    assert apart(0) < 1e-6
    assert apart(52) > 1e-4


def test_a_spans_biases_are_those_of_the_paper() -> None:
    for kind, gates in (("lstm", 4), ("gru", 3)):
        torso = build_torso(SPEC, NetConfig(core=kind, core_size=100, core_span=52))  # type: ignore[arg-type]
        bias = dict(torso.core.rnn.named_parameters())["bias_ih_l0"].view(gates, 100)  # type: ignore[union-attr]
        assert bias[1].min() >= 0 and bias[1].max() <= math.log(51) and bias[1].std() > 0.5
        assert torch.equal(bias[0], -bias[1] if kind == "lstm" else torch.zeros(100))
        assert not bias[2:].any()


def test_a_span_too_short_is_refused() -> None:
    with pytest.raises(InputError, match="core_span must be 0 .off. or at least 3 rows, got 2"):
        NetConfig(core="gru", core_span=2)
    with pytest.raises(InputError, match="core_span 52 needs a core"):
        NetConfig(core_span=52)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize(("T", "B"), [(1, 3), (2, 1), (17, 5), (40, 8)])
def test_attention_over_a_sequence_equals_acting_row_by_row(rate: float, T: int, B: int) -> None:
    core = Attention(6, 12, rows=5)
    core.by_age.data.normal_(generator=rng(9))
    x = torch.randn(T, B, 6, generator=rng(1), requires_grad=True)
    first = torch.rand(T, B, generator=rng(2)) < rate
    _, state = core(torch.randn(3, B, 6, generator=rng(3)), None, torch.rand(3, B, generator=rng(4)) < 0.3)
    state = state.detach().requires_grad_()
    got, got_last = core(x, state, first)
    out, last = step_by_step(core, x, state, first)  # type: ignore[arg-type]
    torch.testing.assert_close(got, out, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(got_last, last, atol=1e-6, rtol=1e-5)
    leaves = [x, *core.parameters()]
    for a, b in zip(torch.autograd.grad(got.sum(), leaves), torch.autograd.grad(out.sum(), leaves), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_attention_reads_the_last_k_rows_of_its_episode_and_no_other() -> None:
    core = Attention(6, 12, rows=4)
    x, first = torch.randn(9, 1, 6, generator=rng(), requires_grad=True), torch.zeros(9, 1, dtype=torch.bool)

    def read(t: int) -> list[int]:
        (gradient,) = torch.autograd.grad(core(x, None, first)[0][t].sum(), x)
        return gradient.abs().sum((1, 2)).nonzero().flatten().tolist()  # type: ignore[no-any-return]

    assert read(7) == [4, 5, 6, 7] and read(1) == [0, 1]
    first[6] = True
    assert read(7) == [6, 7] and core.state_size == 1 + 3 * 12


def test_attention_gives_by_hand_the_mean_of_what_equal_rows_offer() -> None:
    """With queries of zero, all rows are read alike: the output is the row plus the mean of the values."""
    core = Attention(2, 2, rows=3)
    with torch.no_grad():
        for layer in (core.inward, core.out):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
        core.read.weight.copy_(torch.cat([torch.zeros(4, 2), torch.eye(2)]))
        core.read.bias.zero_()
        core.narrow.weight.zero_()
        core.narrow.bias.zero_()
    x = torch.tensor([[[1.0, 3.0]], [[4.0, 2.0]], [[0.0, 8.0]]])  # normalised: (-1, 1), (1, -1), (-1, 1)
    out, state = core(x)
    torch.testing.assert_close(out[2, 0], torch.tensor([0.0 - 1 / 3, 8.0 + 1 / 3]), atol=1e-4, rtol=0.0)
    assert state.tolist() == [[2.0, 4.0, 2.0, 0.0, 8.0]]


def test_a_torso_with_attention_has_one_row_in_the_summary() -> None:
    torso = build_torso(SPEC, NetConfig(core="attention", core_size=8, core_span=5))
    assert isinstance(torso.core, Attention) and (torso.out_features, torso.state_size) == (8, 33)
    row = describe(torso, SPEC)[-1]
    assert (row.kind, row.parameters) == ("Attention", sum(p.numel() for p in torso.core.parameters()))
