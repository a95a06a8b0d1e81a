"""Running moments against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rl.normalise import ObservationNormaliser, RunningMoments


def test_moments_of_many_batches_are_those_of_all_rows_at_once() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(5.0, [0.1, 1.0, 100.0], (1000, 3)) ** 2
    moments = RunningMoments((3,))
    for part in np.split(rows, [1, 2, 10, 10, 500]):  # one of them is empty
        moments.update(torch.from_numpy(part))
    assert moments.count.item() == 1000
    assert moments.mean.numpy() == pytest.approx(rows.mean(0), rel=1e-12)
    assert moments.var.numpy() == pytest.approx(rows.var(0), rel=1e-10)


def test_moments_stay_exact_far_from_zero() -> None:
    rows = 1e6 + np.random.default_rng(0).normal(size=2000)
    moments = RunningMoments(())
    for part in np.split(rows, 20):
        moments.update(torch.from_numpy(part))
    assert moments.var.item() == pytest.approx(rows.var(), rel=1e-6)


def test_standardised_numbers_have_mean_0_deviation_1_and_are_clipped_at_10() -> None:
    rows = torch.from_numpy(np.random.default_rng(0).normal(3.0, 2.0, (4000, 2)).astype(np.float32))
    moments = RunningMoments((2,))
    assert torch.allclose(moments(rows), rows.clamp(-10, 10), rtol=1e-6)  # nothing was seen yet
    moments.update(rows)
    out = moments(rows)
    assert out.dtype == torch.float32
    assert out.mean(0).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    assert out.std(0, unbiased=False).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert moments(torch.tensor([[1e6, -1e6]])).tolist() == [[10.0, -10.0]]


def test_a_feature_that_never_changes_becomes_0() -> None:
    moments = RunningMoments((1,))
    moments.update(torch.full((50, 1), 7.0))
    assert moments(torch.full((1, 1), 7.0)).item() == 0.0


def test_moments_continue_from_their_saved_state() -> None:
    rows = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    whole, half, again = RunningMoments((2,)), RunningMoments((2,)), RunningMoments((2,))
    whole.update(rows[:30])
    half.update(rows[:30])
    again.load_state_dict(half.state_dict())
    for moments in (whole, again):
        moments.update(rows[30:])
    assert torch.equal(whole.mean, again.mean) and torch.equal(whole.var, again.var)


def test_only_the_named_leaves_are_standardised() -> None:
    normaliser = ObservationNormaliser({"arm": (2,)})
    arm, picture = torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.ones(2, 1, 4, 4, dtype=torch.uint8)
    normaliser.update({"arm": arm, "picture": picture})
    out = normaliser({"arm": arm, "picture": picture})
    assert out["arm"].tolist() == [[pytest.approx(-1.0), 0.0], [pytest.approx(1.0), 0.0]]
    assert out["picture"] is picture
