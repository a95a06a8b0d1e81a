"""An advisory lock file: one writer at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from pathlib import Path

from rl.errors import InputError

log = logging.getLogger(__name__)


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
            while not self._current():  # its last owner removed the file before this process locked it
                os.close(self._descriptor)
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
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
        """Gives the lock back. `remove` also deletes the file."""
        if self.path not in self._HELD:
            return
        if remove and sys.platform != "win32":  # while it is locked, so that no other owner's file is removed
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._HELD.discard(self.path)
        if remove and sys.platform == "win32":  # which removes no open file, so another owner's stays
            with contextlib.suppress(PermissionError):
                self.path.unlink(missing_ok=True)

    def _current(self) -> bool:
        """True if the path still names the file that this process has opened."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False

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
