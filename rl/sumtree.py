"""Sampling in proportion to a priority, for a fixed number of items.

Two levels instead of log2(n): the leaves are a square matrix with the sum and the maximum of each row. `set`
recomputes the rows that it changes; `find` searches the row sums and then one row. For a million leaves both take a
few NumPy calls on 1,000 numbers; a binary tree needs twenty rounds of them. Sums are recomputed, never adjusted, so
that they depend on the leaves alone and do not drift.
"""

from __future__ import annotations

import math

import numpy as np

from rl.errors import NonFiniteError


class SumTree:
    """Non-negative float64 priorities for items 0 .. size-1, all 0 at first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._width = max(1, math.isqrt(size - 1) + 1)
        blocks = -(-size // self._width)
        self._leaves = np.zeros((blocks, self._width))
        self._sums = np.zeros(blocks)
        self._maxima = np.zeros(blocks)

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
        column = (np.cumsum(rows, axis=1) <= within[:, None]).sum(axis=1)
        column = np.minimum(column, self._width - 1)
        item = block * self._width + column
        missed = self._flat[item] == 0  # rounding at a row's end
        if missed.any():
            item[missed] = self._nearest_positive(item[missed])
        return item

    def _refresh(self, blocks: np.ndarray) -> None:
        rows = self._leaves[blocks]
        self._sums[blocks] = rows.sum(axis=1)
        self._maxima[blocks] = rows.max(axis=1)

    def _nearest_positive(self, items: np.ndarray) -> np.ndarray:
        positive = np.flatnonzero(self._flat)
        if not len(positive):
            return items
        return positive[np.clip(np.searchsorted(positive, items, side="right") - 1, 0, None)]
