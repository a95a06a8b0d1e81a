"""N-tuple networks (Bledsoe and Browning 1959; Lucas 2008): the value of a board as a sum of table entries.

Each tuple names a few cells. What stands on them (nothing, my stone, their stone) is a number in base 3, and the table
of the tuple has one weight for each number. The value is the hyperbolic tangent of the sum of the weights, over all
tuples and all symmetries of the board, which share their weights. An update changes a few hundred weights, so that a
core learns from a hundred thousand positions a second. There is one set of tables for an even and one for an odd number
of stones, because it matters who will have the last move. For Connect Four: Thill, Koch and Konen 2012.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rl.interface import Symmetries
from rl.jit import compiled
from rl.tuples import STATES, Net, move_to, total

STRAIGHT = 0.75
"""Share of the steps in which a walk keeps its direction, where it can."""


def random_tuples(height: int, width: int, count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """`count` random walks of `length` different cells, each next to the one before: int64 [count, length].

    A walk keeps its direction where it can, in `STRAIGHT` of its steps: these games are about lines. Cells are numbered
    row by row. Walks over the same cells count once, as long as there are others.
    """
    steps = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    found: dict[object, list[int]] = {}
    tries = 0
    while len(found) < count:
        y, x = int(rng.integers(height)), int(rng.integers(width))
        walk, step = [y * width + x], steps[rng.integers(len(steps))]
        while len(walk) < length:
            near = [
                (i, j)
                for i, j in steps
                if 0 <= y + i < height and 0 <= x + j < width and (y + i) * width + x + j not in walk
            ]
            if not near:
                break
            if step not in near or rng.random() >= STRAIGHT:
                step = near[rng.integers(len(near))]
            y, x = y + step[0], x + step[1]
            walk.append(y * width + x)
        tries += 1
        if len(walk) == length:
            found.setdefault(tries if tries > 100 * count else frozenset(walk), walk)
    return np.array(list(found.values()), np.int64)


class TupleNetwork(nn.Module):
    """The value of positions uint64 [B, 2]: float32 [B] in (-1, 1), for the player to move.

    A position is two sets of cells: the stones of the player to move, and those of the opponent. weights: float32
    [2, tuples, 3 ** length], by the parity of the stones; NumPy and PyTorch share it.
    """

    cells: Tensor

    def __init__(self, tuples: np.ndarray, symmetries: Symmetries, bits: np.ndarray) -> None:
        """bits: the bit of each cell, in the order in which `tuples` and `symmetries` number the cells."""
        super().__init__()
        count, length = tuples.shape
        self.register_buffer("cells", torch.from_numpy(np.asarray(symmetries.cells)[:, tuples]))  # [S, count, length]
        self.weights = nn.Parameter(torch.zeros(2, count, STATES**length), requires_grad=False)
        self._bits = np.uint64(1) << np.asarray(bits, np.uint64)
        self._lay_out()
        self.register_load_state_dict_post_hook(TupleNetwork._lay_out)  # the tuples are then those that were saved

    def _lay_out(self, *_: Any) -> None:
        self._layout = (*_layout(self.cells.numpy(), len(self._bits)), self._bits)

    @property
    def net(self) -> Net:
        """For the compiled loops, with the weights' own memory."""
        return Net(self.weights.numpy().reshape(2, -1), *self._layout)

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """The value of boards bool [B, H, W, 2], the one leaf of `obs`, by PyTorch: the reference of `values`."""
        (boards,) = obs.values()
        flat = boards.flatten(1, -2)
        digits = flat[..., 0].long() + 2 * flat[..., 1].long()  # [B, cells]
        powers = STATES ** torch.arange(self.cells.shape[-1], device=digits.device)
        index = (digits[:, self.cells] * powers).sum(-1)  # [B, S, count]
        parity = flat.flatten(1).sum(1).long() % 2
        every = torch.arange(self.cells.shape[1], device=digits.device)
        return self.weights[parity[:, None, None], every, index].sum((1, 2)).tanh()

    def values(self, positions: np.ndarray) -> np.ndarray:
        """The same for uint64 [B, 2] by a compiled loop."""
        out = np.empty(len(positions), np.float32)
        _values(self.net, positions, out)
        return out

    def learn(self, positions: np.ndarray, targets: np.ndarray, rate: float) -> float:
        """Moves the value of each position towards its target, one after the other; returns the mean squared error.

        Each step is `rate` times the gradient of half of the squared error, divided by the number of weights in a sum:
        it takes away the share `rate` of a small error around 0.
        """
        return float(_learn(self.net, positions, targets.astype(np.float32), rate))


def _layout(cells: np.ndarray, board: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`start`, `ends`, `slots` and `powers` of a `Net`, for tuples that name the `cells` [S, count, length]."""
    symmetries, count, length = cells.shape
    start = np.tile(np.arange(count, dtype=np.int32) * STATES**length, symmetries)
    by_cell: list[list[tuple[int, int]]] = [[] for _ in range(board)]
    for slot, row in enumerate(cells.reshape(-1, length).tolist()):
        for place, cell in enumerate(row):
            by_cell[cell].append((slot, STATES**place))
    ends = np.cumsum([0, *map(len, by_cell)])
    slots, powers = np.array([pair for pairs in by_cell for pair in pairs], np.int32).reshape(-1, 2).T
    return start, ends, np.ascontiguousarray(slots), np.ascontiguousarray(powers)


@compiled
def _values(net: Any, positions: np.ndarray, out: np.ndarray) -> None:
    where, digits = net.start.copy(), np.zeros(len(net.bits), np.int8)
    for i in range(len(positions)):
        table = net.tables[move_to(net, positions[i, 0], positions[i, 1], digits, where)]
        out[i] = np.tanh(total(table, where))


@compiled
def _learn(net: Any, positions: np.ndarray, targets: np.ndarray, rate: float) -> float:
    tables, where, squared = net.tables, net.start.copy(), 0.0
    digits = np.zeros(len(net.bits), np.int8)
    for i in range(len(positions)):
        table = tables[move_to(net, positions[i, 0], positions[i, 1], digits, where)]
        value = np.tanh(total(table, where))
        error = targets[i] - value
        step = np.float32(rate / len(where) * error * (1 - value * value))
        for j in range(len(where)):
            table[where[j]] += step
        squared += error * error
    return squared / max(len(positions), 1)
