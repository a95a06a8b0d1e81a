"""Column stores of the shared replay: a ring of T slots, each holding one row of N environments.

`RawColumn` is one array. `CompressedColumn` keeps eight consecutive rows of one environment as one zstd frame, so that
each picture is coded against those before it. On Atari that takes a third to a fifth of the memory of single frames,
and sampling costs little more, because a stack or an n-step window reads neighbouring rows. A million rows of random
play at 84x84 (7.06 GB raw) take 0.07 GB in Pong and Breakout, 0.16 to 0.30 GB in Seaquest, Montezuma, Qbert,
SpaceInvaders and MsPacman, and 0.40 GB in Enduro.

Columns are not thread-safe. Reading a slot that was never written raises IndexError.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import zstandard

from rl.errors import InputError

Store = Literal["auto", "raw", "compressed"]
BLOCK = 8
"""Rows of one environment in one zstd frame. 16 would save another quarter of the memory, and nearly double the time
to decode a sample."""
LEVEL = -1
"""zstd's level. 1 takes a tenth less memory and a quarter more time to decode; 3 to 9 save hardly more than 1."""
CHUNK = 4 << 20
"""Bytes that are allocated at a time for compressed blocks."""
AUTO_BYTES = 256 << 20
"""A uint8 column larger than this is compressed under store="auto"."""
RATIO = 12
"""The compression that `predict_bytes` assumes: 588 bytes for 84x84. Enduro, the largest measured, needs 400."""


class Column(Protocol):
    """One column of the replay: slots x environments, each entry an array of `shape` and `dtype`."""

    def write(self, slot: int, rows: np.ndarray) -> None:
        """Stores rows [N, *shape] in a slot."""

    def read(self, slots: np.ndarray, envs: np.ndarray) -> np.ndarray:
        """Entries (slots[i], envs[i]) as a fresh array [..., *shape]; `slots` and `envs` have one shape [...]."""

    @property
    def nbytes(self) -> int:
        """Memory in use, in bytes."""

    def export(self, first: int, count: int) -> dict[str, np.ndarray]:
        """`count` slots from `first` on, as arrays for a file; after the ring's last slot comes its first."""

    def restore(self, data: Mapping[str, np.ndarray]) -> None:
        """Writes the result of `export` into the same slots, of a column of the same geometry."""


def make_column(
    shape: tuple[int, ...], dtype: npt.DTypeLike, slots: int, num_envs: int, store: Store = "auto"
) -> Column:
    """A column of `slots` x `num_envs` entries; "auto" compresses uint8 columns of more than 256 MB."""
    if _resolve(shape, dtype, slots, num_envs, store) == "raw":
        return RawColumn(slots, num_envs, shape, dtype)
    return CompressedColumn(slots, num_envs, shape, dtype)


def predict_bytes(
    shape: tuple[int, ...], dtype: npt.DTypeLike, slots: int, num_envs: int, store: Store = "auto"
) -> int:
    """Memory of a full column in bytes: exact if raw; if compressed, `RATIO` is assumed."""
    raw = _raw_bytes(shape, dtype, slots, num_envs)
    return raw if _resolve(shape, dtype, slots, num_envs, store) == "raw" else raw // RATIO + CHUNK


def _raw_bytes(shape: tuple[int, ...], dtype: npt.DTypeLike, slots: int, num_envs: int) -> int:
    return slots * num_envs * math.prod(shape) * np.dtype(dtype).itemsize


def _resolve(shape: tuple[int, ...], dtype: npt.DTypeLike, slots: int, num_envs: int, store: Store) -> str:
    if store not in ("auto", "raw", "compressed"):
        raise InputError(f"store must be auto, raw or compressed, got {store!r}")
    if store != "auto":
        return store
    large = _raw_bytes(shape, dtype, slots, num_envs) > AUTO_BYTES
    return "compressed" if large and np.dtype(dtype) == np.uint8 else "raw"


class _Ring:
    """The part that both stores share: the geometry, the slots that were written, and the checks."""

    def __init__(self, slots: int, num_envs: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        if slots < 1 or num_envs < 1:
            raise InputError(f"a column needs at least one slot and one environment, got {slots} and {num_envs}")
        self.slots, self.num_envs, self.shape, self.dtype = slots, num_envs, tuple(shape), np.dtype(dtype)
        self.written = np.zeros(slots, bool)
        self._missing = slots  # slots never written; if there are none, reading checks nothing

    def _accept(self, slot: int, rows: np.ndarray) -> None:
        if rows.shape != (self.num_envs, *self.shape) or rows.dtype != self.dtype:
            raise ValueError(f"rows must be {self.dtype} {(self.num_envs, *self.shape)}, got {rows.dtype} {rows.shape}")
        if not 0 <= slot < self.slots:
            raise IndexError(f"slot {slot} is outside 0..{self.slots - 1}")
        self._mark(slot)

    def _mark(self, slot: int) -> None:
        if self._missing and not self.written[slot]:
            self.written[slot] = True
            self._missing -= 1

    def _check_written(self, slots: np.ndarray) -> None:
        if self._missing and not self.written[slots].all():
            slot = np.asarray(slots)[~self.written[slots]].flat[0]
            raise IndexError(f"slot {slot} was never written")

    def _slots(self, first: int, count: int) -> np.ndarray:
        return (first + np.arange(count)) % self.slots

    def _span(self, first: int, count: int) -> np.ndarray:
        if not 0 <= count <= self.slots:
            raise IndexError(f"{count} rows asked of a ring of {self.slots}")
        slots = self._slots(first, count)
        self._check_written(slots)
        return slots


class RawColumn(_Ring):
    """One preallocated array [T, N, *shape]; the system provides its pages when they are first written."""

    def __init__(self, slots: int, num_envs: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        super().__init__(slots, num_envs, shape, dtype)
        self._rows = np.zeros((slots, num_envs, *self.shape), self.dtype)

    def write(self, slot: int, rows: np.ndarray) -> None:
        self._accept(slot, rows)
        self._rows[slot] = rows

    def read(self, slots: np.ndarray, envs: np.ndarray) -> np.ndarray:
        self._check_written(slots)
        flat = self._rows.reshape(-1, *self.shape)  # `take` by one index is faster than by two
        return flat.take(slots * self.num_envs + envs, axis=0)

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes // self.slots * (self.slots - self._missing)

    def export(self, first: int, count: int) -> dict[str, np.ndarray]:
        """{"span": int64 [2] (first, count), "rows": [count, N, *shape]}."""
        return {"span": np.array([first, count]), "rows": self._rows[self._span(first, count)]}

    def restore(self, data: Mapping[str, np.ndarray]) -> None:
        for slot, rows in zip(self._slots(*data["span"]).tolist(), data["rows"], strict=True):
            self.write(slot, rows)


class CompressedColumn(_Ring):
    """Bit-equal to `RawColumn`, in a small part of the memory.

    The slots are divided into groups of `block`. The group being written is an array, open; a write to another group
    compresses it, one zstd frame for each environment. Opening a compressed group decodes it first, so that rows not
    yet overwritten stay readable. Rows that do not compress take 0.1% more memory than raw.
    """

    def __init__(
        self, slots: int, num_envs: int, shape: tuple[int, ...], dtype: npt.DTypeLike, block: int = BLOCK
    ) -> None:
        super().__init__(slots, num_envs, shape, dtype)
        self.block = block
        self._open = 0
        self._rows = np.zeros((num_envs, block, *self.shape), self.dtype)  # of the open group
        largest = self._rows[0].nbytes + self._rows[0].nbytes // 128 + 512  # more than zstd makes of random bytes
        chunk = min(CHUNK, _raw_bytes(shape, dtype, slots, num_envs) // 64)
        self._blobs = _Arena(-(-slots // block) * num_envs, max(chunk, 16 * largest))
        self._encoder = zstandard.ZstdCompressor(level=LEVEL)
        self._decoder = zstandard.ZstdDecompressor()

    def write(self, slot: int, rows: np.ndarray) -> None:
        self._accept(slot, rows)
        group, row = divmod(slot, self.block)
        if group != self._open:
            self._enter(group)
        self._rows[:, row] = rows

    def read(self, slots: np.ndarray, envs: np.ndarray) -> np.ndarray:
        self._check_written(slots)
        group, row = np.divmod(slots, self.block)
        entry = (group * self.num_envs + envs).ravel()
        order = np.argsort(entry, kind="stable")  # by block, so that each block is decoded once
        out = np.empty((entry.size, *self.shape), self.dtype)
        held = -1
        for where, one, r in zip(order.tolist(), entry[order].tolist(), row.ravel()[order].tolist(), strict=True):
            if one != held:
                block, held = self._block(one), one
            out[where] = block[r]
        return out.reshape(*slots.shape, *self.shape)

    @property
    def nbytes(self) -> int:
        return self._blobs.nbytes + self._rows.nbytes + self.written.nbytes

    def export(self, first: int, count: int) -> dict[str, np.ndarray]:
        """{"span": int64 [2] (first, count), "size": int64 [G, N], "blob": uint8 [size.sum()]}: the zstd frames of the
        span's G groups. The groups at both ends may have rows outside the span too, which `restore` ignores."""
        groups = [group for group, _ in self._passes(self._span(first, count))]
        blobs = [self._blob(entry) for group in groups for entry in self._entries(group)]
        size = np.array([len(blob) for blob in blobs], np.int64).reshape(-1, self.num_envs)
        return {"span": np.array([first, count]), "size": size, "blob": np.frombuffer(b"".join(blobs), np.uint8)}

    def restore(self, data: Mapping[str, np.ndarray]) -> None:
        """Stores the frames of whole groups; decodes groups that the span covers in part, and writes their rows."""
        blobs = np.split(data["blob"], np.cumsum(data["size"]))
        for i, (group, rows) in enumerate(self._passes(self._slots(*data["span"]))):
            mine = blobs[i * self.num_envs : (i + 1) * self.num_envs]
            if len(rows) == min(self.block, self.slots - group * self.block):
                if group == self._open:
                    self._open = -1
                for entry, blob in zip(self._entries(group), mine, strict=True):
                    self._blobs.put(entry, blob)
                for row in rows:
                    self._mark(group * self.block + row)
            else:
                blocks = np.stack([self._decode(blob) for blob in mine])
                for row in rows:
                    self.write(group * self.block + row, blocks[:, row])

    def _passes(self, slots: np.ndarray) -> Iterator[tuple[int, list[int]]]:
        """(group, its rows) for each run of slots within one group."""
        group, row = np.divmod(slots, self.block)
        for run in np.split(np.arange(len(slots)), np.flatnonzero(np.diff(group)) + 1):
            if len(run):
                yield int(group[run[0]]), row[run].tolist()

    def _entries(self, group: int) -> range:
        return range(group * self.num_envs, (group + 1) * self.num_envs)

    def _enter(self, group: int) -> None:
        """Compresses the open group and opens another."""
        if self._open >= 0:
            for entry in self._entries(self._open):
                self._blobs.put(entry, self._blob(entry))
        for env, entry in enumerate(self._entries(group)):
            blob = self._blobs.get(entry)
            self._rows[env] = 0 if blob is None else self._decode(blob)
        self._open = group

    def _block(self, entry: int) -> np.ndarray:
        """The rows of one group and environment, [block, *shape], read-only."""
        group, env = divmod(entry, self.num_envs)
        return self._rows[env] if group == self._open else self._decode(self._blobs.get(entry))

    def _blob(self, entry: int) -> Any:
        group, env = divmod(entry, self.num_envs)
        return self._encoder.compress(self._rows[env]) if group == self._open else self._blobs.get(entry)

    def _decode(self, blob: Any) -> np.ndarray:
        return np.frombuffer(self._decoder.decompress(blob), self.dtype).reshape(self.block, *self.shape)


class _Arena:
    """Blobs by entry number, appended to chunks of memory; a chunk is reused when all its blobs were replaced.

    A ring replaces blobs in order of age, so at most one chunk is wasted, and there are no small objects.
    """

    def __init__(self, entries: int, chunk: int) -> None:
        self.chunk = chunk
        self._place = np.zeros((entries, 3), np.uint32)  # chunk, offset and size; size 0: no blob
        self._chunks: list[memoryview] = []
        self._live: list[int] = []  # blobs in use, by chunk
        self._spare: list[int] = []  # chunks without any
        self._head, self._fill = -1, chunk  # the chunk that is appended to, and its bytes in use

    @property
    def nbytes(self) -> int:
        return len(self._chunks) * self.chunk + self._place.nbytes

    def put(self, entry: int, blob: Any) -> None:
        where, _, size = self._place[entry].tolist()
        if size:
            self._live[where] -= 1
            if not self._live[where] and where != self._head:
                self._spare.append(where)
        if self._fill + len(blob) > self.chunk:
            self._turn()
        self._chunks[self._head][self._fill : self._fill + len(blob)] = blob
        self._place[entry] = self._head, self._fill, len(blob)
        self._live[self._head] += 1
        self._fill += len(blob)

    def get(self, entry: int) -> memoryview | None:
        where, offset, size = self._place[entry].tolist()
        return self._chunks[where][offset : offset + size] if size else None

    def _turn(self) -> None:
        if self._head >= 0 and not self._live[self._head]:
            self._spare.append(self._head)
        if not self._spare:
            self._spare.append(len(self._chunks))
            self._chunks.append(np.empty(self.chunk, np.uint8).data)
            self._live.append(0)
        self._head, self._fill = self._spare.pop(), 0
