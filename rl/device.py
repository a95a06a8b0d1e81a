"""What the device is good at, measured rather than guessed."""

from __future__ import annotations

import functools
import time

import torch
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
