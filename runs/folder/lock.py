"""An advisory lock file: one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
from pathlib import Path

import filelock

from rl.errors import InputError

log = logging.getLogger(__name__)

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a network file system without locks answers."""


class FileLock:
    """An advisory lock of the operating system, gone with the process however it dies; the file holds the owner's pid.

    Environment workers forked from the owner do not keep it.
    """

    def __init__(self, path: Path, wait: float = 0) -> None:
        """Waits up to `wait` seconds. Raises `InputError` that names the process which holds the lock."""
        self.path = path.resolve()
        self._held = True
        self._lock = filelock.FileLock(
            self.path, timeout=wait, thread_local=False, fallback_to_soft=False, on_acquired=_sign
        )
        try:
            self._lock.acquire(poll_interval=0.01)
        except filelock.Timeout:
            owner = self._owner()
            if owner == _name():
                raise InputError(f"{path.parent} is already being written by this process ({os.getpid()})") from None
            raise InputError(
                f"{path.parent} is being written by process {owner}: wait for it to end, or stop it"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning("%s cannot be locked (%s): make sure that no other process writes it", path.parent, error)

    def release(self, remove: bool = False) -> None:
        """Gives the lock back. `remove` also deletes the file."""
        if not self._held:
            return
        self._held = False
        if remove and sys.platform != "win32":  # while it is locked, so that no other owner's file is removed
            self.path.unlink(missing_ok=True)
        self._lock.release()
        if remove and sys.platform == "win32":  # which removes no open file, so another owner's stays
            with contextlib.suppress(PermissionError):
                self.path.unlink(missing_ok=True)

    def _owner(self) -> str:
        try:
            return self.path.read_text(errors="replace").strip() or "unknown"
        except OSError:  # the owner has just removed it, or Windows lets nobody read it
            return "unknown"


def _name() -> str:
    return f"{os.getpid()} on {socket.gethostname()}"


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{_name()}\n".encode())
