"""The run folder: the files of a run, with one writer, and complete after any kill (docs/architecture.md).

    with RunFolder.create(out, default_name("CartPole-v1", "dqn", seed=0)) as folder:   # gone again if nothing starts
        folder.write_info({...})                        # run.json
        folder.begin()
        folder.metrics.write({"step": 1000, "train/loss": 0.1})

    with RunFolder.open(path) as folder:                # resume
        folder.truncate_to(manifest["lengths"], manifest["step"])

run.json, metrics.jsonl, episodes.jsonl and evaluations.jsonl are strict JSON: non-finite numbers are null. The local
files are the truth; W&B, the progress bar, the viewer and the report read them.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from rl.checkpoint import newest_good, sweep, verify
from rl.errors import InputError
from rl.redact import redact
from rl.storage import plain, read_json, write_json
from runs.folder.jsonl import JsonlWriter, bytes_up_to
from runs.folder.lock import FileLock
from runs.folder.places import OUT
from runs.folder.provenance import quoted
from runs.folder.trust import signature
from runs.recipe import recipe_names

JSONL = ("metrics", "episodes", "evaluations")

GENERATIONS = "generations"
"""Folder, within that of a run, with the agents of earlier steps, which `checkpoints/` no longer keeps."""
RECENT = 100
"""Finished training episodes that `train/return` and `train/length` are the means of."""


def default_name(env: str, agent: str, seed: int) -> str:
    """`<env>_<agent>_s<seed>_<time>`, characters outside [A-Za-z0-9.-] of each part replaced by `-`."""
    parts = [env, agent, f"s{seed}", time.strftime("%Y%m%d-%H%M%S")]
    return "_".join(re.sub(r"[^A-Za-z0-9.-]", "-", part) for part in parts)


class RunFolder:
    """One run's folder, locked by this process until `close`. Make it by `create` or `open`."""

    def __init__(self, path: Path, lock: FileLock, created: list[Path]) -> None:
        self.path = path
        self.metrics, self.episodes, self.evaluations = (JsonlWriter(path / f"{name}.jsonl") for name in JSONL)
        self._lock = lock
        self._created = created  # folders to remove again if nothing starts, innermost first
        self._begun = False

    @classmethod
    def create(cls, out: Path | str | None, name: str = "run") -> Self:
        """A new folder: `out` itself, or `name` under `runs/out` if it is None (then made unique by a number).

        Raises `InputError` if `out` is occupied or cannot be made. An empty folder may be given.
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
            locked_before = (path / ".lock").exists()
            lock = FileLock(path / ".lock")
            occupants = sorted(p.name for p in path.iterdir() if p.name != ".lock")
            if occupants:
                lock.release(remove=not locked_before)
                saved = "run.json" in occupants and any((path / "checkpoints").glob("step-*"))
                mend = f"`{quoted(['rl', 'resume', path.as_posix()])}` continues it" if saved else "empty it"
                raise InputError(f"--out {path} is occupied (it holds {occupants[0]}): name another folder, or {mend}")
        except OSError as error:
            _remove(created)
            raise InputError(f"--out {path} cannot be written: {error.strerror}; name another folder") from error
        return cls(path, lock, created)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """An existing run, to continue it. Removes what a killed process left half-written.

        Raises `InputError` if it is no run folder, or another process writes it.
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
        """Keeps the folder from now on, also if the training fails."""
        self._begun = True

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Writes run.json without secrets, signed if its recipe names the user's own code (see `runs.folder.trust`)."""
        unsigned = {name: value for name, value in info.items() if name != "signature"}
        write_json(self.path / "run.json", redact(plain(unsigned)) | signature(info.get("recipe")))

    def read_info(self) -> dict[str, Any]:
        return read_json(self.path / "run.json")

    def lengths(self) -> dict[str, int]:
        """Syncs each jsonl file to the disk and returns its length in bytes, for the manifest of a checkpoint."""
        return {f"{name}.jsonl": getattr(self, name).sync() for name in JSONL}

    def truncate_to(self, lengths: Mapping[str, int], step: int) -> list[str]:
        """Removes the lines after the checkpoint of `step`; returns a remark for each file that lacks earlier lines.

        An evaluation of the same step stays: it evaluated the checkpoint's policy, but was written after it.
        """
        remarks = []
        for name in JSONL:
            writer: JsonlWriter = getattr(self, name)
            length = lengths.get(f"{name}.jsonl", 0)
            if name == "evaluations":
                length += bytes_up_to(writer.path, length, step)
            writer.truncate(length)
            if writer.length < length:
                remarks.append(f"{writer.path} is shorter than at the checkpoint: lines are missing from it")
        return remarks

    def close(self) -> None:
        """Closes the files and releases the lock. Removes the folder if the training never began."""
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
    """The run and checkpoint that a RUN argument names."""

    run: Path | None
    """The run folder; None for a checkpoint outside a run folder."""
    checkpoint: Path
    manifest: dict[str, Any]
    skipped: list[str]
    """One line for each newer checkpoint that is damaged."""


def resolve(run: Path | str, replay: bool = False) -> Located:
    """The checkpoint that RUN names: itself, or the newest good one of a run folder.

    `replay`: whether the replay's rows must be good too, as `rl resume` needs. Raises `InputError`.
    """
    path = Path(run)
    path = path.parent if path.name == "run.json" else path
    check: Literal["hash", "skip"] = "hash" if replay else "skip"
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
        return Located(None if alone else outer, path, verify(path, check), [])
    if not (path / "run.json").exists() and not (path / "checkpoints").exists():
        raise InputError(f"{run} is neither a run folder (no run.json) nor a checkpoint (no manifest.json)")
    checkpoint, skipped = newest_good(path, check)
    manifest = verify(checkpoint, "skip")
    if replay and "learner.json" not in manifest["files"]:
        raise InputError(
            f"{path} was shared without optimizer and replay: it can be watched, evaluated and played, but not "
            f"resumed; `rl train {path / 'run.json'}` starts it anew"
        )
    return Located(path, checkpoint, manifest, skipped)


def _make(path: Path) -> list[Path]:
    """Makes a folder with its parents; returns the new ones, innermost first."""
    missing = [p for p in (path, *path.parents) if not os.path.exists(p)]  # never raises, unlike Path.exists
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove(missing)
        reason = "it is a file" if os.path.exists(path) else error.strerror
        raise InputError(f"--out {path} cannot be made: {reason}; name another folder") from error
    return missing


def _remove(folders: list[Path]) -> None:
    """Removes the folders that are empty, innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
