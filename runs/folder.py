"""The run folder: what a run leaves behind, with one writer, and whole after any kill (docs/design.md).

    with RunFolder.create(out, default_name("CartPole-v1", "dqn", seed=0)) as folder:   # gone again if nothing starts
        folder.write_info({...})                        # run.json
        folder.begin()
        folder.metrics.write({"step": 1000, "train/loss": 0.1})

    with RunFolder.open(path) as folder:                # resume
        folder.truncate_to(manifest["lengths"], manifest["step"])

run.json, metrics.jsonl, episodes.jsonl and evaluations.jsonl are strict JSON: what is not finite is null. The local
files are the truth; W&B, the progress bar, the viewer and the report are readers of them.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from rl.checkpoint import newest_good, sweep, verify
from rl.errors import InputError
from rl.secrets import redact
from rl.storage import failed_write, parse_json, plain, read_json, write_json
from runs.listing import recipe_names
from runs.trust import signature

log = logging.getLogger(__name__)

OUT = Path("runs/out")
"""Where runs live that were not given a place."""

JSONL = ("metrics", "episodes", "evaluations")
RECENT = 100
"""Finished training episodes that `train/return` and `train/length` are the means of."""


def default_name(env: str, agent: str, seed: int) -> str:
    """`<env>_<agent>_s<seed>_<time>`, characters outside [A-Za-z0-9.-] of each part replaced by `-`."""
    parts = [env, agent, f"s{seed}", time.strftime("%Y%m%d-%H%M%S")]
    return "_".join(re.sub(r"[^A-Za-z0-9.-]", "-", part) for part in parts)


class JsonlWriter:
    """Appends JSON objects to a file, a line each, visible to readers when `write` returns.

    A line that the disk takes only in part is taken back, so the file always ends with a whole line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self.length = 0
        """Bytes of whole lines."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends `record`; NumPy and torch numbers are read here. Raises `RunError` where the disk is full."""
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
    """The objects of a jsonl file, none where it does not exist; a torn last line is left out.

    A line is torn while it is written, and by a kill. Raises `InputError` naming any other line that is no JSON.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            records.append(parse_json(line))
        except ValueError as error:
            raise InputError(f"{path}, line {number} is no JSON: {error}") from error
    return records


class RunFolder:
    """One run's folder, locked by this process until `close`. Make it by `create` or `open`."""

    def __init__(self, path: Path, lock: FileLock, created: list[Path]) -> None:
        self.path = path
        self.metrics, self.episodes, self.evaluations = (JsonlWriter(path / f"{name}.jsonl") for name in JSONL)
        self._lock = lock
        self._created = created  # folders to take away again if nothing starts, innermost first
        self._begun = False

    @classmethod
    def create(cls, out: Path | str | None, name: str = "run") -> Self:
        """A new folder: `out` itself, or `name` under `runs/out` where it is None (then made unique by a number).

        Raises `InputError` where `out` is occupied or cannot be made. An empty folder may be given.
        """
        if out is None:
            path, number = OUT / name, 1
            while path.exists():
                number += 1
                path = OUT / f"{name}-{number}"
        else:
            path = Path(out)
        created = _make(path)
        try:
            lock = FileLock(path / ".lock")
            occupants = sorted(p.name for p in path.iterdir() if p.name != ".lock")
            if occupants:
                lock.release(remove=True)
                saved = "run.json" in occupants and any((path / "checkpoints").glob("step-*"))
                mend = f"`rl resume {path}` continues it" if saved else "empty it"
                raise InputError(f"--out {path} is occupied (it holds {occupants[0]}): name another folder, or {mend}")
        except OSError as error:
            _remove(created)
            raise InputError(f"--out {path} cannot be written: {error.strerror}; name another folder") from error
        return cls(path, lock, created)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """An existing run, to go on writing. Leftovers of a killed process are swept away.

        Raises `InputError` where it is no run folder, or another process writes it.
        """
        path = Path(path)
        if not (path / "run.json").exists():
            raise InputError(f"{path} is no run folder: it has no run.json")
        try:
            folder = cls(path, FileLock(path / ".lock"), [])
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
        folder._begun = True
        sweep(path)
        return folder

    def begin(self) -> None:
        """From now on the folder stays, whatever happens."""
        self._begun = True

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Writes run.json without secrets, signed if its recipe names the user's own code (see `runs.trust`)."""
        unsigned = {name: value for name, value in info.items() if name != "signature"}
        write_json(self.path / "run.json", redact(plain(unsigned)) | signature(info.get("recipe")))

    def read_info(self) -> dict[str, Any]:
        return read_json(self.path / "run.json")

    def lengths(self) -> dict[str, int]:
        """Bytes of each jsonl file, now on the disk: for the manifest of a checkpoint."""
        return {f"{name}.jsonl": getattr(self, name).sync() for name in JSONL}

    def truncate_to(self, lengths: Mapping[str, int], step: int) -> list[str]:
        """Takes back the lines written after the checkpoint of `step`; one line for each file that lost some before it.

        An evaluation of that very step stays: it was of the checkpoint's policy, written after it.
        """
        remarks = []
        for name in JSONL:
            writer: JsonlWriter = getattr(self, name)
            length = lengths.get(f"{name}.jsonl", 0)
            if name == "evaluations":
                length += _bytes_up_to(writer.path, length, step)
            writer.truncate(length)
            if writer.length < length:
                remarks.append(f"{writer.path} is shorter than the checkpoint says: lines are missing from it")
        return remarks

    def close(self) -> None:
        """Closes the files and gives the lock back. Where nothing began, the folder is taken away again."""
        for name in JSONL:
            getattr(self, name).close()
        if self._begun:
            self._lock.release()
            return
        self._lock.release(remove=True)
        for path in self.path.iterdir():  # was empty when it became ours
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        _remove(self._created)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Located(NamedTuple):
    """What a RUN argument names."""

    run: Path | None
    """The run folder; None for a checkpoint that lies alone."""
    checkpoint: Path
    manifest: dict[str, Any]
    skipped: list[str]
    """One line for each newer checkpoint that is damaged."""


def resolve(run: Path | str, replay: bool = False) -> Located:
    """The checkpoint that RUN names: itself, or the newest good one of a run folder.

    `replay`: whether the replay's rows must be good too, as `rl resume` needs. Raises `InputError` in one line.
    """
    path = Path(run)
    path = path.parent if path.name == "run.json" else path
    look: Literal["hash", "skip"] = "hash" if replay else "skip"
    if not path.exists():
        names = [p.name for p in OUT.iterdir() if p.is_dir()] if OUT.is_dir() else []
        near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
        mend = f"did you mean {OUT / near[0]}?" if near else "no such folder"
        if str(run) in recipe_names():
            mend = f"that is a recipe, `rl train {run}` makes a run of it"
        raise InputError(f"no run at {run}: {mend}")
    if (path / "manifest.json").exists():
        outer = path.resolve().parent.parent
        alone = not (outer / "run.json").exists()
        if alone and replay:
            raise InputError(f"{path} is a checkpoint alone: resuming needs the run folder with its replay")
        return Located(None if alone else outer, path, verify(path, look), [])
    if not (path / "run.json").exists() and not (path / "checkpoints").exists():
        raise InputError(f"{run} is neither a run folder (no run.json) nor a checkpoint (no manifest.json)")
    checkpoint, skipped = newest_good(path, look)
    return Located(path, checkpoint, verify(checkpoint, "skip"), skipped)


class FileLock:
    """An advisory lock of the operating system, gone with the process however it dies; the file holds the owner's pid.

    A record lock belongs to the process, so environment workers forked from it do not keep it alive as `flock` would.
    Such locks do not see a second one in the same process: `_HELD` does.
    """

    _HELD: set[Path] = set()  # noqa: RUF012
    _BYTE = 1 << 20  # locked: beyond the pid, which on Windows could not be read by others otherwise

    def __init__(self, path: Path) -> None:
        """Raises `InputError` naming the process that holds it."""
        self.path = path.resolve()
        if self.path in self._HELD:
            raise InputError(f"{path.parent} is already being written by this process ({os.getpid()})")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._acquire()
        except (BlockingIOError, PermissionError):
            owner = os.read(self._descriptor, 200).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise InputError(
                f"{path.parent} is being written by process {owner}: wait for it to end, or stop it"
            ) from None
        except OSError as error:  # a network file system without locks
            log.warning("%s cannot be locked (%s): make sure that no other process writes it", path.parent, error)
        self._HELD.add(self.path)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self, remove: bool = False) -> None:
        if self.path not in self._HELD:
            return
        os.close(self._descriptor)
        self._HELD.discard(self.path)
        if remove:
            self.path.unlink(missing_ok=True)

    def _acquire(self) -> None:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(self._descriptor, self._BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(self._descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._BYTE)


def _make(path: Path) -> list[Path]:
    """Makes a folder with its parents; returns those that were not there, innermost first."""
    missing = [p for p in (path, *path.parents) if not os.path.exists(p)]  # never raises, unlike Path.exists
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove(missing)
        reason = "it is a file" if os.path.exists(path) else error.strerror
        raise InputError(f"--out {path} cannot be made: {reason}; name another folder") from error
    return missing


def _remove(folders: list[Path]) -> None:
    """Removes folders, innermost first, as far as they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _bytes_up_to(path: Path, start: int, step: int) -> int:
    """Bytes of the whole lines from `start` on that are not of a later step."""
    if not path.exists():
        return 0
    count = 0
    for line in path.read_bytes()[start:].splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
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
