"""N-tuple networks (Bledsoe and Browning 1959; Lucas 2008): the value of a board as a sum of table entries.

Each tuple names a few cells. What stands on them (nothing, my stone, their stone) is a number in base 3, and the table
of the tuple has one weight for each number. The value is the hyperbolic tangent of the sum of the weights, over all
tuples and all symmetries of the board, which share their weights. An update changes a few hundred weights, so that a
core learns from a hundred thousand positions a second. There is one set of tables for an even and one for an odd number
of stones, because it matters who will have the last move. For Connect Four: Thill, Koch and Konen 2012.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from rl.interface import Symmetries
from rl.jit import compiled

STATES = 3
"""What a cell can hold."""


def random_tuples(height: int, width: int, count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """`count` random walks of `length` different cells, each next to the one before: int64 [count, length].

    Cells are numbered row by row. Walks over the same cells count once, as long as there are others.
    """
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    found: dict[object, list[int]] = {}
    tries = 0
    while len(found) < count:
        y, x = int(rng.integers(height)), int(rng.integers(width))
        walk = [y * width + x]
        while len(walk) < length:
            near = [
                (y + i) * width + x + j
                for i, j in steps
                if 0 <= y + i < height and 0 <= x + j < width and (y + i) * width + x + j not in walk
            ]
            if not near:
                break
            walk.append(near[rng.integers(len(near))])
            y, x = divmod(walk[-1], width)
        tries += 1
        if len(walk) == length:
            found.setdefault(tries if tries > 100 * count else frozenset(walk), walk)
    return np.array(list(found.values()), np.int64)


class TupleNetwork(nn.Module):
    """The value of boards bool [B, H, W, 2], the stones of the player to move first: float32 [B] in (-1, 1).

    weights: float32 [2, tuples, 3 ** length], by the parity of the stones; NumPy and PyTorch share it.
    """

    cells: Tensor

    def __init__(self, tuples: np.ndarray, symmetries: Symmetries) -> None:
        super().__init__()
        count, length = tuples.shape
        self.register_buffer("cells", torch.from_numpy(np.asarray(symmetries.cells)[:, tuples]))  # [S, count, length]
        self.weights = nn.Parameter(torch.zeros(2, count, STATES**length), requires_grad=False)
        self._layout = _layout(self.cells.numpy(), np.asarray(symmetries.cells).shape[1])

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """The value of the boards, the one leaf of `obs`, by PyTorch: the reference of `values`."""
        (boards,) = obs.values()
        flat = boards.flatten(1, -2)
        digits = flat[..., 0].long() + 2 * flat[..., 1].long()  # [B, cells]
        powers = STATES ** torch.arange(self.cells.shape[-1], device=digits.device)
        index = (digits[:, self.cells] * powers).sum(-1)  # [B, S, count]
        parity = flat.flatten(1).sum(1).long() % 2
        every = torch.arange(self.cells.shape[1], device=digits.device)
        return self.weights[parity[:, None, None], every, index].sum((1, 2)).tanh()

    def values(self, boards: np.ndarray) -> np.ndarray:
        """The same for bool [B, H, W, 2] by a compiled loop."""
        out = np.empty(len(boards), np.float32)
        _values(self.weights.numpy(), *self._layout, _flat(boards), out)
        return out

    def learn(self, boards: np.ndarray, targets: np.ndarray, rate: float) -> float:
        """Moves the value of each board towards its target, one after the other; returns the mean squared error.

        Each step is `rate` times the gradient of half of the squared error, divided by the number of weights in a sum:
        it takes away the share `rate` of a small error around 0.
        """
        return float(_learn(self.weights.numpy(), *self._layout, _flat(boards), targets.astype(np.float32), rate))


def _flat(boards: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(boards).reshape(len(boards), boards.shape[1] * boards.shape[2], 2)


def _layout(cells: np.ndarray, board: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For cells [S, count, length], a slot for each tuple of each symmetry: where its table begins, and who is in it.

    Cell c is in the slots[ends[c]:ends[c + 1]]; what stands there counts `powers` times in their numbers.
    """
    symmetries, count, length = cells.shape
    start = np.tile(np.arange(count) * STATES**length, symmetries)
    by_cell: list[list[tuple[int, int]]] = [[] for _ in range(board)]
    for slot, row in enumerate(cells.reshape(-1, length).tolist()):
        for place, cell in enumerate(row):
            by_cell[cell].append((slot, STATES**place))
    ends = np.cumsum([0, *map(len, by_cell)])
    slots, powers = np.array([pair for pairs in by_cell for pair in pairs], np.int64).reshape(-1, 2).T
    return start, ends, np.ascontiguousarray(slots), np.ascontiguousarray(powers)


@compiled
def _look_up(
    tables: np.ndarray,
    ends: np.ndarray,
    slots: np.ndarray,
    powers: np.ndarray,
    board: np.ndarray,
    digits: np.ndarray,
    where: np.ndarray,
) -> tuple[int, float]:
    """The parity of the stones of `board`, and its value. Moves `where`, the index of each slot's weight, to it.

    `where` and `digits` are those of the board before, or `start` and zeros.
    Positions after the moves of one position differ in few cells, so that most of the work is done for the first.
    """
    stones = 0
    for cell in range(len(board)):
        digit = 1 if board[cell, 0] else 2 if board[cell, 1] else 0
        stones += digit > 0
        change = digit - digits[cell]
        if change:
            digits[cell] = digit
            for j in range(ends[cell], ends[cell + 1]):
                where[slots[j]] += change * powers[j]
    table, total = tables[stones % 2], np.float32(0.0)
    for j in range(len(where)):
        total += table[where[j]]
    return stones % 2, np.tanh(total)


@compiled
def _values(
    weights: np.ndarray,
    start: np.ndarray,
    ends: np.ndarray,
    slots: np.ndarray,
    powers: np.ndarray,
    boards: np.ndarray,
    out: np.ndarray,
) -> None:
    tables, where = weights.reshape(2, -1), start.copy()
    digits = np.zeros(boards.shape[1], np.int64)
    for i in range(len(boards)):
        _, out[i] = _look_up(tables, ends, slots, powers, boards[i], digits, where)


@compiled
def _learn(
    weights: np.ndarray,
    start: np.ndarray,
    ends: np.ndarray,
    slots: np.ndarray,
    powers: np.ndarray,
    boards: np.ndarray,
    targets: np.ndarray,
    rate: float,
) -> float:
    tables, where, squared = weights.reshape(2, -1), start.copy(), 0.0
    digits = np.zeros(boards.shape[1], np.int64)
    for i in range(len(boards)):
        parity, value = _look_up(tables, ends, slots, powers, boards[i], digits, where)
        error = targets[i] - value
        step = np.float32(rate / len(where) * error * (1 - value * value))
        for j in range(len(where)):
            tables[parity, where[j]] += step
        squared += error * error
    return squared / max(len(boards), 1)
