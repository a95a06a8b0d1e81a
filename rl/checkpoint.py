"""Saving a run so that no kill, full disk or flipped bit loses more than the last save interval.

    write_checkpoint(root, step, {"agent": agent.state_dict(), "trainer": ...}, lengths=folder.lengths())
    folder, skipped = newest_good(root)
    agent.load_state_dict(load_tree(folder, "agent"))

Under the run folder `root`:

    checkpoints/step-000050000/   <tree>.json + <tree>.safetensors for each tree, manifest.json
    replay/segment-<first row>-<last row>.safetensors   immutable rows, named by the manifests that need them

A checkpoint is written into a folder beside its final place: first the trees, then the manifest (size and SHA-256 of
every file). It is re-read and renamed, and only then are older ones removed. So the disk holds a whole checkpoint at
every moment. Files whose names begin with a dot are leftovers, which `sweep` removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import reprlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from rl import storage
from rl.errors import InputError, RunError
from rl.redact import redact
from rl.segments import SegmentStore as SegmentStore
from rl.storage import SCHEMA, Tree, check_file, failed_write, plain, read_json, rename, save_tree, write_json
from rl.storage import CheckpointError as CheckpointError

_NAME = re.compile(r"step-(\d+)|\.step-(\d+)\.old")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
"""A file name without folder, drive or control character, which is never `..`."""


def checkpoint_path(root: Path, step: int) -> Path:
    """The folder of the checkpoint of `step`, in the run folder `root`."""
    return Path(root) / "checkpoints" / f"step-{step:09d}"


def checkpoints(root: Path) -> dict[int, Path]:
    """The checkpoint folders of a run by step, oldest first, good or not."""
    found: dict[int, Path] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted((Path(root) / "checkpoints").iterdir(), reverse=True):  # "step-..." before ".step-....old"
            if match := _NAME.fullmatch(path.name):
                found.setdefault(int(match[1] or match[2]), path)
    return dict(sorted(found.items()))


def write_checkpoint(
    root: Path,
    step: int,
    trees: Mapping[str, Tree],
    lengths: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
    *,
    segments: SegmentStore | None = None,
    keep: int = 2,
    kept: Callable[[int], bool] | Iterable[int] = (),
) -> Path:
    """Saves `trees` as the checkpoint of `step`, re-reads it, then removes older ones. Returns its folder.

    Args:
        lengths: bytes of each jsonl file at this step.
        extra: JSON for the manifest; secrets are taken out.
        segments: the replay rows that this checkpoint needs. Segments that no checkpoint needs are removed.
        keep: how many of the newest checkpoints stay.
        kept: steps whose checkpoints stay too.

    Raises:
        RunError: the write failed; the older checkpoints stay, and nothing half-written.
    """
    if keep < 1:
        raise InputError(f"keep must be at least 1, got {keep}")
    root = Path(root)
    final = checkpoint_path(root, step)
    new, old = final.with_name(f".{final.name}.new"), final.with_name(f".{final.name}.old")
    try:
        shutil.rmtree(new, ignore_errors=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        os.mkdir(new)
        files: dict[str, Any] = {}
        for name, tree in trees.items():
            files |= save_tree(new, name, tree)
        manifest = {
            "schema": SCHEMA,
            "step": step,
            "saved": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "files": files,
            "lengths": dict(lengths or {}),
            "segments": [] if segments is None else list(segments.records),
            "extra": redact(plain(extra or {})),
        }
        write_json(new / "manifest.json", manifest | {"sha256": _digest(manifest)})
        verify(new, replay="size")
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
            rename(final, old)
        rename(new, final)
    except OSError as error:
        raise failed_write(final, error) from error
    except CheckpointError as error:
        raise RunError(f"reading back the new checkpoint failed: {error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    _prune(root, step, keep, kept if callable(kept) else set(kept).__contains__)
    _sweep_segments(root)
    return final


def load_tree(folder: Path, name: str) -> Tree:
    """One tree of a checkpoint, checked against its manifest; the other trees and the replay may be missing."""
    folder = Path(folder)
    files = _read_manifest(folder)["files"]
    extra = f"{name}.safetensors"
    if extra not in files and (folder / extra).exists():
        raise CheckpointError(f"{folder / extra} is foreign: the manifest does not name it")
    if f"{name}.json" not in files:
        raise CheckpointError(f"{folder} has no {name!r}: it holds {', '.join(sorted({Path(f).stem for f in files}))}")
    for file in (f"{name}.json", f"{name}.safetensors"):
        if file in files:
            check_file(folder / file, files[file])
    return storage.load_tree(folder, name)


@contextlib.contextmanager
def putting_back(folder: Path) -> Iterator[None]:
    """Raises `CheckpointError` if loading a checkpoint's trees inside fails because they do not fit.

    The files are whole, so another version of this code wrote them, or the user's own code has changed.
    """
    try:
        yield
    except (KeyError, RuntimeError) as error:
        if isinstance(error, RunError):
            raise
        what = f"has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder} does not fit: {what}; go on with the version that wrote it, run.json names its commit"
        ) from error


def verify(folder: Path, replay: Literal["skip", "size", "hash"] = "hash") -> dict[str, Any]:
    """The manifest of a checkpoint. Raises `CheckpointError` unless every file has the recorded size and SHA-256.

    `replay`: how its segments are checked. Only `rl resume` needs them, and hashing a million rows takes seconds.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    match = re.search(r"step-(\d+)", folder.name)
    if match and int(match[1]) != manifest["step"]:
        raise CheckpointError(f"{folder} is foreign: it holds step {manifest['step']}")
    for name, record in manifest["files"].items():
        check_file(folder / name, record)
    for record in manifest["segments"] if replay != "skip" else ():
        check_file(folder.parent.parent / "replay" / record["file"], record, replay == "hash")
    return manifest


def newest_good(root: Path, replay: Literal["skip", "size", "hash"] = "hash") -> tuple[Path, list[str]]:
    """(the newest checkpoint folder that verifies, one line for each newer one that does not).

    Raises `CheckpointError` if there is none.
    """
    skipped: list[str] = []
    for path in reversed(checkpoints(root).values()):
        try:
            verify(path, replay)
        except CheckpointError as error:
            skipped.append(f"skipped checkpoint {path.name}: {error}")
        else:
            return path, skipped
    if skipped:
        raise CheckpointError(f"no good checkpoint in {root}: {'; '.join(skipped)}")
    raise CheckpointError(f"no checkpoint in {root}: nothing was saved there yet")


def discard_after(root: Path, step: int) -> None:
    """Removes the checkpoints beyond `step`, which are damaged or will be trained again from `step`.

    Call this before cutting the jsonl files to this step's lengths: after a kill in between, no newer checkpoint may be
    left without its lines.
    """
    for other, path in checkpoints(root).items():
        if other > step:
            _delete(path)
    sweep(root)


def sweep(root: Path) -> None:
    """Removes half-written files of an earlier process. Only the holder of the run's lock may call it."""
    root = Path(root)
    for folder in (root, root / "checkpoints", root / "replay"):
        for path in [*folder.glob(".*.tmp"), *folder.glob(".*.new"), *folder.glob(".*.dead"), *folder.glob(".*.old")]:
            match = _NAME.fullmatch(path.name)
            if match and not (final := checkpoint_path(root, int(match[2]))).exists():
                rename(path, final)  # killed between the two renames of a checkpoint saved twice
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    _sweep_segments(root)


def _prune(root: Path, step: int, keep: int, kept: Callable[[int], bool]) -> None:
    """Removes checkpoints before `step`, except the newest `keep` whole ones and those of the steps in `kept`."""
    whole = 0
    for other, path in reversed(checkpoints(root).items()):
        if other > step:
            continue
        with contextlib.suppress(CheckpointError):
            if other != step and whole < keep:
                verify(path, "size")
            whole += 1
            if whole <= keep or kept(other):
                continue
        _delete(path)


def _delete(path: Path) -> None:
    """Renames the folder first, because a half-removed one would be reported as a damaged checkpoint."""
    dead = path.with_name(f".{path.name.strip('.')}.dead")
    with contextlib.suppress(OSError):
        shutil.rmtree(dead, ignore_errors=True)
        rename(path, dead)
        shutil.rmtree(dead, ignore_errors=True)


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / "manifest.json").exists():
        raise CheckpointError(f"{folder} is not a checkpoint: it has no manifest.json")
    manifest = read_json(folder / "manifest.json")
    if manifest.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{folder} has schema {reprlib.repr(manifest.get('schema'))}, this version reads {SCHEMA}"
        )
    digest = manifest.pop("sha256", None)
    if digest != _digest(manifest):
        raise CheckpointError(f"{folder / 'manifest.json'} is damaged: it does not match its own SHA-256")
    try:
        _check_manifest(manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{folder / 'manifest.json'} is damaged: {error}") from None
    return manifest


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raises `ValueError` for a file name with a folder in it, and other errors for a field of another type."""
    records = {**manifest["files"]}
    for segment in manifest["segments"]:
        records[segment["file"]] = segment
        if not 0 <= int(segment["start"]) <= int(segment["stop"]):
            raise ValueError(f"segment {segment['file']!r} has no rows")
    for name, record in records.items():
        if not _PLAIN_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a file in the run folder")
        if not isinstance(record["size"], int) or not isinstance(record["sha256"], str):
            raise TypeError(f"{name!r} has no size and SHA-256")
    if not isinstance(manifest["step"], int):
        raise TypeError("its step is no number")
    if not isinstance(manifest["extra"], dict):
        raise TypeError("'extra' is no object")
    for name, length in manifest["lengths"].items():
        if not isinstance(length, int) or length < 0:
            raise ValueError(f"the length of {name!r} is {length!r}")


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sweep_segments(root: Path) -> None:
    """Removes the segments that no checkpoint's manifest names."""
    needed: set[str] = set()
    for path in checkpoints(root).values():
        with contextlib.suppress(CheckpointError, KeyError, TypeError):  # another tool's manifest
            needed |= {record["file"] for record in read_json(path / "manifest.json")["segments"]}
    for path in (Path(root) / "replay").glob("segment-*.safetensors"):
        if path.name not in needed:
            with contextlib.suppress(OSError):
                path.unlink()
