"""Where a result comes from: command line, machine, versions, commit, and the load of the processor."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rl.redact import redact_command
from runs.folder.places import ROOT

RUNS_MAIN = str(Path("runs", "__main__.py"))
"""The name of the command in `python -m runs`."""


def command() -> list[str]:
    """The command line of this process as a person types it, without secrets."""
    first, *words = redact_command(sys.argv)
    return ["rl" if Path(first).name in ("rl", "rl.exe") or first.endswith(RUNS_MAIN) else first, *words]


def quoted(words: Sequence[str]) -> str:
    """A command line that sh, PowerShell and Windows' cmd read alike if its words allow it; a text stays as it is."""
    return words if isinstance(words, str) else " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A comma makes a list in PowerShell, an @ its elements; cmd knows double quotes alone, and keeps backslashes."""
    plain = shlex.quote(word)
    if plain == word and "," not in word and not word.startswith("@"):
        return word
    means_more = re.search(r'["$`!]|\\(\\|$)', word)
    return plain if means_more else f'"{word}"'


def machine() -> dict[str, Any]:
    """Processor, cores and system."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x.split(":", 1)[1].strip() for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = names[0] if names else name
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def versions() -> dict[str, str]:
    """The versions and the platform that the numbers of a run depend on."""
    names = ("torch", "numpy", "gymnasium", "ale-py", "mujoco", "stable-baselines3")
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in names:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def device_name(device: str) -> dict[str, str]:
    """The device, and the model of a GPU."""
    import torch

    return {"device": device, **({"gpu": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {})}


def git_commit() -> str | None:
    """The commit of the tree of this file, with a + if there are uncommitted changes; None outside a repository."""
    marked = ROOT / ".commit"  # written into an exported tree
    if marked.exists():
        return marked.read_text().strip()

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


class Meter:
    """The processor time that this process and all others have used since the meter was made."""

    def __init__(self) -> None:
        import psutil

        self._process, self._begun = psutil.Process(), time.monotonic()
        self._own, self._all = self._cpu(), self._busy()

    def read(self) -> tuple[float, float]:
        """CPU seconds of this process and its children, and cores that others kept busy on average."""
        own, busy = self._cpu() - self._own, self._busy() - self._all
        return own, max(0.0, busy - own) / max(time.monotonic() - self._begun, 1e-9)

    def _cpu(self) -> float:
        import psutil

        living = []
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # has ended since
                living.append(child.cpu_times())
        t = os.times()  # those of its ended children too, which psutil has on Linux only
        ended = t.children_user + t.children_system
        return t.user + t.system + ended + sum(c.user + c.system for c in living)

    @staticmethod
    def _busy() -> float:
        import psutil

        t = psutil.cpu_times()
        return float(sum(t) - t.idle - getattr(t, "iowait", 0) - getattr(t, "guest", 0) - getattr(t, "guest_nice", 0))
