"""Returns and advantages. Time runs along axis 0; rows follow the layout of `rl.interface`.

A transition t -> t+1 exists if row t+1 is not `first`. If it is `first`, the return is cut at row t: row t is the final
observation, which is bootstrapped from if the episode was truncated, and has discount 0 if the episode ended.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def n_step(reward: np.ndarray, discount: np.ndarray, length: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """n-step returns without the bootstrap, and the factor of the bootstrap (Sutton 1988).

    Args:
        reward: float32 [n, B], 0 beyond the window's length.
        discount: float32 [n, B], 1 beyond the window's length.
        length: int64 [B], 1 .. n.

    Returns:
        (return [B], bootstrap discount [B]): sum_k gamma^k (prod_{j<k} d_j) r_k and gamma^length prod_j d_j.
    """
    if len(reward) == 1:
        return reward[0], np.float32(gamma) * discount[0]
    total = np.zeros_like(reward[0])
    running = np.ones_like(reward[0])
    for r, d in zip(reward, discount, strict=True):
        total = total + running * r
        running = running * (np.float32(gamma) * d)
    if not gamma:
        return total, np.zeros_like(total)
    return total, running * np.float32(gamma) ** (length - len(reward)).astype(np.float32)


def gae(
    reward: Tensor, discount: Tensor, first: Tensor, value: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates (Schulman et al. 2016, equation 16), cut at `first`.

    Args:
        reward, discount, first, value: [T+1, B], rows as stored; row 0's reward and discount are not read.

    Returns:
        (advantage [T, B], return [T, B] = advantage + value). Rows that start no transition have advantage 0.
    """
    # where() and not a product: a discount of 0 must ignore the value after the end, even NaN
    after = torch.where(discount[1:] > 0, gamma * discount[1:] * value[1:], 0.0)
    delta = torch.where(first[1:], 0.0, reward[1:] + after - value[:-1])
    decay = torch.where(first[1:], 0.0, gamma * lam * discount[1:])
    advantage = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        running = delta[t] + decay[t] * running
        advantage[t] = running
    return advantage, advantage + value[:-1]


def lambda_returns(
    reward: Tensor, discount: Tensor, first: Tensor, next_value: Tensor, gamma: float, lam: float
) -> Tensor:
    """Q(lambda) returns as in PQN (Gallici et al. 2024, equation 8), cut at `first`.

    Args:
        reward, discount, first: [T+1, B] rows as stored.
        next_value: [T+1, B], the greedy value max_a Q of every row; row 0 is not read.

    Returns:
        [T, B]; 0 for rows that start no transition.
    """
    out = torch.empty_like(reward[1:])
    later = next_value[-1]
    for t in range(len(out) - 1, -1, -1):
        # the row after t+1 belongs to another episode or does not exist yet: bootstrap from row t+1 alone
        last = torch.ones_like(first[0]) if t == len(out) - 1 else first[t + 2]
        mixed = torch.where(last, next_value[t + 1], lam * later + (1 - lam) * next_value[t + 1])
        ahead = torch.where(discount[t + 1] > 0, gamma * discount[t + 1] * mixed, 0.0)
        later = torch.where(first[t + 1], 0.0, reward[t + 1] + ahead)
        out[t] = later
    return out
