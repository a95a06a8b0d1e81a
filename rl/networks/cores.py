"""Memory: an LSTM or GRU whose state is one tensor and which restarts at the first row of an episode."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class Core(nn.Module):
    """One recurrent layer. Its state is [B, state_size]: an LSTM's (h, c) concatenated, a GRU's h; zero at a start."""

    def __init__(self, kind: Literal["lstm", "gru"], features: int, size: int) -> None:
        super().__init__()
        self.rnn: nn.LSTM | nn.GRU = nn.LSTM(features, size) if kind == "lstm" else nn.GRU(features, size)
        self.size = size
        self.parts = 2 if kind == "lstm" else 1
        self.state_size = self.parts * size

    def initial(self, batch: int) -> Tensor:
        """Zeros [batch, state_size] on the core's device."""
        return next(self.parameters()).new_zeros(batch, self.state_size)

    def forward(self, x: Tensor, state: Tensor | None = None, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x [T, B, F], state [B, state_size], first bool [T, B] -> outputs [T, B, size], state after the last row.

        `first[t, b]` zeroes the state before row t. One row is one cell, and a sequence without inner starts is one
        call. With inner starts, a GPU runs all episodes packed in one call. A CPU runs the rows between starts one
        after the other, because its packed kernels are up to five times slower than its plain ones.
        """
        if state is None:
            state = self.initial(x.shape[1])
        if first is None:
            return self._run(x, state)
        starts = (first[1:].any(1).nonzero().squeeze(1) + 1).tolist() if len(x) > 1 else []
        if starts and x.is_cuda:
            return self._packed(x, state, first)
        pieces = []
        for begin, end in pairwise([0, *starts, len(x)]):
            piece, state = self._run(x[begin:end], state.masked_fill(first[begin].unsqueeze(-1), 0.0))
            pieces.append(piece)
        return torch.cat(pieces) if starts else pieces[0], state

    def _run(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if len(x) == 1:
            state = self._cell(x[0], state)
            return state[:, : self.size].unsqueeze(0), state
        out, last = self.rnn(x, self._split(state))
        return out, self._join(last)

    def _cell(self, x: Tensor, state: Tensor) -> Tensor:
        weights: Any = (
            self.rnn._parameters.values()
        )  # ih, hh, and their biases; a cell takes half of the time of a call with one row
        if self.parts == 1:
            return torch.gru_cell(x, state, *weights)
        return torch.cat(torch.lstm_cell(x, state.chunk(2, -1), *weights), -1)

    def _packed(self, x: Tensor, state: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Cuts [T, B] into its N episodes and runs them as N sequences in one call, longest first.

        In environment-major order (b * T + t), T = 4 and B = 2, `first` at (2, 0):
            row      0 1 2 3 | 4 5 6 7
            episode  0 0 1 1 | 2 2 2 2
            position 0 1 0 1 | 0 1 2 3
        A PackedSequence holds the rows by position, then by rank (the longest episode is rank 0).
        """
        T, B, _ = x.shape
        row = torch.arange(T * B, device=x.device)
        starts = first.T.clone()  # [B, T]
        starts[:, 0] = True
        starts = starts.reshape(-1)
        episode = starts.cumsum(0) - 1  # [B * T]
        start = starts.nonzero().squeeze(1)  # [N]: the row where each episode starts
        N = start.shape[0]
        position = row - start[episode]
        by_length = torch.bincount(episode, minlength=N).argsort(descending=True, stable=True)  # [N]: episodes by rank
        rank = torch.empty_like(by_length)
        rank[by_length] = torch.arange(N, device=x.device)
        order = (position * N + rank[episode]).argsort()  # [B * T]: packed rows, environment-major
        order = order % T * B + order // T  # time-major, as x is

        carried = (start % T == 0) & ~first[0, start // T]
        initial = torch.where(carried.unsqueeze(-1), state[start // T], 0.0)[by_length]  # [N, state_size]
        packed = PackedSequence(x.reshape(T * B, -1)[order], torch.bincount(position).cpu())
        out, last = self.rnn(packed, self._split(initial))
        unpack = torch.empty_like(order)
        unpack[order] = row
        final = rank[episode[T - 1 :: T]]  # [B]: the episode each environment ends in
        return out.data[unpack].reshape(T, B, -1), self._join(last)[final]

    def _split(self, state: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The state as `nn.LSTM` (a pair) or `nn.GRU` (one tensor) takes it: [1, B, size]."""
        if self.parts == 1:
            return state.unsqueeze(0)
        return tuple(part.contiguous().unsqueeze(0) for part in state.chunk(2, -1))

    def _join(self, state: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        if isinstance(state, Tensor):
            return state.squeeze(0)
        return torch.cat([part.squeeze(0) for part in state], -1)
