"""Memory by attention: a small causal transformer over the last K rows, whose state is those rows' features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 16
"""K without a `core_span`."""


class Attention(nn.Module):
    """One pre-norm block of a transformer (Vaswani et al. 2017; Parisotto et al. 2020) with a bias for each row's age.

    A row attends to itself and to the K - 1 rows before it in its episode. The state [B, state_size] holds how many of
    the rows before are known, and their projected features, the oldest first; zero at a start. The interface is that
    of `rl.networks.cores.Core`.
    """

    def __init__(self, features: int, size: int, rows: int = ROWS) -> None:
        super().__init__()
        self.size, self.before, self.heads = size, rows - 1, math.gcd(size, 4)
        self.state_size = 1 + self.before * size
        self.inward = nn.Linear(features, size)
        self.norm, self.norm_after = nn.LayerNorm(size), nn.LayerNorm(size)
        self.read, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.wide, self.narrow = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.by_age = nn.Parameter(torch.zeros(self.heads, rows))
        """Added to the attention of each head to a row, by its age."""

    def initial(self, batch: int) -> Tensor:
        """Zeros [batch, state_size] on the core's device."""
        return self.by_age.new_zeros(batch, self.state_size)

    def forward(self, x: Tensor, state: Tensor | None = None, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x [T, B, F], state [B, state_size], first bool [T, B] -> outputs [T, B, size], state after the last row.

        `first[t, b]` drops all rows before row t.
        """
        T, B, _ = x.shape
        K = self.before
        state = self.initial(B) if state is None else state
        first = torch.zeros(T, B, dtype=torch.bool, device=x.device) if first is None else first
        own = self.inward(x).transpose(0, 1)  # [B, T, size]
        rows = torch.cat([state[:, 1:].view(B, K, self.size), own], 1)  # [B, K + T, size]
        place = torch.arange(K + T, device=x.device)
        known = place >= K - state[:, :1]  # [B, K + T]
        episode = F.pad(first.T.long().cumsum(1), (K, 0))  # [B, K + T]: 0 is the one that the state comes from
        age = place[K:, None] - place  # [T, K + T]
        seen = (age >= 0) & (age <= K) & known[:, None] & (episode[:, K:, None] == episode[:, None])  # [B, T, K + T]
        out = self._block(rows, own, age, seen)
        kept = known & (episode == episode[:, -1:])  # rows of the episode that goes on
        last = rows[:, T:] * kept[:, T:, None]
        count = kept[:, T:].sum(1, keepdim=True).to(x.dtype)
        return out.transpose(0, 1), torch.cat([count, last.flatten(1)], 1)

    def _block(self, rows: Tensor, own: Tensor, age: Tensor, seen: Tensor) -> Tensor:
        """The block's output [B, T, size] for the newest T rows, which read the rows that are `seen`."""
        parts = self.read(self.norm(rows)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)  # [B, heads, K + T, ...]
        bias = self.by_age[:, age.clamp(0, self.before)].masked_fill(~seen.unsqueeze(1), -torch.inf)
        mixed = F.scaled_dot_product_attention(q[:, :, self.before :], k, v, attn_mask=bias.to(q.dtype))
        x = own + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.relu(self.wide(self.norm_after(x))))  # type: ignore[no-any-return]
