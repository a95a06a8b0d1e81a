"""The compiled sums of an n-tuple network (`rl.networks.tuples`), for its loops and for searches; without PyTorch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rl.jit import compiled

STATES = 3
"""What a cell can hold."""
Cursors = tuple[np.ndarray, np.ndarray]
"""int8 [C, cells], int32 [C, slots]: what stands on each cell of C boards, and the index of each slot's weight.

From there, the next position takes as much work as there are cells that differ.
"""


class Net(NamedTuple):
    """What the compiled loops read of a network. A slot is a tuple under one of the symmetries."""

    tables: np.ndarray  # float32 [2, W]
    start: np.ndarray  # int32 [slots]: the index of its weight on an empty board
    ends: np.ndarray  # int64 [cells + 1]
    slots: np.ndarray  # int32: cell c is in slots[ends[c]:ends[c + 1]]
    powers: np.ndarray  # int32: what stands on the cell counts so much in the index
    bits: np.ndarray  # uint64 [cells]

    def cursors(self, count: int) -> Cursors:
        """So many empty boards."""
        return np.zeros((count, len(self.bits)), np.int8), np.tile(self.start, (count, 1))


@compiled
def move_to(net: Any, mine: Any, theirs: Any, digits: np.ndarray, where: np.ndarray) -> Any:
    """The parity of the stones. Moves `where`, the index of each slot's weight, to the position.

    `digits` and `where` are a cursor: those of the position before.
    """
    bits, ends, slots, powers = net.bits, net.ends, net.slots, net.powers
    stones = 0
    for cell in range(len(bits)):
        digit = 1 if mine & bits[cell] else 2 if theirs & bits[cell] else 0
        stones += digit > 0
        change = np.int32(digit - digits[cell])
        if change:
            digits[cell] = digit
            for j in range(ends[cell], ends[cell + 1]):
                where[slots[j]] += change * powers[j]
    return stones % 2


@compiled
def total(table: np.ndarray, where: np.ndarray) -> Any:
    """The sum of the weights at `where`."""
    a = b = c = d = np.float32(0.0)  # four sums at once: an addition waits for the one before
    for j in range(0, len(where) - 3, 4):
        a += table[where[j]]
        b += table[where[j + 1]]
        c += table[where[j + 2]]
        d += table[where[j + 3]]
    for j in range(len(where) // 4 * 4, len(where)):
        a += table[where[j]]
    return (a + b) + (c + d)


@compiled
def gain(net: Any, table: np.ndarray, where: np.ndarray, stone: Any) -> Any:
    """By how much the sum grows with an opponent's `stone` on a cell that is empty at `where`."""
    slots, powers = net.slots, net.powers
    after = before = np.float32(0.0)
    for cell in range(len(net.bits)):
        if net.bits[cell] == stone:
            for j in range(net.ends[cell], net.ends[cell + 1]):
                k = where[slots[j]]
                after += table[k + 2 * powers[j]]
                before += table[k]
    return after - before
