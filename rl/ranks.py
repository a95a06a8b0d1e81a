"""The processes of one training, its ranks: what they send to each other, by PyTorch's collectives over gloo.

All ranks make the same calls in the same order. Sums have the same bits on every rank and in every repeat. If a rank
has ended, the others raise `RunError` at their next call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from rl.errors import InputError, RunError

JOIN_SECONDS = 60
"""Seconds within which all ranks must have found each other."""
T = TypeVar("T")


class Ranks:
    """This process among `count`; `rank` 0 writes the run's files and decides when it is saved and ends.

    store: PyTorch's store by which the ranks meet; None takes the addresses that torchrun sets in the environment.
    """

    def __init__(self, rank: int, count: int, store: Any = None) -> None:
        self.rank, self.count = rank, count
        self.await_turn: Callable[[], None] = lambda: None
        """Called before an action is chosen, which all ranks do together."""
        wait = timedelta(seconds=JOIN_SECONDS)
        try:
            dist.init_process_group("gloo", rank=rank, world_size=count, store=store, timeout=wait)
            self._group = dist.new_group(backend="gloo", timeout=timedelta(days=7))  # an evaluation may take hours
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"rank {rank} did not reach the others within {JOIN_SECONDS} s: {reason}") from error

    def part(self, count: int) -> range:
        """This rank's part of `count` numbers, in order; empty if there are fewer than ranks."""
        return range(count * self.rank // self.count, count * (self.rank + 1) // self.count)

    def sum(self, x: Tensor) -> None:
        """Replaces x by its sum over the ranks."""
        self._together(lambda: dist.all_reduce(x, group=self._group))

    def order(self, number: int = 0) -> int:
        """The number that rank 0 gives; the other ranks wait for it."""
        given = torch.tensor([number])
        self._together(lambda: dist.broadcast(given, 0, group=self._group))
        return int(given)

    def gather(self, data: np.ndarray) -> list[np.ndarray]:
        """Every rank's bytes, uint8 [K] of the same length on all of them."""
        found = [torch.empty(len(data), dtype=torch.uint8) for _ in range(self.count)]
        self._together(lambda: dist.all_gather(found, torch.from_numpy(data), group=self._group))
        return [x.numpy() for x in found]

    def gather_any(self, data: bytes) -> list[bytes]:
        """Every rank's bytes, of any lengths."""
        lengths = [int(x.view(np.int64)[0]) for x in self.gather(np.array([len(data)], np.int64).view(np.uint8))]
        padded = np.zeros(max(lengths), np.uint8)
        padded[: len(data)] = np.frombuffer(data, np.uint8)
        return [x[:length].tobytes() for x, length in zip(self.gather(padded), lengths, strict=True)]

    def join(self, part: Tensor, dim: int) -> Tensor:
        """Every rank's part, tensors of one shape and dtype, concatenated along `dim`."""
        parts = self.gather(part.contiguous().view(-1).view(torch.uint8).numpy())
        return torch.cat([torch.from_numpy(x).view(part.dtype).view(part.shape) for x in parts], dim)

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the connection."""
        dist.destroy_process_group()

    def _together(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except RuntimeError as error:
            raise RunError(f"rank {self.rank} has lost another rank, which has ended") from error
