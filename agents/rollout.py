"""The on-policy rollout: the newest T+1 rows as batches with advantages and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class PolicyBatch(NamedTuple):
    """What a loss eats: B transitions, or T rows of B environments where the policy has a memory."""

    obs: dict[str, Tensor]  # [..., (S,) ...]
    mask: Tensor | None  # bool [..., A]
    first: Tensor  # bool [...]
    state: Tensor  # [B, state_size], before row 0; [0, 0] without a memory
    action: Tensor  # [..., (K)]: the raw action, before any squash
    log_prob: Tensor  # [...], as acted
    value: Tensor  # [...], as acted
    advantage: Tensor  # [...]
    target: Tensor  # [...]: what the value should be
    valid: Tensor  # bool [...]: the row starts a transition; all of them without a memory


class Rollout(NamedTuple):
    """T decided rows of N environments, and what came of them."""

    rows: PolicyBatch  # [T, N, ...]
    reward: Tensor  # float32 [T, N], raw: of the transition that the row starts
    discount: Tensor  # float32 [T, N]
    ended: Tensor  # bool [T, N]: the row is its episode's last and starts no transition


def average(x: Tensor, valid: Tensor) -> Tensor:
    """The mean of x [..., B] or [..., T, B] over the rows where `valid` [B] or [T, B]; a flat [B] is so throughout."""
    if valid.dim() == 1:
        return x.mean(-1)
    return torch.where(valid, x, 0.0).sum((-2, -1)) / valid.sum()


def _each(batch: PolicyBatch, f: Callable[[Tensor], Tensor]) -> PolicyBatch:
    """`f` of all rows; the state, which is not one of each row, as it is."""
    obs = {k: f(v) for k, v in batch.obs.items()}
    mask = None if batch.mask is None else f(batch.mask)
    return PolicyBatch(obs, mask, f(batch.first), batch.state, *(f(x) for x in batch[4:]))
