"""What a command says and returns when it fails: one line on standard error, and an exit status."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable

from rl.errors import InputError, NonFiniteError, RunError
from rl.imports import not_installed

LONGEST = 2_000
"""Characters of the longest error line; the middle of a longer one, such as a pasted file, is left out."""


def verdict(error: Exception) -> tuple[int, str]:
    """The exit status and the error line for an exception that a command raised."""
    match error:
        case InputError():
            return 2, str(error)
        case NonFiniteError():
            return 3, str(error)
        case RunError():
            return 1, str(error)
        case ModuleNotFoundError():
            return 2, not_installed(error.name)
        case MemoryError():
            return 1, "out of memory: lower --num-envs, agent.batch_size or agent.buffer_size"
        case OSError(errno=errno.ENAMETOOLONG):
            return 2, f"no file can have this name: {error}"
        case OSError():
            return 1, str(error)
        case UnicodeDecodeError():
            return 2, f"a file is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        case _:
            return 1, f"{type(error).__name__}: {error} (--verbose shows where)"


def complain(message: str) -> None:
    """Prints one line on standard error. Control characters, which a path or a file may hold, are escaped."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(message.split()))
    if len(line) > LONGEST:
        left = LONGEST // 2 - 4
        line = f"{line[:left]} [...] {line[-left:]}"
    with contextlib.suppress(OSError):
        print("rl:", line, file=sys.stderr, flush=True)


def exit_status(tool: Callable[[], None]) -> int:
    """Runs a measuring tool (`python -m runs.bench...`) and returns its exit status: 0 done, 130 after Ctrl-C.

    What is no fault of the caller or the machine is raised, since a tool has no `--verbose`.
    """
    try:
        tool()
    except (InputError, NonFiniteError, RunError, ModuleNotFoundError, OSError) as error:
        status, message = verdict(error)
        complain(message)
        return status
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    return 0
