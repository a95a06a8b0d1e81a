from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rl import losses


def test_huber_is_quadratic_within_one_and_linear_beyond() -> None:
    error = torch.tensor([0.0, 0.5, -1.0, 3.0, -10.0], requires_grad=True)
    loss = losses.huber(error)
    assert loss.tolist() == pytest.approx([0.0, 0.125, 0.5, 2.5, 9.5])
    loss.sum().backward()
    assert error.grad is not None and error.grad.tolist() == pytest.approx([0.0, 0.5, -1.0, 1.0, -1.0])


def test_squared_has_the_error_as_its_gradient() -> None:
    error = torch.tensor([3.0, -10.0], requires_grad=True)
    losses.squared(error).sum().backward()
    assert error.grad is not None and error.grad.tolist() == [3.0, -10.0]


def test_take_picks_the_action_of_values_and_of_atoms() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    action = torch.tensor([2, 0])
    assert losses.take(values, action).tolist() == [2.0, 3.0]
    atoms = torch.stack([values, values + 10], dim=-1)  # [2, 3, 2]
    assert losses.take(atoms, action).tolist() == [[2.0, 12.0], [3.0, 13.0]]


def test_forbid_keeps_argmax_among_the_allowed() -> None:
    values = torch.tensor([[5.0, 9.0, 7.0]])
    assert losses.forbid(values, torch.tensor([[True, False, True]])).argmax(-1).item() == 2
    assert losses.forbid(values, None) is values


def test_bootstrap_ignores_a_nan_behind_a_terminal() -> None:  # T23
    target = losses.bootstrap(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.5]), torch.tensor([math.nan, 4.0]))
    assert target.tolist() == [1.0, 4.0]


def test_munchausen_bonus_and_soft_value_by_hand() -> None:
    q, tau, alpha = torch.tensor([[1.0, 1.1], [0.0, 5.0]]), 0.5, 0.9
    p = np.exp(q.numpy() / tau) / np.exp(q.numpy() / tau).sum(-1, keepdims=True)
    bonus = losses.munchausen_bonus(q, torch.tensor([0, 0]), alpha, tau, -1.0)
    assert bonus[0].item() == pytest.approx(alpha * tau * math.log(p[0, 0]), rel=1e-5)
    assert bonus[1].item() == pytest.approx(-alpha)  # tau log p = -5.0 is clipped to -1
    expected = (p * (q.numpy() - tau * np.log(p))).sum(-1)
    assert losses.soft_value(q, tau).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
