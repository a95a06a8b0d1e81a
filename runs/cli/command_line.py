"""The command line `rl`: reads the arguments, calls the verb's function, turns its errors into one line and a status.

Nothing heavy is imported before a verb runs, so that `rl --help` and argument errors answer at once. Exit status: 0
done, 1 failed after the start, 2 bad input, 3 a non-finite number, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; a closed
pipe ends quietly with 0.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import errno
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

from runs.cli.parser import parse
from runs.folder.failure import complain, verdict
from runs.folder.processes import ENDS_WITH_PARENT, end_with_parent, ending_signals


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, raised as Ctrl-C raises KeyboardInterrupt. A training notes them itself, and saves first."""

    def __init__(self, message: str = "", status: int = 128 + signal.SIGTERM) -> None:
        super().__init__(message)
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    # How long PyTorch's threads (GNU OpenMP's) spin for each other. Their own default spins while another program has
    # the core: on two busy cores Pong trained at 41 steps/s instead of 5, on idle ones no slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    words = sys.argv[1:] if argv is None else list(argv)
    words = words[: words.index("#")] if "#" in words else words  # zsh and cmd pass the comment of a pasted line on
    verbose = False
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a console that lacks a sign still runs
    if os.environ.get(ENDS_WITH_PARENT):
        threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        with _ending():
            args = parse(words)
            verbose = args.verbose
            _run(args)
            sys.stdout.flush()
        return 0
    except SystemExit as end:  # --help, --version
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt as stop:
        if argv is None:  # the process ends: more of the same key must not interrupt its last steps
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        # If the key came while Python ran a string (a NamedTuple's class, say), Python would end by the signal, not by
        # this status: running another string forgets it.
        exec("")
        status = getattr(stop, "status", 130)
        complain(str(stop) or ("interrupted" if status == 130 else "terminated"))
        return status
    except Exception as error:
        if _is_closed_pipe(error):
            _drop_stdout()
            return 0
        if verbose:
            traceback.print_exc()
        status, message = verdict(error)
        complain(message)
        return status


def _open_closed_streams() -> None:
    """Gives standard input, output and error that were closed (`2<&-`, a graphical interpreter) to the null device.

    Without it, the next file that is opened would take the place of a closed one, and be written over.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _is_closed_pipe(error: Exception) -> bool:
    """Whether a pipe's reader has closed it. Windows then reports EINVAL without a file name."""
    if isinstance(error, BrokenPipeError):
        return True
    return os.name == "nt" and isinstance(error, OSError) and (error.errno, error.filename) == (errno.EINVAL, None)


def _drop_stdout() -> None:
    """Sends what is still buffered to the null device, so that the interpreter's last flush raises nothing."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _is_ignored(frame: FrameType | None) -> bool:
    """Whether Python ignores what is raised here: in a finalizer, or as an import lets go of its lock."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or (code.co_name, code.co_filename) == ("cb", "<frozen importlib._bootstrap>"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Terminated` in the main thread, as SIGINT raises KeyboardInterrupt."""

    def stop(signum: int, frame: FrameType | None) -> None:
        if _is_ignored(frame):
            again = threading.Timer(0.01, _thread.interrupt_main, (signum,))
            again.daemon = True
            again.start()
        else:
            raise Terminated(status=128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, stop) for s in ending_signals()}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def _run(args: argparse.Namespace) -> None:
    if not getattr(args, "json", False):
        result = args.call(args)
        if result is not None:
            args.show(result)
        return
    stopped = None
    with _stdout_to_stderr():
        try:
            result = args.call(args)
        except KeyboardInterrupt as stop:
            if not hasattr(stop, "finished"):
                raise
            stopped, result = stop, stop.finished  # hours of benchmarks are not lost to the last one
        from rl.storage import plain

        text = json.dumps(plain({"schema": 1, **(result or {})}), allow_nan=False)
    print(text)
    if stopped is not None:
        raise stopped


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Output that any library or child process prints meanwhile goes to standard error."""
    sys.stdout.flush()
    try:
        saved = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # no such descriptors: a graphical interpreter
        saved = -1
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if saved >= 0:
            os.dup2(saved, 1)
            os.close(saved)
