"""Sampling in proportion to a priority, for a fixed number of items.

Two levels instead of log2(n): the leaves are a square matrix with the sum and the maximum of each row. `set`
recomputes the rows that it changes, once for neighbours in a row; `find` searches the row sums, then the sums of a
row's parts, then one part. For a million leaves that is a few NumPy calls on 1,000 numbers; a binary tree needs twenty
rounds of them. Sums are recomputed, never adjusted, so that they depend on the leaves alone and do not drift.
"""

from __future__ import annotations

import math

import numpy as np

from rl.errors import NonFiniteError

_PART = 64
"""Leaves of a row that are summed at once on the way to an item."""


class SumTree:
    """Non-negative float64 priorities for items 0 .. size-1, all 0 at first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._width = max(1, math.isqrt(size - 1) + 1)
        blocks = -(-size // self._width)
        self._leaves = np.zeros((blocks, self._width))
        self._sums = np.zeros(blocks)
        self._maxima = np.zeros(blocks)
        self._parts = np.arange(0, self._width, _PART)  # the first column of each part of a row

    @property
    def _flat(self) -> np.ndarray:
        return self._leaves.reshape(-1)  # not an attribute: a copy's would be a view of the original's leaves

    @property
    def nbytes(self) -> int:
        return self._leaves.nbytes + self._sums.nbytes + self._maxima.nbytes

    @property
    def total(self) -> float:
        return float(self._sums.sum())

    @property
    def maximum(self) -> float:
        """The largest priority now, not the largest ever."""
        return float(self._maxima.max())

    @property
    def values(self) -> np.ndarray:
        """All priorities, float64 [size]; a read-only view."""
        return self._flat[: self.size]

    def get(self, items: np.ndarray) -> np.ndarray:
        return self._flat[items]

    def set(self, items: np.ndarray, priorities: np.ndarray | float) -> None:
        """Sets the priorities of `items` (int [n]; of a repeated item the last one counts).

        Raises NonFiniteError for a NaN or infinite priority and ValueError for a negative one; nothing is changed.
        """
        priorities = np.asarray(priorities, np.float64)
        if not np.isfinite(priorities).all():
            raise NonFiniteError(f"priority {priorities[~np.isfinite(priorities)].flat[0]} is not finite")
        if priorities.size and priorities.min() < 0:
            raise ValueError(f"priority {priorities.min()} is negative")
        self._flat[items] = priorities
        self._refresh(items // self._width)

    def load(self, values: np.ndarray) -> None:
        """Sets all priorities."""
        self._flat[: self.size] = values
        self._refresh(np.arange(len(self._sums)))

    def find(self, mass: np.ndarray) -> np.ndarray:
        """The item at each cumulative `mass` in [0, total): int64 [n]. Never an item of priority 0 while total > 0."""
        ends = np.cumsum(self._sums)
        block = np.minimum(np.searchsorted(ends, mass, side="right"), len(ends) - 1)
        within = mass - (ends[block] - self._sums[block])
        rows = self._leaves[block]
        start = np.zeros_like(block)
        if self._width > 8 * _PART:
            ends = np.cumsum(np.add.reduceat(rows, self._parts, axis=1), axis=1)
            part = _before(ends, within)
            start = part * _PART
            within = within - np.where(part > 0, ends[np.arange(len(part)), part - 1], 0.0)
            rows = self._leaves[block[:, None], np.minimum(start[:, None] + np.arange(_PART), self._width - 1)]
        column = np.minimum(start + _before(np.cumsum(rows, axis=1), within), self._width - 1)
        item = block * self._width + column
        missed = self._flat[item] == 0  # rounding at a row's end
        if missed.any():
            item[missed] = self._nearest_positive(item[missed])
        return item

    def _refresh(self, blocks: np.ndarray) -> None:
        if len(blocks) > 1:  # neighbours share a row
            blocks = np.concatenate([blocks[:1], blocks[1:][blocks[1:] != blocks[:-1]]])
        rows = self._leaves[blocks]
        self._sums[blocks] = rows.sum(axis=1)
        self._maxima[blocks] = rows.max(axis=1)

    def _nearest_positive(self, items: np.ndarray) -> np.ndarray:
        positive = np.flatnonzero(self._flat)
        if not len(positive):
            return items
        return positive[np.clip(np.searchsorted(positive, items, side="right") - 1, 0, None)]


def _before(ends: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """How many columns of each row of `ends` [B, W], ascending, end at or before `mass` [B]; at most W - 1."""
    return np.minimum(np.count_nonzero(ends <= mass[:, None], axis=1), ends.shape[1] - 1)
