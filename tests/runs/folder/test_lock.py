"""The advisory lock of a folder: a refusal leaves another run's lock, a removed file never hides a second writer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rl.errors import InputError
from runs.folder.lock import FileLock
from runs.folder.places import ROOT
from runs.folder.run_folder import RunFolder

SUITE = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("locked_before", [True, False])
def test_a_refused_out_leaves_an_occupied_folder_as_it_was(tmp_path: Path, locked_before: bool) -> None:
    (tmp_path / "run.json").write_text("{}")
    if locked_before:
        (tmp_path / ".lock").write_text("")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(InputError, match="is occupied"):
        RunFolder.create(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no open file")
def test_a_lock_file_removed_between_opening_and_locking_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    path, flock, calls = tmp_path / ".lock", fcntl.flock, []

    def removed_first(descriptor: int, operation: int) -> None:
        if not calls:
            path.unlink()
        calls.append(operation)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    lock = FileLock(path, wait=5)
    assert len(calls) == 2
    with pytest.raises(InputError, match="already being written by this process"):
        FileLock(path)
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_does_not_keep_the_lock_of_a_killed_owner(tmp_path: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from runs.folder.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / ".lock"], stdout=subprocess.PIPE, text=True, env=SUITE
    ) as owner:
        assert owner.stdout
        worker = int(owner.stdout.readline())
        owner.kill()
        owner.wait()
        try:
            FileLock(tmp_path / ".lock").release()
            os.kill(worker, 0)  # it still lives
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_second_release_removes_nobody_elses_lock(tmp_path: Path) -> None:
    first = FileLock(tmp_path / ".lock")
    first.release(remove=True)
    second = FileLock(tmp_path / ".lock")
    first.release(remove=True)
    assert (tmp_path / ".lock").exists()
    second.release()


def test_a_file_system_without_locks_is_written_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    FileLock(tmp_path / ".lock").release()
    assert "cannot be locked" in caplog.text


def test_another_error_of_the_disk_is_no_missing_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def broken(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output error"):
        FileLock(tmp_path / ".lock")


def test_a_waiting_writer_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    first = FileLock(tmp_path / ".lock")
    threading.Timer(0.3, first.release).start()
    began = time.monotonic()
    FileLock(tmp_path / ".lock", wait=10).release()
    assert 0.2 < time.monotonic() - began < 5
