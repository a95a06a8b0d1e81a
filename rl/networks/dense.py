"""Small dense networks by NumPy, forwards and backwards, on the parameters' own memory.

For a batch of 32 a network of 64-64 units is 50 microseconds of arithmetic there and back. PyTorch needs 300: it looks
up every operation, records it for autograd, and walks the record backwards. So an agent that can say its loss's slope
at the output in a few lines of NumPy learns on vectors in half of the time; pictures, memories, large networks and GPUs
stay with autograd.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rl.device import one_blas_thread
from rl.networks.encoders import MLP
from rl.networks.torso import Torso

LARGEST = 300_000
"""Parameters above which arithmetic outweighs overhead, and PyTorch's threads pay."""
WIDE, FEW = 128 * 256, 16
"""A matrix of so many numbers times at least so many rows is PyTorch's to multiply."""
ZERO = np.zeros((), np.float32)
"""As an array: a number of Python's is made into one at each use."""


class _Layer(NamedTuple):
    """Views of one layer's parameters, and of their gradients; `norm` is None without LayerNorm."""

    weight: np.ndarray  # [out, in]
    transposed: np.ndarray  # [in, out]
    bias: np.ndarray  # [out]
    weight_grad: np.ndarray
    bias_grad: np.ndarray
    norm: _Norm | None


class _Norm(NamedTuple):
    weight: np.ndarray  # [out]
    bias: np.ndarray  # [out]
    weight_grad: np.ndarray
    bias_grad: np.ndarray
    eps: float


class _Step(NamedTuple):
    """What going back through one layer needs."""

    x: np.ndarray  # [B, in]
    normed: np.ndarray | None  # [B, out]: standardised, before LayerNorm's scale
    spread: np.ndarray | None  # [B, 1]: one over the deviation


class Dense:
    """The layers of `mlp` and a linear `head` on top, as numbers: [B, in] to [B, out], float32.

    It reads the modules' parameters where they lie, so it follows every optimizer step and every loading of weights;
    `backward` writes into their `.grad`, which must be there and stay (`rl.optim.FlatOptimizer`).
    """

    def __init__(self, mlp: MLP, head: nn.Linear) -> None:
        self._relu = mlp.activation == "relu"
        self._layers = [_layer(linear, norm) for linear, norm in [*mlp.layers, (head, None)]]
        self._parameters = [p for part in (mlp, head) for p in part.parameters()]

    @property
    def learns(self) -> bool:
        """Whether no parameter is frozen: `backward` sets the gradients of all."""
        return all(p.requires_grad for p in self._parameters)

    @classmethod
    def of(cls, torso: Torso, head: nn.Module) -> Dense | None:
        """`torso` and `head` by NumPy, or None where they are more. Call it when the gradients have their place.

        They are no more for one plain vector without stack or memory, ReLU or tanh, a linear head, on a CPU, and few
        parameters.
        """
        mlp = torso.plain_mlp
        if type(torso) is not Torso or mlp is None or torso.core is not None or mlp.activation not in ("relu", "tanh"):
            return None
        linears = [linear for linear, _ in mlp.layers] + [head]
        if any(type(layer) is not nn.Linear for layer in linears):  # a subclass or a parametrization is more
            return None
        assert isinstance(head, nn.Linear)
        if head.weight.device.type != "cpu":
            return None
        if sum(p.numel() for part in (mlp, head) for p in part.parameters()) > LARGEST:
            return None
        one_blas_thread()
        return cls(mlp, head)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The output [B, out] alone."""
        return self.forward(x)[0]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, list[_Step]]:
        """The output [B, out], and what `backward` needs."""
        steps, last = [], len(self._layers) - 1
        for i, layer in enumerate(self._layers):
            z = _product(x, layer.transposed)
            z += layer.bias
            normed = spread = None
            if layer.norm is not None:
                normed, spread = _standardise(z, layer.norm.eps)
                z = normed * layer.norm.weight
                z += layer.norm.bias
            steps.append(_Step(x, normed, spread))
            if i < last:
                x = np.maximum(z, ZERO, out=z) if self._relu else np.tanh(z, out=z)
        return z, steps

    def backward(self, grad: np.ndarray, steps: list[_Step]) -> None:
        """Sets every parameter's gradient to that of a loss whose gradient at the output is `grad` [B, out]."""
        for i in range(len(self._layers) - 1, -1, -1):
            layer, (x, normed, spread) = self._layers[i], steps[i]
            if layer.norm is not None and normed is not None and spread is not None:
                np.add.reduce(grad * normed, 0, out=layer.norm.weight_grad)
                np.add.reduce(grad, 0, out=layer.norm.bias_grad)
                grad = _standardise_backward(grad * layer.norm.weight, normed, spread)
            np.dot(grad.T, x, out=layer.weight_grad)
            np.add.reduce(grad, 0, out=layer.bias_grad)
            if i:  # x is the activation of the layer before
                grad = _product(grad, layer.weight)
                grad *= x > 0 if self._relu else 1.0 - x * x


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a [B, n] @ b [n, m], float32; by PyTorch's BLAS where b is wide.

    NumPy's OpenBLAS is as quick up to 128 by 128, and takes up to three times as long from 128 by 256 on (measured on
    an AMD EPYC). `dot` gives the numbers of `@` with a microsecond less around them.
    """
    if b.size < WIDE or len(a) < FEW:
        return a.dot(b)
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b)).numpy()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The logarithm of the softmax of each row, [B, A]."""
    z = logits - np.maximum.reduce(logits, 1, keepdims=True)
    z -= np.log(np.add.reduce(np.exp(z), 1, keepdims=True))
    return z


def _layer(linear: nn.Linear, norm: nn.LayerNorm | None) -> _Layer:
    scale = None
    if norm is not None:
        scale = _Norm(*_views(norm.weight, norm.bias), norm.eps)
    weight, bias, weight_grad, bias_grad = _views(linear.weight, linear.bias)
    return _Layer(weight, weight.T, bias, weight_grad, bias_grad, scale)


def _views(weight: Tensor, bias: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    def grad(p: Tensor) -> np.ndarray:
        return np.zeros(p.shape, np.float32) if p.grad is None else p.grad.numpy()  # a target network has none

    return weight.detach().numpy(), bias.detach().numpy(), grad(weight), grad(bias)


def _standardise(z: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Each row of z [B, n] with mean 0 and deviation 1, in place, and one over the deviation [B, 1]."""
    scale = np.float32(1.0 / z.shape[1])
    z -= np.add.reduce(z, 1, keepdims=True) * scale
    spread = np.einsum("bn,bn->b", z, z)[:, None] * scale
    spread += np.float32(eps)
    np.sqrt(spread, out=spread)
    np.reciprocal(spread, out=spread)
    z *= spread
    return z, spread


def _standardise_backward(grad: np.ndarray, normed: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The gradient at the rows given to `_standardise`, from that at what it made of them, [B, n]."""
    scale = np.float32(1.0 / grad.shape[1])
    along = np.einsum("bn,bn->b", grad, normed)[:, None] * scale
    grad = grad - np.add.reduce(grad, 1, keepdims=True) * scale
    grad -= normed * along
    grad *= spread
    return grad
