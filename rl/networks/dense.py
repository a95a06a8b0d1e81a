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
ALL = [True, True, True]
"""LayerNorm's gradients that are wanted: at its input, of its weight, of its bias."""
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
    """LayerNorm's parameters, for PyTorch's own kernels: one pass where NumPy needs seven, in a third of the time."""

    weight: Tensor  # [out]
    bias: Tensor  # [out]
    weight_grad: Tensor
    bias_grad: Tensor
    shape: tuple[int, ...]
    eps: float

    def forward(self, z: np.ndarray) -> tuple[np.ndarray, _Normed]:
        """Each row of z [B, out] standardised, scaled and shifted, and what `backward` needs."""
        before = torch.from_numpy(z)
        after, mean, spread = torch.native_layer_norm(before, self.shape, self.weight, self.bias, self.eps)
        return after.numpy(), _Normed(before, mean, spread)

    def backward(self, grad: np.ndarray, normed: _Normed) -> np.ndarray:
        """The gradient at what `forward` was given, from that at what it gave; sets the parameters' own."""
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
    """What going back through one layer needs."""

    x: np.ndarray  # [B, in]
    normed: _Normed | None


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
        parameters, grads = (norm.weight.detach(), norm.bias.detach()), (_grad(norm.weight), _grad(norm.bias))
        scale = _Norm(*parameters, *grads, norm.normalized_shape, norm.eps)
    weight, bias, weight_grad, bias_grad = _views(linear.weight, linear.bias)
    return _Layer(weight, weight.T, bias, weight_grad, bias_grad, scale)


def _views(weight: Tensor, bias: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return weight.detach().numpy(), bias.detach().numpy(), _grad(weight).numpy(), _grad(bias).numpy()


def _grad(p: Tensor) -> Tensor:
    return torch.zeros(p.shape) if p.grad is None else p.grad  # a target network has none
