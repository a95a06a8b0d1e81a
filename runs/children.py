"""Trainings in processes of their own, which end with the command that began them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from rl.errors import RunError

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()
_stopping = threading.Event()
_INTERRUPTED = (130, 143, -signal.SIGINT, -signal.SIGTERM)


def run_child(
    command: Sequence[str], *, env: Mapping[str, str], interrupted: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `command` to its end, whatever its exit status, and returns that with what it said.

    Raises RunError(`interrupted`) where `stop_children` or somebody else interrupted it.
    """
    with _lock:
        if _stopping.is_set():
            raise RunError(interrupted)
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=None if os.name == "nt" else 0,  # Ctrl-C is ours to pass on
        )
        _running.add(child)
    try:
        out, said = child.communicate()
    finally:
        with _lock:
            _running.discard(child)
    if _stopping.is_set() or child.returncode in _INTERRUPTED:
        raise RunError(interrupted)
    return subprocess.CompletedProcess(command, child.returncode, out, said)


def stop_children() -> None:
    """Asks every training to save and end, and waits for it: a minute at most, then it is killed."""
    with _lock:
        _stopping.set()
        children = list(_running)
    for child in children:
        with contextlib.suppress(OSError):
            child.send_signal(signal.SIGTERM)
    for child in children:
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
    _stopping.clear()
