"""Pure functions of tensors: one loss or target each, [B] in and [B] out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def project(support: Tensor, atoms: Tensor, probabilities: Tensor) -> Tensor:
    """Projects probabilities [B, Z] at `atoms` [B, Z] onto the evenly spaced `support` [Z]: [B, Z].

    Each atom is shared by its two neighbours; atoms beyond an end count at the end (Bellemare et al. 2017, equation 7).
    """
    low, high, last = support[0], support[-1], len(support) - 1
    place = (atoms.clamp(low, high) - low) * (last / (high - low))
    below = place.floor()
    share = place - below
    if place.is_cuda:  # scatters on CUDA add in any order, so runs would differ
        return spread(place, probabilities)
    index = below.long()
    out = torch.zeros_like(probabilities)
    out.scatter_add_(-1, index, probabilities * (1 - share))
    return out.scatter_add_(-1, (index + 1).clamp(max=last), probabilities * share)


def spread(place: Tensor, probabilities: Tensor) -> Tensor:
    """`project` without a scatter: probabilities [B, Z] at the positions `place` [B, Z], counted in atoms. [B, Z]"""
    atom = torch.arange(place.shape[-1], device=place.device)
    near = (1 - (place.unsqueeze(-1) - atom).abs()).clamp(min=0.0)  # [B, Z, Z]
    return (probabilities.unsqueeze(-1) * near).sum(-2)


def midpoints(count: int) -> Tensor:
    """The fractions (i + 1/2) / count, [count]: best fractions for quantiles (Dabney et al. 2018, lemma 2)."""
    return (torch.arange(count) + 0.5) / count


def quantile_huber(quantiles: Tensor, taus: Tensor, target: Tensor, kappa: float = 1.0) -> Tensor:
    """|tau - 1{u < 0}| huber(u) / kappa with u = target - quantile: sum over quantiles, mean over targets. [B]

    Args:
        quantiles: [B, Z].
        taus: [Z] or [B, Z], the fraction of each quantile.
        target: [B, Z'], without gradient.
    """
    error = target.unsqueeze(-2) - quantiles.unsqueeze(-1)  # [B, Z, Z']
    weight = (taus.unsqueeze(-1) - (error.detach() < 0).float()).abs()
    return (weight * huber(error, kappa)).mean(-1).sum(-1) / kappa


def huber(error: Tensor, delta: float = 1.0) -> Tensor:
    """0.5 e^2 within `delta`, delta (|e| - 0.5 delta) beyond: the gradient is the error clipped to [-delta, delta]."""
    return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def squared(error: Tensor) -> Tensor:
    """0.5 e^2: its gradient is the error, as that of `huber` near 0."""
    return 0.5 * error.square()


def regression(error: Tensor, robust: bool) -> Tensor:
    """`huber` of a temporal-difference error if `robust`, else `squared`."""
    return huber(error) if robust else squared(error)


def take(values: Tensor, action: Tensor) -> Tensor:
    """The entries of `action` (int64 [...]) along the action axis of `values` [..., A] or [..., A, Z]."""
    if values.dim() == action.dim() + 1:
        return values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    index = action[..., None, None].expand(*action.shape, 1, values.shape[-1])
    return values.gather(-2, index).squeeze(-2)


def forbid(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` [..., A] with the lowest finite number for forbidden actions, so that argmax avoids them."""
    return values if mask is None else values.masked_fill(~mask, torch.finfo(values.dtype).min)


def bootstrap(reward: Tensor, discount: Tensor, next_value: Tensor) -> Tensor:
    """reward + discount * next_value; a discount of 0 ignores the next value, even NaN. [B]"""
    return reward + torch.where(discount > 0, discount * next_value, 0.0)


def munchausen_bonus(q_values: Tensor, action: Tensor, alpha: float, tau: float, low: float) -> Tensor:
    """alpha * clip(tau * log pi(a|s), low, 0), pi = softmax(q / tau) (Vieillard et al. 2020, equation 2). [B]"""
    log_policy = F.log_softmax(q_values / tau, dim=-1)
    return alpha * (tau * take(log_policy, action)).clamp(low, 0.0)


def soft_value(q_values: Tensor, tau: float) -> Tensor:
    """sum_a pi(a) (q(a) - tau log pi(a)) = tau logsumexp(q / tau), pi = softmax(q / tau). [..., A] -> [...]"""
    return tau * torch.logsumexp(q_values / tau, dim=-1)
