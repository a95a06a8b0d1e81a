"""Pure functions of tensors: one loss or target each, [B] in and [B] out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def huber(error: Tensor, delta: float = 1.0) -> Tensor:
    """0.5 e^2 within `delta`, delta (|e| - 0.5 delta) beyond: the gradient is the error clipped to [-delta, delta]."""
    return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def squared(error: Tensor) -> Tensor:
    """0.5 e^2, so that its gradient is the error, as huber's is near 0."""
    return 0.5 * error.square()


def regression(error: Tensor, robust: bool) -> Tensor:
    """`huber` of a temporal-difference error where `robust`, else `squared`."""
    return huber(error) if robust else squared(error)


def take(values: Tensor, action: Tensor) -> Tensor:
    """The entries of `action` (int64 [...]) along the action axis of `values` [..., A] or [..., A, Z]."""
    if values.dim() == action.dim() + 1:
        return values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    index = action[..., None, None].expand(*action.shape, 1, values.shape[-1])
    return values.gather(-2, index).squeeze(-2)


def forbid(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` [..., A] with what the mask does not allow at the lowest finite number, so that argmax avoids it."""
    return values if mask is None else values.masked_fill(~mask, torch.finfo(values.dtype).min)


def bootstrap(reward: Tensor, discount: Tensor, next_value: Tensor) -> Tensor:
    """reward + discount * next_value, where a discount of 0 silences any next value, NaN included. [B]"""
    return reward + torch.where(discount > 0, discount * next_value, 0.0)


def munchausen_bonus(q_values: Tensor, action: Tensor, alpha: float, tau: float, low: float) -> Tensor:
    """alpha * clip(tau * log pi(a|s), low, 0), pi = softmax(q / tau) (Vieillard et al. 2020, equation 2). [B]"""
    log_policy = F.log_softmax(q_values / tau, dim=-1)
    return alpha * (tau * take(log_policy, action)).clamp(low, 0.0)


def soft_value(q_values: Tensor, tau: float) -> Tensor:
    """sum_a pi(a) (q(a) - tau log pi(a)) = tau logsumexp(q / tau), pi = softmax(q / tau). [..., A] -> [...]"""
    return tau * torch.logsumexp(q_values / tau, dim=-1)
