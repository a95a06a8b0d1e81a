"""Small MLPs in NumPy, forward and backward, on the memory of PyTorch's parameters and gradients.

`agents/numpy_gradients.py` explains why and when they are used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rl.device import one_blas_thread
from rl.networks.encoders import MLP
from rl.networks.moving import BatchRenorm, Dropout
from rl.networks.torso import Torso

LARGEST = 300_000
"""Number of parameters above which PyTorch is faster."""
WIDE, FEW = 128 * 256, 16
"""Elements of a matrix from which on PyTorch applies ReLU faster, and with so many rows, multiplies faster."""
ZERO = np.zeros((), np.float32)
"""An array, because NumPy would convert a Python number at each use."""


class _Layer(NamedTuple):
    """Views of one layer's parameters, and of their gradients; `norm` is None without LayerNorm, and so on."""

    weight: np.ndarray  # [out, in]
    transposed: np.ndarray  # [in, out]
    bias: np.ndarray  # [out]
    weight_grad: np.ndarray
    bias_grad: np.ndarray
    norm: _Norm | None
    renorm: _Renorm | None

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


class _Renorm(NamedTuple):
    """`BatchRenorm` by PyTorch's kernels."""

    layer: BatchRenorm

    def forward(self, x: np.ndarray, learns: bool) -> tuple[np.ndarray, _Renormed]:
        """`BatchRenorm.forward` of x [B, F], which stays as it is. Raises ValueError for one row that is to teach."""
        layer, rows = self.layer, torch.from_numpy(x)
        weight, bias = layer.weight.detach(), layer.bias.detach()
        if not learns:
            scale = weight * (layer.var + layer.EPS).rsqrt()
            return torch.addcmul(bias - layer.mean * scale, rows, scale).numpy(), _Renormed(scale)
        if len(x) < 2:
            raise ValueError(f"batch renormalisation learns from 2 rows or more, got {len(x)}")
        warm = int(layer.batches) <= layer.warmup
        mean, spread = layer.mean.clone(), (layer.var + layer.EPS).sqrt()
        scale_by, add = (weight, bias) if warm else (None, None)
        out, at, inverse = torch.native_batch_norm(
            rows, scale_by, add, layer.mean, layer.var, True, layer.MOMENTUM, layer.EPS
        )
        if warm:
            layer.batches += 1
            return out.numpy(), _Renormed(weight, rows, at, inverse)
        factor = (1 / (inverse * spread)).clamp_(1 / layer.LARGEST_FACTOR, layer.LARGEST_FACTOR)
        shift = ((at - mean) / spread).clamp_(-layer.LARGEST_SHIFT, layer.LARGEST_SHIFT)
        scale = factor * weight
        out.mul_(scale).add_(shift.mul(weight).add_(bias))
        return out.numpy(), _Renormed(scale, rows, at, inverse, factor, shift)

    def backward(self, grad: np.ndarray, kept: _Renormed, learn: bool) -> np.ndarray:
        """The gradient at the input, from the gradient at the output; `learn`: sets the parameters' gradients."""
        layer, at_output = self.layer, torch.from_numpy(grad)
        if kept.before is None:
            assert not learn, "a pass with `learns` comes before"
            return at_output.mul_(kept.scale).numpy()
        moments = (kept.scale, layer.mean, layer.var, kept.mean, kept.inverse, True, layer.EPS)
        at_x, at_scale, at_bias = torch.ops.aten.native_batch_norm_backward(
            at_output, kept.before, *moments, [True, learn, learn]
        )
        if learn:
            if kept.factor is not None and kept.shift is not None:
                at_scale = at_scale * kept.factor + at_bias * kept.shift
            layer.weight.grad.copy_(at_scale)  # type: ignore[union-attr]
            layer.bias.grad.copy_(at_bias)  # type: ignore[union-attr]
        gradient: np.ndarray = at_x.numpy()
        return gradient


class _Renormed(NamedTuple):
    """What the backward pass through `BatchRenorm` needs; the scale alone if it did not learn. All [F] but `before`."""

    scale: Tensor
    before: Tensor | None = None  # [B, F]
    mean: Tensor | None = None
    inverse: Tensor | None = None  # one over the batch's deviation
    factor: Tensor | None = None  # none during the warm-up
    shift: Tensor | None = None


class _Step(NamedTuple):
    """What the backward pass through one layer needs."""

    x: np.ndarray  # [B, in]
    normed: _Normed | None
    active: np.ndarray  # [B, out], the activation
    renormed: _Renormed | None

    def at(self, rows: np.ndarray) -> _Step:
        """The same for some rows alone, if no batch renormalisation learned. The input, which only parameters'
        gradients need, stays whole."""
        normed = None if self.normed is None else self.normed.at(torch.from_numpy(rows))
        return _Step(self.x, normed, self.active[rows], self.renormed)


class Steps(NamedTuple):
    """What the backward pass through a `Dense` needs."""

    first: _Renormed | None
    layers: list[_Step]
    last: np.ndarray  # [B, features], the heads' input

    def at(self, rows: np.ndarray) -> Steps:
        """The same for some rows alone, for `Dense.input_gradient` behind a pass that did not learn."""
        return Steps(self.first, [step.at(rows) for step in self.layers], self.last)


class Dense:
    """The layers of `mlp` under linear `heads`: [B, in] to [B, out], float32; the heads' outputs one beside another.

    It shares the memory of the modules' parameters, so it follows optimizer steps and loaded weights.
    `backward` writes into their `.grad`, which must exist and not be replaced (see `rl.optim.FlatOptimizer`).
    """

    def __init__(self, mlp: MLP, *heads: nn.Linear) -> None:
        self._relu = mlp.activation == "relu"
        renorms: list[Any] = [_Renorm(m) for m in mlp if isinstance(m, BatchRenorm)]
        self._first, *after = renorms or [None] * (len(mlp.layers) + 1)
        self._hidden = [_layer(*parts, renorm) for parts, renorm in zip(mlp.layers, after, strict=True)]
        self._heads = [_layer(head, None, None) for head in heads]
        self._ends = np.cumsum([head.out_features for head in heads])[:-1]
        self._parameters = [p for part in (mlp, *heads) for p in part.parameters()]

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self._hidden)

    @property
    def weights(self) -> int:
        """The number of elements of the weight matrices."""
        return sum(layer.weight.size for layer in (*self._hidden, *self._heads))

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
        """`mlp` and `heads` in NumPy, or None. Supported: ReLU or tanh, LayerNorm, batch renormalisation, linear heads,
        the CPU, and at most `LARGEST` parameters."""
        if type(mlp) is not MLP or any(isinstance(layer, Dropout) for layer in mlp):
            return None
        if mlp.activation not in ("relu", "tanh"):
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

    def forward(self, x: np.ndarray, learns: bool = False) -> tuple[np.ndarray, Steps]:
        """The output [B, out], and what `backward` needs. `learns`: batch renormalisation does (`moving.learning`)."""
        first, layers = None, []
        if self._first is not None:
            x, first = self._first.forward(x, learns)
        for layer in self._hidden:
            z = _product(x, layer.transposed)
            z += layer.bias
            normed = renormed = None
            if layer.norm is not None:
                z, normed = layer.norm.forward(z)
            active = after = _relu(z) if self._relu else np.tanh(z, out=z)
            if layer.renorm is not None:
                after, renormed = layer.renorm.forward(active, learns)
            layers.append(_Step(x, normed, active, renormed))
            x = after
        outputs = []
        for head in self._heads:
            outputs.append(_product(x, head.transposed))
            outputs[-1] += head.bias
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, 1), Steps(first, layers, x)

    def backward(self, grad: np.ndarray, steps: Steps) -> None:
        """Sets every parameter's gradient to that of a loss whose gradient at the output is `grad` [B, out]."""
        grad = self._backward(grad, steps, learn=True)
        if self._first is not None and steps.first is not None:
            self._first.backward(_product(grad, self._hidden[0].weight), steps.first, learn=True)

    def input_gradient(self, grad: np.ndarray, steps: Steps, columns: slice) -> np.ndarray:
        """The gradient at the input's `columns`, [B, C]; the parameters' gradients stay. Needs a hidden layer, and
        steps that did not learn."""
        assert steps.first is None or steps.first.before is None
        gradient = self._backward(grad, steps, learn=False).dot(self._hidden[0].weight[:, columns])
        return gradient if steps.first is None else gradient * steps.first.scale[columns].numpy()

    def _backward(self, grad: np.ndarray, steps: Steps, learn: bool) -> np.ndarray:
        """The gradient at the first layer's output, before LayerNorm and activation; `learn`: sets the parameters'."""
        parts = [grad] if len(self._heads) == 1 else np.split(grad, self._ends, 1)
        if learn:
            for head, part in zip(self._heads, parts, strict=True):
                head.learn(part, steps.last)
        if self._hidden:
            grad = _product(parts[0], self._heads[0].weight)
            for head, part in zip(self._heads[1:], parts[1:], strict=True):
                grad += _product(part, head.weight)
        for i in range(len(self._hidden) - 1, -1, -1):
            layer, (x, normed, active, renormed) = self._hidden[i], steps.layers[i]
            if layer.renorm is not None and renormed is not None:
                grad = layer.renorm.backward(grad, renormed, learn)
            grad = _through_relu(grad, active) if self._relu else np.multiply(grad, 1.0 - active * active, out=grad)
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


def _layer(linear: nn.Linear, norm: nn.LayerNorm | None, renorm: _Renorm | None) -> _Layer:
    scale = None
    if norm is not None:
        parameters, grads = (norm.weight.detach(), norm.bias.detach()), (_grad(norm.weight), _grad(norm.bias))
        scale = _Norm(*parameters, *grads, norm.normalized_shape, norm.eps)
    weight, bias, weight_grad, bias_grad = _views(linear.weight, linear.bias)
    return _Layer(weight, weight.T, bias, weight_grad, bias_grad, scale, renorm)


def _views(weight: Tensor, bias: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return weight.detach().numpy(), bias.detach().numpy(), _grad(weight).numpy(), _grad(bias).numpy()


def _grad(p: Tensor) -> Tensor:
    return torch.zeros(p.shape) if p.grad is None else p.grad  # a target network has none
