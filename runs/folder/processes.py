"""Child processes: trainings that end with the command which started them, and viewers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.cores import usable_cores
from rl.errors import RunError
from runs.folder.places import ROOT

_OWN_GROUP: dict[str, Any]
"""Arguments of `subprocess.Popen`: Ctrl-C on the terminal reaches this process alone, which passes `_END` on."""
_ASIDE: dict[str, Any]
"""Arguments of `subprocess.Popen` for a viewer: Ctrl-C reaches the training alone."""

if sys.platform == "win32":
    _OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    _ASIDE = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    _END = signal.CTRL_BREAK_EVENT  # SIGTERM would end the child before it saves
    _BY_SIGNAL = {128 + signal.SIGBREAK, 0xC000013A}
else:
    _OWN_GROUP = {"process_group": 0}
    _ASIDE = {"start_new_session": True}
    _END = signal.SIGTERM
    _BY_SIGNAL = {128 + signal.SIGHUP, -signal.SIGHUP}

_INTERRUPTED = {130, 143, -signal.SIGINT, -signal.SIGTERM, *_BY_SIGNAL}
"""Exit statuses of a child that handled the signal, and of one that had no handler yet."""

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()
_stopping = threading.Event()


def run_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    interrupted: str,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `command` to its end and returns its exit status and output.

    Raises RunError(`interrupted`) if `stop_children` or another process interrupted it, and subprocess.TimeoutExpired
    after `timeout` seconds. With a timeout, all processes that the command started are killed at its end.
    """
    with _lock:
        if _stopping.is_set():
            raise RunError(interrupted)
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**env, "PYTHONIOENCODING": "utf-8:replace", PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            **_OWN_GROUP,
        )
        _running.add(child)
    try:
        out, errors = child.communicate(timeout=timeout)
    finally:
        if timeout is not None:
            _kill_all(child)
        with _lock:
            _running.discard(child)
    if _stopping.is_set() or child.returncode in _INTERRUPTED:
        raise RunError(interrupted)
    return subprocess.CompletedProcess(command, child.returncode, out, errors)


def _kill_all(child: subprocess.Popen[str]) -> None:
    """Kills a child and the processes that it left; on Windows the child alone."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def train_child(
    words: Sequence[str],
    *,
    root: Path,
    threads: int,
    interrupted: str,
    paths: Sequence[str] = (),
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `python -P -m WORDS` with the suite in `root`, one training, as `run_child` does.

    Modules are also found in `paths`. `threads`: how many all libraries may use, 0 for every core.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads or usable_cores())}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), *paths])
    return run_child([sys.executable, "-P", "-m", *words], env=environment, interrupted=interrupted, cwd=cwd)


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Why a child failed, in one line: the signal that killed it, else its last line, else its exit status."""
    if done.returncode < 0:
        killer = signal.Signals(-done.returncode).name
        return f"killed by {killer}" + ": out of memory?" * (killer == "SIGKILL")
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {done.returncode}"


def stop_children() -> None:
    """Asks every training to save and end, and waits for it: a minute at most, then it is killed."""
    with _lock:
        _stopping.set()
        children = list(_running)
    for child in children:
        with contextlib.suppress(OSError):
            child.send_signal(_END)
    for child in children:
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
    _stopping.clear()


def ending_signals() -> list[signal.Signals]:
    """SIGTERM, and SIGHUP of a closed terminal unless `nohup` ignores it. On Windows SIGBREAK, which is Ctrl-Break.

    Windows ends a process whose window is closed before Python can act on it.
    """
    if sys.platform == "win32":
        return [signal.SIGTERM, signal.SIGBREAK]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, signal.SIGHUP]


ENDS_WITH_PARENT = "LUDO_RL_ENDS_WITH_PARENT"
"""Environment variable that tells a command to save and end when the process that started it is gone."""


def end_with_parent(parent: int, stop: str | None = None) -> None:
    """Saves and ends this training if its parent was killed, or when the file `stop` appears."""
    while True:
        time.sleep(0.5 if stop else 2)
        if _gone(parent, PARENT) or (stop and os.path.exists(stop)):
            if os.name == "nt":  # where `os.kill` ends a process at once
                signal.raise_signal(signal.SIGTERM)
            else:
                os.kill(os.getpid(), signal.SIGTERM)
            return


PARENT = "LUDO_RL_PARENT"
"""Environment variable that tells a child which process started it."""


def _gone(parent: int, variable: str) -> bool:
    """Whether the process that started this one has ended, even by a kill.

    Windows keeps no such link (a virtual environment's python.exe starts another one), so `variable` tells it.
    """
    if sys.platform != "win32":
        return os.getppid() != parent
    import psutil

    told = os.environ.get(variable)
    return told is not None and not psutil.pid_exists(int(told))


TRAINER = "LUDO_RL_TRAINER"
"""Environment variable that tells a viewer which process started it."""


def trainer_has_ended() -> bool:
    """Whether a training started this process as its viewer and has ended since, even by a kill."""
    trainer = os.environ.get(TRAINER)
    return bool(trainer) and _gone(int(trainer or 0), TRAINER)


def open_viewer(run: str | Path, paused: bool = False) -> subprocess.Popen[bytes]:
    """Starts `rl watch RUN --follow` in a process of its own, at low priority, and returns it.

    The run is trained by this process, so its code is trusted already. The viewer closes when this process ends.
    """
    here = str(ROOT)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    words = ["-m", "runs", "watch", str(run), "--follow", "--trust"]
    if paused:
        words = ["-c", f"from runs import watch; watch({str(run)!r}, follow=True, paused=True, trust=True)"]
    viewer = subprocess.Popen(
        [sys.executable, "-P", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", TRAINER: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        **_ASIDE,
    )
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, viewer.pid, 10)
    return viewer
