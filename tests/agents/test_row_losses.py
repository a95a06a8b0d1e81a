"""The compiled losses and their derivatives, by hand and against PyTorch; actions are drawn as `Categorical` does."""

import numpy as np
import pytest
import torch

from agents.row_losses import draw, policy_gradient, q_learning
from rl.distributions import Categorical


def rows_of(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Two rows of two actions: the errors are 1.5 - 4 = -2.5 and 1 - 0.75 = 0.25."""
    given = {
        "q_values": np.array([[1.5, 9.0], [9.0, 1.0]], np.float32),
        "after": np.array([[2.0, 4.0], [5.0, 6.0]], np.float32),
        "values": np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
        "allowed": np.zeros((0, 0), bool),
        "action": np.array([0, 1]),
        "reward": np.array([3.0, 0.75], np.float32),
        "discount": np.array([0.5, 0.0], np.float32),
        "weight": np.zeros(0, np.float32),
    }
    return given | changed


def learned(huber: bool = True, **changed: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    output_grad, priority = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
    loss, mean = q_learning(*rows_of(**changed).values(), huber, output_grad, priority)
    return loss, mean, output_grad, priority


def test_q_learning_by_hand() -> None:
    loss, mean, output_grad, priority = learned()
    assert loss == pytest.approx((2.0 + 0.03125) / 2) and mean == 1.25  # |e| - 1/2 beyond 1, else e^2 / 2
    assert output_grad.tolist() == [[-0.5, 0.0], [0.0, 0.125]] and priority.tolist() == [2.5, 0.25]
    loss, _, output_grad, _ = learned(huber=False)
    assert loss == pytest.approx((3.125 + 0.03125) / 2) and output_grad[0, 0] == -1.25
    loss, _, output_grad, priority = learned(weight=np.array([0.5, 2.0], np.float32))
    assert loss == pytest.approx((1.0 + 0.0625) / 2) and priority.tolist() == [2.5, 0.25]
    assert output_grad.tolist() == [[-0.25, 0.0], [0.0, 0.25]]


def test_q_learning_takes_the_best_allowed_action_by_the_other_values() -> None:
    masked = learned(allowed=np.array([[False, True], [False, False]]))
    assert masked[3].tolist() == [3.5, 0.25], "1.5 - (3 + 0.5 x 4); the second row ended"
    ahead = learned(values=np.array([[0.0, 1.0], [0.0, 0.0]], np.float32))
    assert ahead[3][0] == 3.5


def test_q_learning_hides_no_nan() -> None:
    nan = np.array([[np.nan, 0.0], [0.0, 1.0]], np.float32)
    assert np.isnan(learned(after=nan, values=nan)[0])
    loss, _, output_grad, priority = learned(q_values=nan)
    assert np.isnan(loss) and np.isnan(output_grad[0, 0]) and np.isnan(priority[0])
    ended = learned(after=np.full((2, 2), np.nan, np.float32), discount=np.zeros(2, np.float32))
    assert np.isfinite(ended[0]), "the value after the end is not read"


def policy_loss(clip: float, **changed: np.ndarray) -> tuple[tuple[float, ...], np.ndarray, np.ndarray]:
    """Two rows of two equally probable actions. Values are 1 above and 2 below their targets."""
    given = {
        "logits": np.zeros((2, 2), np.float32),
        "value": np.array([[1.0], [0.0]], np.float32),
        "action": np.array([0, 1]),
        "log_prob": np.log(np.array([0.25, 0.5], np.float32)),
        "advantage": np.array([3.0, -1.0], np.float32),
        "target": np.array([0.0, 2.0], np.float32),
    } | changed
    logits_grad, value_grad = np.full_like(given["logits"], 7), np.full_like(given["value"], 7)
    return policy_gradient(*given.values(), clip, 0.5, 0.1, logits_grad, value_grad), logits_grad, value_grad


def test_ppos_rows_by_hand() -> None:
    means, logits_grad, value_grad = policy_loss(0.2)
    # ratios 2, clipped to 1.2, and 1: gains 3.6 and -1; errors 1 and -2; log 2 of entropy each
    policy, error, entropy, kl = -(3.6 - 1) / 2, (1 + 4) / 2, np.log(2), (2 - 1 - np.log(2)) / 2
    assert means == pytest.approx((policy + 0.5 * error - 0.1 * entropy, policy, error, entropy, kl, 0.5), rel=1e-6)
    assert logits_grad[0] == pytest.approx([0, 0], abs=1e-7), "the first row is clipped; its entropy is the largest"
    assert logits_grad[1] == pytest.approx([-0.25, 0.25]), "ratio 1 and advantage -1: pi of the action should fall"
    assert value_grad.tolist() == [[0.5], [-1.0]]


def test_a2cs_rows_by_hand() -> None:
    means, logits_grad, _ = policy_loss(-1.0)
    assert means[1] == pytest.approx(np.log(2) * (3 - 1) / 2) and means[4:] == (0, 0)
    assert logits_grad[0] == pytest.approx([-0.75, 0.75]) and logits_grad[1] == pytest.approx([-0.25, 0.25])


def test_the_entropys_gradient_is_autograds() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (0.1 * Categorical(logits).entropy().mean()).backward()  # type: ignore[no-untyped-call]
    rows = {"value": np.zeros((5, 1), np.float32), "action": np.arange(5) % 4}
    rows |= {name: np.zeros(5, np.float32) for name in ("log_prob", "advantage", "target")}
    found = policy_loss(-1.0, logits=logits.detach().numpy(), **rows)
    assert logits.grad is not None and np.allclose(found[1], -logits.grad.numpy(), atol=1e-7)


def test_large_logits_stay_finite_and_nan_is_not_hidden() -> None:
    means, logits_grad, _ = policy_loss(-1.0, logits=np.array([[1000, -1000], [-1000, 1000]], np.float32))
    assert np.isfinite(means).all() and np.isfinite(logits_grad).all()
    for name in ("logits", "value", "log_prob", "advantage", "target"):
        given = np.full((2, 2) if name == "logits" else (2, 1) if name == "value" else 2, np.nan, np.float32)
        assert np.isnan(policy_loss(0.2, **{name: given})[0][0]), name


def test_actions_are_drawn_as_categorical_draws_them() -> None:
    logits = 3 * torch.randn(10_000, 5, generator=torch.Generator().manual_seed(1))
    dist = Categorical(logits)
    expected = dist.sample(torch.Generator().manual_seed(2))
    uniform = torch.rand(10_000, 1, generator=torch.Generator().manual_seed(2)).numpy()
    action, log_prob = np.empty(10_000, np.int64), np.empty(10_000, np.float32)
    draw(logits.numpy(), uniform, action, log_prob)
    assert (action != expected.numpy()).sum() <= 1, "but for a number that lies on a border"
    assert np.allclose(log_prob, dist.log_prob(torch.from_numpy(action)).numpy(), atol=1e-6)


def test_what_has_no_probability_is_not_drawn() -> None:
    logits = np.array([[0.0, -200.0], [-200.0, 0.0]], np.float32)
    action, log_prob = np.empty(2, np.int64), np.empty(2, np.float32)
    for number in (0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))):
        draw(logits, np.full((2, 1), number, np.float32), action, log_prob)
        assert action.tolist() == [0, 1]
