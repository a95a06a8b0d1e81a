"""Small MLPs compiled by numba: the values and the gradient of a network, each in one call from Python.

`rl.networks.dense` needs about thirty calls of NumPy for an update of a 64-64 network with 32 rows, and on a slow
processor a call takes longer than its arithmetic. Here the forward pass is one call, and so is the backward pass.
With many rows the matrix products decide, and BLAS is up to four times as fast as these loops: from `MANY` on it makes
the products, and what lies between two of them is one call. Beyond `WIDEST`, all of it is left to `Dense`.

A network is its flat vector of parameters (`rl.optim.FlatOptimizer`) and a table with one row a layer: inputs, outputs,
and where its weight [out, in], bias, LayerNorm scale and shift begin in the vector (-1 without LayerNorm).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rl.jit import compiled
from rl.networks.dense import Dense
from rl.networks.encoders import MLP

WIDEST = 128
"""Largest width that is compiled."""
MANY = 160_000
"""Multiplications in a forward pass through the largest layer from which on BLAS makes the products."""
NARROW = 16
"""Inputs below which a layer's products run over its outputs, if those are not few."""
IN, OUT, WEIGHT, BIAS, SCALE, SHIFT = range(6)


_compiled = partial(compiled, reordered=True)


class Kept(NamedTuple):
    """What the backward pass needs of a forward pass over B rows."""

    x: np.ndarray  # [B, in]
    active: np.ndarray  # the layers' outputs, each [B, out], one behind another
    normed: np.ndarray  # the same before LayerNorm's scale and shift; empty without it
    spread: np.ndarray  # [layers, B]: one over LayerNorm's deviation; empty without it


class CompiledDense:
    """`Dense` for a small MLP with ReLU or tanh under one linear head: [B, in] to [B, out], float32."""

    def __init__(
        self, dense: Dense, flat: np.ndarray, grad: np.ndarray, table: np.ndarray, eps: float, tanh: bool
    ) -> None:
        self._dense, self._flat, self._grad, self._table, self._eps = dense, flat, grad, table, eps
        self._tanh = tanh
        self._width, self._out = int(table[:, OUT].sum()), int(table[-1, OUT])
        self._norm = bool(table[0, SCALE] >= 0)
        self._no_norm = np.empty(0, np.float32), np.empty((0, 0), np.float32)
        self._weights = _matrices(flat, table)
        self._most = int((table[:, IN] * table[:, OUT]).max())
        self._weight_grads = _matrices(grad, table) if len(grad) else []

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self._table) - 1

    @property
    def weights(self) -> int:
        """The number of elements of the weight matrices."""
        return self._dense.weights

    @property
    def learns(self) -> bool:
        """True if no parameter is frozen: `backward` sets the gradients of all."""
        return self._dense.learns

    @classmethod
    def of(cls, dense: Dense, mlp: MLP, head: nn.Linear) -> CompiledDense | None:
        """`dense`, made of `mlp` and `head`, or None if it is larger, has no hidden layer or no flat parameters."""
        layers: list[tuple[nn.Linear, nn.LayerNorm | None]] = [*mlp.layers, (head, None)]
        widths = [size for linear, _ in layers for size in (linear.in_features, linear.out_features)]
        if mlp.moving or not mlp.layers or max(widths) > WIDEST:
            return None
        parameters = [p for part in (mlp, head) for p in part.parameters()]
        flat, grad = _storage(parameters), _storage([p.grad for p in parameters if p.grad is not None])
        if flat is None or any(
            p.grad is not None and p.grad.storage_offset() != p.storage_offset() for p in parameters
        ):
            return None
        rows = []
        for linear, norm in layers:
            places = (linear.weight, linear.bias, *((norm.weight, norm.bias) if norm is not None else ()))
            offsets = [p.storage_offset() for p in places]
            rows.append([linear.in_features, linear.out_features, *offsets, *[-1] * (4 - len(offsets))])
        eps = mlp.layers[0][1].eps if mlp.layers[0][1] is not None else 0.0
        grad = np.zeros(0, np.float32) if grad is None else grad
        return cls(dense, flat, grad, np.array(rows), eps, mlp.activation == "tanh")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The output [B, out] alone."""
        return self.forward(x)[0]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Kept]:
        """The output [B, out], and what `backward` needs."""
        rows = len(x)
        active = np.empty(rows * self._width, np.float32)
        normed, spread = self._no_norm
        if self._norm:
            normed, spread = np.empty_like(active), np.empty((len(self._table), rows), np.float32)
        if rows * self._most < MANY:
            _forward(x, self._flat, self._table, self._eps, self._tanh, active, normed, spread)
        else:
            self._forward(x, active, normed, spread)
        out = active[rows * (self._width - self._out) :].reshape(rows, self._out)
        return out, Kept(x, active, normed, spread)

    def backward(self, grad: np.ndarray, kept: Kept) -> None:
        """Sets every parameter's gradient to that of a loss whose gradient at the output is `grad` [B, out]."""
        if len(grad) * self._most >= MANY:
            self._backward(grad, kept)
            return
        kept_rows = (kept.active, kept.normed, kept.spread)
        _backward(grad, kept.x, self._flat, self._grad, self._table, self._tanh, *kept_rows)

    def _forward(self, x: np.ndarray, active: np.ndarray, normed: np.ndarray, spread: np.ndarray) -> None:
        """The function `_forward`, with BLAS for the products."""
        rows, start = len(x), 0
        for layer, weight in enumerate(self._weights):
            end = start + rows * len(weight)
            z = active[start:end].reshape(rows, len(weight))
            np.dot(x, weight.T, out=z)
            _finish(z, layer, self._flat, self._table, self._eps, self._tanh, normed[start:end], spread)
            x, start = z, end

    def _backward(self, grad: np.ndarray, kept: Kept) -> None:
        """The function `_backward`, with BLAS for the products."""
        rows, end = len(grad), len(kept.active)
        for layer in range(self.depth, -1, -1):
            weight = self._weights[layer]
            outputs, inputs = weight.shape
            start = end - rows * outputs
            after, hat = kept.active[start:end], kept.normed[start:end]
            _begin_backward(grad, layer, after, self._flat, self._grad, self._table, self._tanh, hat, kept.spread)
            before = kept.active[start - rows * inputs : start].reshape(rows, inputs) if layer else kept.x
            np.dot(grad.T, before, out=self._weight_grads[layer])
            if layer:
                grad = np.dot(grad, weight)
            end = start


def _matrices(flat: np.ndarray, table: np.ndarray) -> list[np.ndarray]:
    """The layers' weights [out, in] in the vector `flat`."""
    rows = [(row[WEIGHT], row[OUT], row[IN]) for row in table.tolist()]
    return [flat[at : at + outputs * inputs].reshape(outputs, inputs) for at, outputs, inputs in rows]


def _storage(tensors: Sequence[Tensor]) -> np.ndarray | None:
    """The one vector that float32 `tensors` are parts of; None if there is no such vector."""
    places = {x.untyped_storage().data_ptr() for x in tensors}
    if len(places) != 1 or any(x.dtype != torch.float32 or not x.is_contiguous() for x in tensors):
        return None
    found: np.ndarray = torch.empty(0).set_(tensors[0].untyped_storage()).numpy()  # type: ignore[call-overload]
    return found


@_compiled
def _product(x, weight, z):  # type: ignore[no-untyped-def]
    """z = x weight.T, four rows at once: [B, in], [out, in] -> [B, out]."""
    rows, inputs = x.shape
    outputs = len(weight)
    if outputs >= NARROW > inputs:
        _weighted(x, np.ascontiguousarray(weight.T), z)
        return
    whole = rows - rows % 4
    for b in range(0, whole, 4):
        x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
        for o in range(outputs):
            w = weight[o]
            s0 = s1 = s2 = s3 = np.float32(0)
            for i in range(inputs):
                s0 += x0[i] * w[i]
                s1 += x1[i] * w[i]
                s2 += x2[i] * w[i]
                s3 += x3[i] * w[i]
            z[b, o], z[b + 1, o], z[b + 2, o], z[b + 3, o] = s0, s1, s2, s3
    for b in range(whole, rows):
        for o in range(outputs):
            s = np.float32(0)
            for i in range(inputs):
                s += x[b, i] * weight[o, i]
            z[b, o] = s


@_compiled
def _weighted(a, b, out):  # type: ignore[no-untyped-def]
    """out = a b, two rows and four terms at once: [n, k], [k, m] -> [n, m]."""
    (rows, terms), width = a.shape, b.shape[1]
    whole = terms - terms % 4
    for r in range(0, rows, 2):
        r2 = min(r + 1, rows - 1)  # of an odd number of rows, the last one is computed twice
        y, y2 = out[r], out[r2]
        for i in range(width):
            y[i] = y2[i] = 0
        for k in range(0, whole, 4):
            a0, a1, a2, a3 = a[r, k], a[r, k + 1], a[r, k + 2], a[r, k + 3]
            c0, c1, c2, c3 = a[r2, k], a[r2, k + 1], a[r2, k + 2], a[r2, k + 3]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            for i in range(width):
                y[i] += a0 * b0[i] + a1 * b1[i] + a2 * b2[i] + a3 * b3[i]
            if r2 > r:
                for i in range(width):
                    y2[i] += c0 * b0[i] + c1 * b1[i] + c2 * b2[i] + c3 * b3[i]
        for k in range(whole, terms):
            for i in range(width):
                y[i] += a[r, k] * b[k, i]
            if r2 > r:
                for i in range(width):
                    y2[i] += a[r2, k] * b[k, i]


@_compiled
def _forward(x, flat, table, eps, tanh, active, normed, spread):  # type: ignore[no-untyped-def]
    rows, start = len(x), 0
    for layer in range(len(table)):
        inputs, outputs, weight = table[layer, :BIAS]
        end = start + rows * outputs
        z = active[start:end].reshape(rows, outputs)
        _product(x, flat[weight : weight + inputs * outputs].reshape(outputs, inputs), z)
        _finish(z, layer, flat, table, eps, tanh, normed[start:end], spread)
        x, start = z, end


@_compiled
def _finish(z, layer, flat, table, eps, tanh, normed, spread):  # type: ignore[no-untyped-def]
    """What follows a layer's product z [B, out], in place: bias, LayerNorm, activation; `normed` [B * out]."""
    rows, outputs = z.shape
    bias, scale, shift = table[layer, BIAS:]
    added = flat[bias : bias + outputs]
    for b in range(rows):
        for o in range(outputs):
            z[b, o] += added[o]
    if scale >= 0:
        hat = normed.reshape(rows, outputs)
        _normalise(z, flat[scale : scale + outputs], flat[shift : shift + outputs], eps, hat, spread[layer])
    if layer == len(table) - 1:
        return
    if tanh:
        _squash(z.reshape(-1))
        return
    for b in range(rows):
        for o in range(outputs):
            if z[b, o] < 0:  # NaN stays
                z[b, o] = 0


@_compiled
def _squash(z):  # type: ignore[no-untyped-def]
    """tanh of z [n], in place, to 2e-7; in a fifth of NumPy's time.

    Lambert's continued fraction to the term 13, at a quarter of z; then twice tanh(2 y) = 2 tanh(y) / (1 + tanh(y)^2).
    Beyond 9.2, float32 has no number between tanh and 1.
    """
    one, two = np.float32(1), np.float32(2)
    for i in range(len(z)):
        y = min(max(z[i], np.float32(-9.2)), np.float32(9.2)) * np.float32(0.25)
        s = y * y
        above = y * (np.float32(135135) + s * (np.float32(17325) + s * (np.float32(378) + s)))
        below = np.float32(135135) + s * (np.float32(62370) + s * (np.float32(3150) + s * np.float32(28)))
        half = above / below
        half = two * half / (one + half * half)
        z[i] = two * half / (one + half * half)


@_compiled
def _normalise(z, scale, shift, eps, hat, spread):  # type: ignore[no-untyped-def]
    """LayerNorm of the rows of z, in place; `hat` and `spread` are kept for `_through_norm`."""
    rows, width = z.shape
    for b in range(rows):
        total = np.float32(0)
        for o in range(width):
            total += z[b, o]
        mean = total / np.float32(width)
        square = np.float32(0)
        for o in range(width):
            hat[b, o] = z[b, o] - mean
            square += hat[b, o] * hat[b, o]
        spread[b] = np.float32(1) / np.sqrt(square / np.float32(width) + np.float32(eps))
        for o in range(width):
            hat[b, o] *= spread[b]
            z[b, o] = hat[b, o] * scale[o] + shift[o]


@_compiled
def _backward(grad, x, flat, flat_grad, table, tanh, active, normed, spread):  # type: ignore[no-untyped-def]
    rows, end = len(grad), len(active)
    for layer in range(len(table) - 1, -1, -1):
        inputs, outputs, weight = table[layer, :BIAS]
        start = end - rows * outputs
        _begin_backward(grad, layer, active[start:end], flat, flat_grad, table, tanh, normed[start:end], spread)
        before = active[start - rows * inputs : start].reshape(rows, inputs) if layer else x
        _learn(grad, before, flat_grad[weight : weight + inputs * outputs].reshape(outputs, inputs))
        if layer:
            below = np.empty((rows, inputs), np.float32)
            _weighted(grad, flat[weight : weight + inputs * outputs].reshape(outputs, inputs), below)
            grad = below
        end = start


@_compiled
def _begin_backward(grad, layer, active, flat, flat_grad, table, tanh, normed, spread):  # type: ignore[no-untyped-def]
    """`grad` [B, out] from behind the activation to behind the layer's product, in place, as `_finish` backwards.

    Sets the gradients of bias and LayerNorm. `active` and `normed` [B * out] are those of the forward pass.
    """
    rows, outputs = grad.shape
    bias, scale, shift = table[layer, BIAS:]
    if layer < len(table) - 1:
        after = active.reshape(rows, outputs)
        for b in range(rows):
            for o in range(outputs):
                if tanh:
                    grad[b, o] *= np.float32(1) - after[b, o] * after[b, o]
                elif not after[b, o] > 0:
                    grad[b, o] = 0
    if scale >= 0:
        hat = normed.reshape(rows, outputs)
        at_scale, at_shift = flat_grad[scale : scale + outputs], flat_grad[shift : shift + outputs]
        _through_norm(grad, flat[scale : scale + outputs], hat, spread[layer], at_scale, at_shift)
    at_bias = flat_grad[bias : bias + outputs]
    at_bias[:] = 0
    for b in range(rows):
        for o in range(outputs):
            at_bias[o] += grad[b, o]


@_compiled
def _learn(grad, x, weight_grad):  # type: ignore[no-untyped-def]
    """weight_grad = grad.T x: [B, out], [B, in] -> [out, in]."""
    if x.shape[1] < NARROW:
        turned = np.empty((x.shape[1], grad.shape[1]), np.float32)
        _weighted(np.ascontiguousarray(x.T), grad, turned)
        weight_grad[:] = turned.T
    else:
        _weighted(np.ascontiguousarray(grad.T), x, weight_grad)


@_compiled
def _through_norm(grad, scale, hat, spread, at_scale, at_shift):  # type: ignore[no-untyped-def]
    """The gradient before LayerNorm, in the place of that behind it; sets those of its scale and shift."""
    rows, width = grad.shape
    for o in range(width):
        at_scale[o] = at_shift[o] = 0
    for b in range(rows):
        mean = np.float32(0)
        along = np.float32(0)
        for o in range(width):
            at_scale[o] += grad[b, o] * hat[b, o]
            at_shift[o] += grad[b, o]
            grad[b, o] *= scale[o]
            mean += grad[b, o]
            along += grad[b, o] * hat[b, o]
        mean /= np.float32(width)
        along /= np.float32(width)
        for o in range(width):
            grad[b, o] = (grad[b, o] - mean - hat[b, o] * along) * spread[b]
