"""The on-policy rollout: the newest T+1 rows as batches with advantages and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class PolicyBatch(NamedTuple):
    """The argument of `loss`: B transitions, or T rows of B environments if the policy has a recurrent core."""

    obs: dict[str, Tensor]  # [..., (S,) ...]
    mask: Tensor | None  # bool [..., A]
    first: Tensor  # bool [...]
    state: Tensor  # [B, state_size], before row 0; [0, 0] without a recurrent core
    action: Tensor  # [..., (K)]: the raw action, before any squash
    log_prob: Tensor  # [...], as acted
    value: Tensor  # [...], as acted
    advantage: Tensor  # [...]
    target: Tensor  # [...]: the value's target
    valid: Tensor  # bool [...]: the row starts a transition; all True without a recurrent core


class Rollout(NamedTuple):
    """T rows of N environments with an action each, and the rewards that followed."""

    rows: PolicyBatch  # [T, N, ...]
    reward: Tensor  # float32 [T, N], raw: of the transition that the row starts
    discount: Tensor  # float32 [T, N]
    ended: Tensor  # bool [T, N]: the row is the last of its episode and starts no transition


def average(x: Tensor, valid: Tensor) -> Tensor:
    """The mean of x [..., B] or [..., T, B] over the rows with `valid` [B] or [T, B]. A flat batch is all valid."""
    if valid.dim() == 1:
        return x.mean(-1)
    return torch.where(valid, x, 0.0).sum((-2, -1)) / valid.sum()


def each_tensor(batch: PolicyBatch, f: Callable[[Tensor], Tensor]) -> PolicyBatch:
    """The batch with `f` applied to every tensor but the state, which has no rows."""
    obs = {k: f(v) for k, v in batch.obs.items()}
    mask = None if batch.mask is None else f(batch.mask)
    return PolicyBatch(obs, mask, f(batch.first), batch.state, *(f(x) for x in batch[4:]))
