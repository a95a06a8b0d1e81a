"""What the device is good at, measured rather than guessed."""

from __future__ import annotations

import ctypes
import functools
import sys
import time

import torch
from threadpoolctl import ThreadpoolController
from torch.nn import functional as F


@functools.cache
def fast_bf16(device: torch.device) -> bool:
    """Whether a convolution in bfloat16 is clearly faster than in float32 here.

    Processors without bfloat16 instructions emulate it ten times slower; it takes 20 ms to find out.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)

    def seconds(dtype: torch.dtype) -> float:
        x = torch.ones(8, 16, 20, 20, dtype=dtype).to(memory_format=torch.channels_last)
        w = torch.ones(32, 16, 4, 4, dtype=dtype)
        best = float("inf")
        for _ in range(5):
            begun = time.perf_counter()
            F.conv2d(x, w, stride=2)
            best = min(best, time.perf_counter() - begun)
        return best

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


@functools.cache
def keep_freed_memory() -> bool:
    """Asks glibc to keep up to 256 MiB of freed memory; whether it does. Elsewhere nothing happens.

    An update of a convolutional network frees and asks for megabytes at every layer. Handed back to the system in
    between, each page comes again as a fault and is cleared: a seventh of Pong's update (78,000 faults instead of
    350,000 in 300 updates).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h; the last can be at most 32 MiB
    return all([mallopt(mmap_threshold, 32 << 20), mallopt(trim_threshold, 256 << 20), mallopt(top_pad, 16 << 20)])


@functools.cache
def one_blas_thread() -> None:
    """Keeps NumPy's OpenBLAS to one thread: for matrices of a small network waking others costs more than they do."""
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)
