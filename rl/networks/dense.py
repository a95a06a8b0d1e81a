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

    def learn(self, grad: np.ndarray, x: np.ndarray) -> None:
        """Sets the parameters' gradients from that at the layer's output, for the input `x`."""
        np.dot(grad.T, x, out=self.weight_grad)
        np.add.reduce(grad, 0, out=self.bias_grad)


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

    def backward(self, grad: np.ndarray, normed: _Normed, learn: bool) -> np.ndarray:
        """The gradient at the input, from the gradient at the output; `learn`: sets the parameters' gradients."""
        moments, wanted = (normed.mean, normed.spread, self.weight, self.bias), [True, learn, learn]
        at_z, at_weight, at_bias = torch.ops.aten.native_layer_norm_backward(
            torch.from_numpy(grad), normed.before, self.shape, *moments, wanted
        )
        if learn:
            self.weight_grad.copy_(at_weight)
            self.bias_grad.copy_(at_bias)
        gradient: np.ndarray = at_z.numpy()
        return gradient


class _Normed(NamedTuple):
    before: Tensor  # [B, out]
    mean: Tensor  # [B, 1]
    spread: Tensor  # [B, 1]: one over the deviation

    def at(self, rows: Tensor) -> _Normed:
        return _Normed(*(part[rows] for part in self))


class _Step(NamedTuple):
    """What the backward pass through one layer needs."""

    x: np.ndarray  # [B, in]
    normed: _Normed | None

    def at(self, rows: np.ndarray) -> _Step:
        """The same for some rows alone."""
        return _Step(self.x[rows], None if self.normed is None else self.normed.at(torch.from_numpy(rows)))


class Dense:
    """The layers of `mlp` under linear `heads`: [B, in] to [B, out], float32; the heads' outputs one beside another.

    It shares the memory of the modules' parameters, so it follows optimizer steps and loaded weights.
    `backward` writes into their `.grad`, which must exist and not be replaced (see `rl.optim.FlatOptimizer`).
    """

    def __init__(self, mlp: MLP, *heads: nn.Linear) -> None:
        self._relu = mlp.activation == "relu"
        self._hidden = [_layer(linear, norm) for linear, norm in mlp.layers]
        self._heads = [_layer(head, None) for head in heads]
        self._ends = np.cumsum([head.out_features for head in heads])[:-1]
        self._parameters = [p for part in (mlp, *heads) for p in part.parameters()]

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self._hidden)

    @property
    def learns(self) -> bool:
        """True if no parameter is frozen: `backward` sets the gradients of all."""
        return all(p.requires_grad for p in self._parameters)

    @classmethod
    def of(cls, torso: Torso, *heads: nn.Module) -> Dense | None:
        """`torso` and `heads` in NumPy, or None if they are not of the supported kind. `.grad` must exist already.

        Supported: one plain vector without frame stack or recurrent core, what `of_mlp` supports.
        """
        if type(torso) is not Torso or torso.plain_mlp is None or torso.core is not None:
            return None
        return cls.of_mlp(torso.plain_mlp, *heads)

    @classmethod
    def of_mlp(cls, mlp: MLP, *heads: nn.Module) -> Dense | None:
        """`mlp` and `heads` in NumPy, or None. Supported: ReLU or tanh, layers that learn as they act, linear heads,
        the CPU, and at most `LARGEST` parameters."""
        if mlp.moving or mlp.activation not in ("relu", "tanh"):
            return None
        linears = [*(linear for linear, _ in mlp.layers), *heads]
        if any(type(layer) is not nn.Linear for layer in linears):  # another class may compute something else
            return None
        parameters = [p for part in (mlp, *heads) for p in part.parameters()]
        if parameters[0].device.type != "cpu" or sum(p.numel() for p in parameters) > LARGEST:
            return None
        one_blas_thread()
        return cls(mlp, *heads)  # type: ignore[arg-type]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The output [B, out] alone."""
        return self.forward(x)[0]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, list[_Step]]:
        """The output [B, out], and what `backward` needs."""
        steps = []
        for layer in self._hidden:
            z = _product(x, layer.transposed)
            z += layer.bias
            normed = None
            if layer.norm is not None:
                z, normed = layer.norm.forward(z)
            steps.append(_Step(x, normed))
            x = _relu(z) if self._relu else np.tanh(z, out=z)
        steps.append(_Step(x, None))
        outputs = []
        for head in self._heads:
            outputs.append(_product(x, head.transposed))
            outputs[-1] += head.bias
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, 1), steps

    def backward(self, grad: np.ndarray, steps: list[_Step]) -> None:
        """Sets every parameter's gradient to that of a loss whose gradient at the output is `grad` [B, out]."""
        self._backward(grad, steps, learn=True)

    def input_gradient(self, grad: np.ndarray, steps: list[_Step], columns: slice) -> np.ndarray:
        """The gradient at the input's `columns`, [B, C]; the parameters' gradients stay. Needs a hidden layer."""
        return self._backward(grad, steps, learn=False).dot(self._hidden[0].weight[:, columns])

    def _backward(self, grad: np.ndarray, steps: list[_Step], learn: bool) -> np.ndarray:
        """The gradient at the first layer's output, before LayerNorm and activation; `learn`: sets the parameters'."""
        parts = [grad] if len(self._heads) == 1 else np.split(grad, self._ends, 1)
        if learn:
            for head, part in zip(self._heads, parts, strict=True):
                head.learn(part, steps[-1].x)
        if self._hidden:
            grad = _product(parts[0], self._heads[0].weight)
            for head, part in zip(self._heads[1:], parts[1:], strict=True):
                grad += _product(part, head.weight)
        for i in range(len(self._hidden) - 1, -1, -1):
            layer, (x, normed), after = self._hidden[i], steps[i], steps[i + 1].x
            grad = _through_relu(grad, after) if self._relu else np.multiply(grad, 1.0 - after * after, out=grad)
            if layer.norm is not None and normed is not None:
                grad = layer.norm.backward(grad, normed, learn)
            if learn:
                layer.learn(grad, x)
            if i:
                grad = _product(grad, layer.weight)
        return grad


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a [B, n] @ b [n, m], float32; by PyTorch's BLAS if b is large.

    NumPy's OpenBLAS is as fast up to 128 by 128, and takes up to three times as long from 128 by 256 on (measured on
    an AMD EPYC). `dot` gives the same numbers as `@` with a microsecond less overhead.
    """
    if b.size < WIDE or len(a) < FEW:
        return a.dot(b)
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b)).numpy()


def _relu(z: np.ndarray) -> np.ndarray:
    """The positive part of z, in place; by PyTorch, in a fifth of the time, if z is large."""
    if z.size < WIDE:
        return np.maximum(z, ZERO, out=z)
    torch.from_numpy(z).relu_()
    return z


def _through_relu(grad: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The gradient before ReLU, in the place of that behind it, `grad`."""
    if grad.size < WIDE:
        grad *= after > 0
    else:
        whole = torch.from_numpy(grad)
        torch.ops.aten.threshold_backward.grad_input(whole, torch.from_numpy(after), 0, grad_input=whole)
    return grad


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
