"""Adam's step on one small flat vector, compiled: a third of the time of PyTorch's, and no slower on denormals."""

from __future__ import annotations

from functools import partial

import numpy as np

from rl.jit import compiled

LARGEST = 300_000
"""Number of parameters above which PyTorch's kernel, which may use several threads, is as fast."""
SMALLEST = np.float32(1e-37)
"""A first moment closer to 0 becomes 0. The gradient of a unit that is always off is 0, and its moment shrinks by a
tenth at each step: it would soon be denormal and never reach 0, and arithmetic with such numbers is many times slower.
"""

_compiled = partial(compiled, reordered=True)


@_compiled
def norm(x):  # type: ignore[no-untyped-def]
    """The Euclidean norm of x, float32 [P]."""
    total = np.float32(0)
    for i in range(len(x)):
        total += x[i] * x[i]
    return np.sqrt(total)


@_compiled
def move(flat, grad, mean, square, lr, t, beta1, beta2, eps, decay):  # type: ignore[no-untyped-def]
    """Step t = 1, 2, ... of Adam (Kingma and Ba 2015, algorithm 1) with decoupled weight decay (AdamW), in place.

    Args:
        flat, grad, mean, square: float32 [P], the parameters, their gradient, and its first and second moment.
        decay: share of the parameters that the decay takes away, the learning rate included.
    """
    size = np.float32(lr / (1 - beta1**t))
    scale = np.float32(1 / np.sqrt(1 - beta2**t))
    new, new_square, old_square = np.float32(1 - beta1), np.float32(1 - beta2), np.float32(beta2)
    kept, least = np.float32(1 - decay), np.float32(eps)
    for i in range(len(flat)):
        m = mean[i] + new * (grad[i] - mean[i])
        m = np.float32(0) if abs(m) < SMALLEST else m  # NaN stays
        v = old_square * square[i] + new_square * grad[i] * grad[i]
        mean[i], square[i] = m, v
        flat[i] = kept * flat[i] - size * m / (np.sqrt(v) * scale + least)
