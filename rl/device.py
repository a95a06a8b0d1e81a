"""The abilities of the device, some of them measured."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import os
import sys
import time
from typing import Any, Literal, TypeVar

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn import functional as F

Config = TypeVar("Config")

PRECISIONS: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
"""What `precision=auto` chooses from."""


@functools.cache
def fast_bf16(device: torch.device) -> bool:
    """Whether a convolution in bfloat16 is clearly faster than in float32 here.

    Processors without bfloat16 instructions emulate it, ten times slower; the measurement takes 20 ms. On a GPU it is
    off, because convolutions use TF32 anyway: on an H200 bfloat16 gained an eighth for BTR-lite and nothing for smaller
    networks (docs/speed.md).
    """
    if device.type == "cuda":
        return False

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


def has_convolutions(module: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) for m in module.modules())


def uses_bf16(precision: str, network: nn.Module, device: torch.device) -> bool:
    """Whether `network` computes in bfloat16: "auto" does if it has convolutions and they are faster that way."""
    if precision == "auto":
        return has_convolutions(network) and fast_bf16(device)
    return precision == "bf16"


def in_precision(config: Config, precision: str | None) -> Config:
    """An agent's config with `precision` instead of "auto", so that nothing is measured when the agent is built.

    A config that names its precision, or has none, stays as it is; "auto" stays if `precision` is not of `PRECISIONS`.
    """
    if getattr(config, "precision", None) != "auto" or precision not in PRECISIONS:
        return config
    chosen: Any = config
    return dataclasses.replace(chosen, precision=precision)  # type: ignore[no-any-return]


@functools.cache
def keep_freed_memory() -> bool:
    """Asks glibc to keep up to 256 MiB of freed memory; returns whether it does.

    An update of a convolutional network frees and allocates megabytes at every layer. If the system gets them back in
    between, it clears each page again at the next page fault, which takes a seventh of Pong's update (350,000 faults
    instead of 78,000 in 300 updates).
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
    """Keeps NumPy's OpenBLAS to one thread: for small matrices, waking other threads costs more than they save."""
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)


@functools.cache
def repeatable_gpu() -> None:
    """Restricts cuDNN and cuBLAS to kernels that give the same bits each time, so that a GPU's runs resume to the bit.

    cuBLAS reads its variable at its first use; a value that the user has set stays.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def restore_torch_generator(generator: torch.Generator, state: Tensor) -> None:
    """Restores a saved state of `generator`.

    A state of another kind of device seeds the generator instead, so that a run can continue on another device, with
    other random numbers.
    """
    state = state.cpu()
    if state.shape == generator.get_state().shape:
        generator.set_state(state)
    else:
        digest = hashlib.sha256(state.numpy().tobytes()).digest()
        generator.manual_seed(int.from_bytes(digest[:4], "little") >> 1)
