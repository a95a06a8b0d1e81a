"""Loops that numba compiles, and keeps on the disk if it finds a folder for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

REORDERED = frozenset({"reassoc", "contract", "nsz", "arcp"})
"""LLVM's flags under which sums may be reordered, which vectorises them; NaN and infinity keep their meaning."""


def compiled(function: Callable[..., Any], reordered: bool = False) -> Any:
    """`function`, compiled at its first call; without the interpreter's lock, and division by zero gives infinity.

    reordered: sums may be added in another order, as `REORDERED` allows.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": set(REORDERED) if reordered else False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the source's folder nor the user's cache can be written
        return numba.njit(**options)(function)
