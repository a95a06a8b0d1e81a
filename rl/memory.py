"""The memory that this process may still allocate, within the limits of control groups (cgroups)."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

import psutil


def available_memory() -> int:
    """Bytes that this process can still allocate: the system's free memory, or less if a cgroup limits it."""
    return min([psutil.virtual_memory().available, *_cgroup_room()])


def private_memory(status: Path = Path("/proc/self/status")) -> int:
    """Bytes of memory that this process has written, swapped out or not; elsewhere than on Linux, all that is resident.

    The system may drop a library's pages at any time, which would hide the growth of what is resident.
    """
    try:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return sum(int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "VmSwap"))
    except (OSError, KeyError, ValueError):
        return int(psutil.Process().memory_info().rss)


def release_freed_memory() -> None:
    """Collects garbage and returns freed memory to the system, as far as the platform can (on Linux, with glibc).

    An allocator keeps freed memory for its next allocations (`rl.device.keep_freed_memory` asks for up to 256 MiB), and
    what reuses it does not show in `private_memory`. Call this before the first of two measurements.
    """
    gc.collect()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library, such as musl, which keeps little
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _cgroup_room(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Limit minus use of this process's memory cgroup and of each one above it. File cache counts as free."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return []  # not Linux
    room = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, usage, cache = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit, usage, cache = (
                root / "memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        here = base / path.lstrip("/")
        for folder in [here, *here.parents]:
            try:
                top = (folder / limit).read_text().strip()
                if top != "max":
                    stat = dict(x.split() for x in (folder / "memory.stat").read_text().splitlines())
                    room.append(max(0, int(top) - int((folder / usage).read_text()) + int(stat.get(cache, 0))))
            except OSError:
                pass  # not mounted here, as inside a container
            if folder == base:
                break
    return room
