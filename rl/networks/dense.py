"""Small MLPs in NumPy, forward and backward, on the memory of PyTorch's parameters and gradients.

`agents/numpy_gradients.py` explains why and when they are used.
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
"""Number of parameters above which PyTorch is faster."""
WIDE, FEW = 128 * 256, 16
"""Elements of a matrix, and rows multiplied with it, from which on PyTorch multiplies faster."""
ALL = [True, True, True]
"""Compute LayerNorm's gradients with respect to its input, weight and bias."""
ZERO = np.zeros((), np.float32)
"""An array, because NumPy would convert a Python number at each use."""


class _Layer(NamedTuple):
    """Views of one layer's parameters, and of their gradients; `norm` is None without LayerNorm."""

    weight: np.ndarray  # [out, in]
    transposed: np.ndarray  # [in, out]
    bias: np.ndarray  # [out]
    weight_grad: np.ndarray
    bias_grad: np.ndarray
    norm: _Norm | None


class _Norm(NamedTuple):
    """LayerNorm by PyTorch's kernels, in a third of NumPy's time: one pass instead of seven."""

    weight: Tensor  # [out]
    bias: Tensor  # [out]
    weight_grad: Tensor
    bias_grad: Tensor
    shape: tuple[int, ...]
    eps: float

    def forward(self, z: np.ndarray) -> tuple[np.ndarray, _Normed]:
        """Standardises, scales and shifts each row of z [B, out]. Returns that and the values for `backward`."""
        before = torch.from_numpy(z)
        after, mean, spread = torch.native_layer_norm(before, self.shape, self.weight, self.bias, self.eps)
        return after.numpy(), _Normed(before, mean, spread)

    def backward(self, grad: np.ndarray, normed: _Normed) -> np.ndarray:
        """The gradient at the input, from the gradient at the output; sets the parameters' gradients."""
        at_z, at_weight, at_bias = torch.ops.aten.native_layer_norm_backward(
            torch.from_numpy(grad), normed.before, self.shape, normed.mean, normed.spread, self.weight, self.bias, ALL
        )
        self.weight_grad.copy_(at_weight)
        self.bias_grad.copy_(at_bias)
        gradient: np.ndarray = at_z.numpy()
        return gradient


class _Normed(NamedTuple):
    before: Tensor  # [B, out]
    mean: Tensor  # [B, 1]
    spread: Tensor  # [B, 1]: one over the deviation


class _Step(NamedTuple):
    """What the backward pass through one layer needs."""

    x: np.ndarray  # [B, in]
    normed: _Normed | None


class Dense:
    """The layers of `mlp` under a linear `head`: [B, in] to [B, out], float32.

    It shares the memory of the modules' parameters, so it follows optimizer steps and loaded weights.
    `backward` writes into their `.grad`, which must exist and not be replaced (see `rl.optim.FlatOptimizer`).
    """

    def __init__(self, mlp: MLP, head: nn.Linear) -> None:
        self._relu = mlp.activation == "relu"
        self._layers = [_layer(linear, norm) for linear, norm in [*mlp.layers, (head, None)]]
        self._parameters = [p for part in (mlp, head) for p in part.parameters()]

    @property
    def learns(self) -> bool:
        """True if no parameter is frozen: `backward` sets the gradients of all."""
        return all(p.requires_grad for p in self._parameters)

    @classmethod
    def of(cls, torso: Torso, head: nn.Module) -> Dense | None:
        """`torso` and `head` in NumPy, or None if they are not of the supported kind. `.grad` must exist already.

        Supported: one plain vector without frame stack or recurrent core, ReLU or tanh, a linear head, the CPU, and at
        most `LARGEST` parameters.
        """
        mlp = torso.plain_mlp
        if type(torso) is not Torso or mlp is None or torso.core is not None or mlp.activation not in ("relu", "tanh"):
            return None
        linears = [linear for linear, _ in mlp.layers] + [head]
        if any(type(layer) is not nn.Linear for layer in linears):  # another class may compute something else
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
            normed = None
            if layer.norm is not None:
                z, normed = layer.norm.forward(z)
            steps.append(_Step(x, normed))
            if i < last:
                x = np.maximum(z, ZERO, out=z) if self._relu else np.tanh(z, out=z)
        return z, steps

    def backward(self, grad: np.ndarray, steps: list[_Step]) -> None:
        """Sets every parameter's gradient to that of a loss whose gradient at the output is `grad` [B, out]."""
        for i in range(len(self._layers) - 1, -1, -1):
            layer, (x, normed) = self._layers[i], steps[i]
            if layer.norm is not None and normed is not None:
                grad = layer.norm.backward(grad, normed)
            np.dot(grad.T, x, out=layer.weight_grad)
            np.add.reduce(grad, 0, out=layer.bias_grad)
            if i:  # x is the activation of the layer before
                grad = _product(grad, layer.weight)
                grad *= x > 0 if self._relu else 1.0 - x * x


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a [B, n] @ b [n, m], float32; by PyTorch's BLAS if b is large.

    NumPy's OpenBLAS is as fast up to 128 by 128, and takes up to three times as long from 128 by 256 on (measured on
    an AMD EPYC). `dot` gives the same numbers as `@` with a microsecond less overhead.
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
        parameters, grads = (norm.weight.detach(), norm.bias.detach()), (_grad(norm.weight), _grad(norm.bias))
        scale = _Norm(*parameters, *grads, norm.normalized_shape, norm.eps)
    weight, bias, weight_grad, bias_grad = _views(linear.weight, linear.bias)
    return _Layer(weight, weight.T, bias, weight_grad, bias_grad, scale)


def _views(weight: Tensor, bias: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return weight.detach().numpy(), bias.detach().numpy(), _grad(weight).numpy(), _grad(bias).numpy()


def _grad(p: Tensor) -> Tensor:
    return torch.zeros(p.shape) if p.grad is None else p.grad  # a target network has none
