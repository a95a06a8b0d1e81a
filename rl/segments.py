"""Append-only, immutable files of replay rows, which checkpoints list and resuming reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl.errors import RunError
from rl.storage import CheckpointError, check_file, failed_write, read_arrays, write_arrays


class SegmentStore:
    """The replay's rows on disk: each save adds the rows since the previous one as immutable files.

        store.extend(replay.export, replay.oldest, replay.count)
        write_checkpoint(root, step, trees, lengths, segments=store)

    Rows [start, stop) are in `segment-<start>-<stop - 1>.safetensors`. A segment stays on disk while a manifest lists
    it, so the previous checkpoint remains resumable.
    """

    PIECE = 64 << 20
    """Approximate bytes of one file."""

    def __init__(self, root: Path, records: Sequence[Mapping[str, Any]] = ()) -> None:
        """`records`: `verify(folder)["segments"]` of the checkpoint that is resumed."""
        self.folder = Path(root) / "replay"
        self.records: list[dict[str, Any]] = [dict(record) for record in records]

    @property
    def stop(self) -> int:
        """The first row that is not saved yet."""
        return self.records[-1]["stop"] if self.records else 0

    def append(self, start: int, stop: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Saves rows [start, stop), durable and re-read on return. If rows are missing before them, earlier ones go."""
        if start < self.stop or stop < start:
            raise ValueError(f"rows {start} to {stop} do not continue the segments, which end at {self.stop}")
        if start == stop:
            return
        path = self.folder / f"segment-{start:09d}-{stop - 1:09d}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failed_write(path, error) from error
        record = {"file": path.name, "start": start, "stop": stop, **write_arrays(path, arrays)}
        try:
            check_file(path, record)
        except CheckpointError as error:
            raise RunError(f"reading back the replay's rows failed: {error}") from error
        if start > self.stop:
            self.records.clear()
        self.records.append(record)

    def extend(self, export: Callable[[int, int], Mapping[str, np.ndarray]], oldest: int, count: int) -> None:
        """Saves the rows up to `count` that are not saved yet, and drops those before `oldest`.

        `export(start, stop)` returns rows as arrays. It is called piece by piece, so that a save needs little memory.
        """
        start = max(self.stop, oldest)
        if start < count:
            row = sum(array.nbytes for array in export(start, start + 1).values())
            rows = max(1, self.PIECE // max(1, row))
            for at in range(start, count, rows):
                self.append(at, min(at + rows, count), export(at, min(at + rows, count)))
        self.drop_before(oldest)

    def drop_before(self, row: int) -> None:
        """Drops the segments whose rows all lie before `row`; `write_checkpoint` removes their files."""
        self.records = [record for record in self.records if record["stop"] > row]

    def __iter__(self) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
        """(start, stop, arrays) of each segment, oldest first, one in memory at a time: `replay.restore(*segment)`."""
        for record in self.records:
            yield record["start"], record["stop"], read_arrays(self.folder / record["file"])
