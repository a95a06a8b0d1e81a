"""The signals that ask a command to end."""

from __future__ import annotations

import signal
import sys


def ending_signals() -> list[signal.Signals]:
    """SIGTERM and what a closed terminal sends: SIGHUP where `nohup` does not ignore it, on Windows SIGBREAK."""
    if sys.platform == "win32":
        return [signal.SIGTERM, signal.SIGBREAK]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, signal.SIGHUP]
