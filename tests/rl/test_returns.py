from __future__ import annotations

import numpy as np
import pytest
import torch

from rl import returns
from rl.replay import Replay
from tests.rl.streams import SPEC, random_rows


def test_n_step_equals_a_quadratic_reference_on_many_random_streams() -> None:  # T7
    rng, gamma, checked = np.random.default_rng(0), 0.9, 0
    for seed in range(200):
        rows = random_rows(np.random.default_rng(seed), 60, 1)
        replay = Replay(SPEC, 1, 80, rng)
        for row in rows:
            replay.append(row)
        n = seed % 6 + 1
        index = np.arange(60)
        index = index[replay.eligible(index)]
        w = replay.windows(index, n)
        total, boot = returns.n_step(w.reward, w.discount, w.length, gamma)
        for b, t in enumerate(index):
            expected, factor = 0.0, 1.0
            for k in range(1, n + 1):
                if t + k >= 60 or rows[t + k].first[0]:
                    break
                expected += factor * rows[t + k].reward[0]
                factor *= gamma * rows[t + k].discount[0]
            assert total[b] == pytest.approx(expected, abs=1e-5)
            assert boot[b] == pytest.approx(factor, abs=1e-6)
            checked += 1
    assert checked > 8_000


def rows_of(reward: list[float], discount: list[float], first: list[bool], value: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(x)[:, None] for x in (reward, discount, first, value)]


GAMMA, LAMBDA = 0.9, 0.8
D = GAMMA * LAMBDA


@pytest.mark.parametrize(
    ("discount", "first", "expected"),
    [
        # no end: deltas 1 + .9*20 - 10 = 9, 2 + .9*30 - 20 = 9, 3 + .9*40 - 30 = 9
        ([0, 1, 1, 1], [0, 0, 0, 0], [9 + D * (9 + D * 9), 9 + D * 9, 9]),
        # death at each row
        ([0, 0, 1, 1], [0, 0, 1, 0], [1 - 10, 0, 9]),
        ([0, 1, 0, 1], [0, 0, 0, 1], [9 + D * (2 - 20), 2 - 20, 0]),
        ([0, 1, 1, 0], [0, 0, 0, 0], [9 + D * (9 + D * -27), 9 + D * -27, 3 - 30]),
        # a time limit at each row: the true last observation bootstraps, the advantage is cut
        ([0, 1, 0, 1], [0, 0, 1, 0], [9, 0, 9]),
        ([0, 1, 1, 0], [0, 0, 0, 1], [9 + D * 9, 9, 0]),
        # a life lost without a restart: discount 0, the rows go on
        ([0, 1, 0, 1], [0, 0, 0, 0], [9 + D * -18, -18, 9]),
    ],
)
def test_gae_by_hand_for_each_place_and_kind_of_end(  # T17
    discount: list[float], first: list[int], expected: list[float]
) -> None:
    reward = [0.0 if f else r for r, f in zip([0.0, 1.0, 2.0, 3.0], first, strict=True)]
    tensors = rows_of(reward, [float(d) for d in discount], [bool(f) for f in first], [10.0, 20.0, 30.0, 40.0])
    advantage, target = returns.gae(*tensors, GAMMA, LAMBDA)
    assert advantage[:, 0].tolist() == pytest.approx(expected)
    assert target[:, 0].tolist() == pytest.approx([a + v for a, v in zip(expected, [10, 20, 30], strict=True)])


def test_gae_with_lambda_one_is_the_discounted_return_minus_the_value() -> None:
    rng = np.random.default_rng(0)
    reward, value = torch.tensor(rng.normal(size=(51, 3))), torch.tensor(rng.normal(size=(51, 3)))
    discount, first = torch.ones(51, 3, dtype=torch.float64), torch.zeros(51, 3, dtype=torch.bool)
    advantage, _ = returns.gae(reward, discount, first, value, 0.97, 1.0)
    expected = value[-1].clone()
    for t in range(49, -1, -1):
        expected = reward[t + 1] + 0.97 * expected
        assert torch.allclose(advantage[t], expected - value[t])


def test_a_nan_value_after_an_end_does_no_harm() -> None:  # T23
    tensors = rows_of([0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [False, False, True], [10.0, float("nan"), 5.0])
    advantage, _ = returns.gae(*tensors, GAMMA, LAMBDA)
    assert advantage[0, 0] == -9.0
    assert torch.isfinite(returns.lambda_returns(*tensors, GAMMA, LAMBDA)[0]).all()


def test_lambda_returns_by_hand() -> None:
    tensors = rows_of([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 1.0, 1.0], [False] * 4, [0.0, 20.0, 30.0, 40.0])
    g2 = 3 + 0.9 * 40
    g1 = 2 + 0.9 * (0.8 * g2 + 0.2 * 30)
    g0 = 1 + 0.9 * (0.8 * g1 + 0.2 * 20)
    assert returns.lambda_returns(*tensors, GAMMA, LAMBDA)[:, 0].tolist() == pytest.approx([g0, g1, g2])


def test_lambda_returns_bootstrap_from_the_last_row_of_a_truncated_episode() -> None:
    tensors = rows_of([0.0, 1.0, 0.0, 3.0], [0.0, 1.0, 0.0, 1.0], [False, False, True, False], [0.0, 20.0, 30.0, 40.0])
    out = returns.lambda_returns(*tensors, GAMMA, LAMBDA)[:, 0]
    assert out[0].item() == pytest.approx(1 + 0.9 * 20)
    assert out[2].item() == pytest.approx(3 + 0.9 * 40)


def test_lambda_zero_is_the_one_step_target_and_lambda_one_the_full_return() -> None:
    tensors = rows_of([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], [False] * 3, [0.0, 20.0, 30.0])
    assert returns.lambda_returns(*tensors, GAMMA, 0.0)[:, 0].tolist() == pytest.approx([1 + 0.9 * 20, 2])
    assert returns.lambda_returns(*tensors, GAMMA, 1.0)[:, 0].tolist() == pytest.approx([1 + 0.9 * 2, 2])


def test_n_step_without_a_future_is_the_first_reward_alone() -> None:
    reward, discount = np.array([[1.0, 4], [0, 5], [0, 6]], np.float32), np.ones((3, 2), np.float32)
    total, boot = returns.n_step(reward, discount, np.array([1, 3]), 0.0)
    assert total.tolist() == [1.0, 4.0] and boot.tolist() == [0.0, 0.0]
