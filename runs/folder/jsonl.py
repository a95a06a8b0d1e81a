"""Files of one JSON object a line, written so that a crash leaves only whole lines."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import failed_write, parse_json, plain, write_atomic
from runs.folder.lock import FileLock


class JsonlWriter:
    """Appends JSON objects to a file, a line each, visible to readers when `write` returns.

    A line that was written only in part is removed again, so the file always ends with a whole line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self.length = 0
        """Bytes of whole lines."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends `record`; NumPy and torch numbers are read here. Raises `RunError` if the disk is full."""
        line = (json.dumps(plain(record), allow_nan=False) + "\n").encode()
        descriptor = self._open()
        try:
            part = memoryview(line)
            while len(part):
                part = part[os.write(descriptor, part) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, self.length)
            raise failed_write(self.path, error) from error
        self.length += len(line)

    def sync(self) -> int:
        """Brings the lines to the disk; returns how many bytes they are."""
        descriptor = self._open()
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise failed_write(self.path, error) from error
        return self.length

    def truncate(self, length: int) -> None:
        """Cuts the file to `length` bytes, and to whole lines."""
        self.close()
        if self.path.exists():
            with open(self.path, "r+b") as file:
                file.truncate(min(length, self.path.stat().st_size))
        self._open()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            try:
                self._descriptor = os.open(self.path, flags, 0o666)
                self.length = _whole_lines(self.path)
                os.ftruncate(self._descriptor, self.length)
            except OSError as error:
                raise failed_write(self.path, error) from error
        return self._descriptor


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a jsonl file, none if it does not exist. An incomplete last line is left out.

    A line is incomplete while it is written, and after a kill. Raises `InputError` that names any other bad line.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            record = parse_json(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number} is no JSON: {error}") from error
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number} is no object")
        records.append(record)
    return records


def write_line(path: Path, line: Mapping[str, Any], key: Sequence[str]) -> None:
    """Replaces the line with the same values at `key`, or appends `line`. Creates the folder.

    Atomic: readers see the old or the new file. Several processes may write at once; each waits for the others, a
    minute at most.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), wait=60)
    try:
        lines = read_jsonl(path)
        same = [i for i, old in enumerate(lines) if all(old.get(k) == line.get(k) for k in key)]
        at = same[0] if same else len(lines)
        lines[at : at + 1] = [dict(line)]
        write_atomic(path, "".join(json.dumps(each, allow_nan=False) + "\n" for each in lines).encode())
    finally:
        lock.release()


def bytes_up_to(path: Path, start: int, step: int) -> int:
    """Bytes of the whole lines from `start` on that are not of a later step."""
    if not path.exists():
        return 0
    count = 0
    for line in path.read_bytes()[start:].splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or parse_json(line)["step"] > step:
                break
        except (ValueError, KeyError, TypeError):
            break
        count += len(line)
    return count


def _whole_lines(path: Path) -> int:
    """Bytes up to and with the last newline."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            end = start
    return 0
