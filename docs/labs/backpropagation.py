"""Lab: backpropagation by hand. Read backpropagation.md first, then repair `add_gradient` below.

python docs/labs/backpropagation.py        trains a small residual network, and checks its gradient
"""

from __future__ import annotations

from collections.abc import Callable

import lab  # type: ignore[import-not-found]
import numpy as np

EVERY = 50
UPDATES = 600
LR = 0.1
HIDDEN = 16
Derivative = Callable[[np.ndarray], np.ndarray]


def add_gradient(node: Value, gradient: np.ndarray) -> None:
    """Called for each path along which a gradient arrives at `node`."""
    # HOLE: this keeps the last path only. A value that is used twice gets two gradients.
    node.grad = gradient


class Value:
    """An array in a computation graph. `parents` are (value, function from our gradient to the gradient it gets)."""

    add: Callable[[Value, np.ndarray], None] = staticmethod(lambda node, gradient: add_gradient(node, gradient))

    def __init__(
        self, data: object, parents: tuple[tuple[Value, Callable[[np.ndarray], np.ndarray]], ...] = ()
    ) -> None:
        self.data = np.asarray(data, dtype=np.float64)
        self.grad = np.zeros_like(self.data)
        self.parents = parents

    def __add__(self, other: Value) -> Value:
        parents = ((self, lambda g: _unbroadcast(g, self)), (other, lambda g: _unbroadcast(g, other)))
        return Value(self.data + other.data, parents)

    def __mul__(self, other: Value) -> Value:
        left, right = (lambda g: _unbroadcast(g * other.data, self)), (lambda g: _unbroadcast(g * self.data, other))
        return Value(self.data * other.data, ((self, left), (other, right)))

    def __matmul__(self, other: Value) -> Value:
        left, right = (lambda g: g @ other.data.T), (lambda g: self.data.T @ g)
        return Value(self.data @ other.data, ((self, left), (other, right)))

    def tanh(self) -> Value:
        y = np.tanh(self.data)
        return Value(y, ((self, lambda g: g * (1 - y * y)),))

    def relu(self) -> Value:
        return Value(np.maximum(self.data, 0), ((self, lambda g: g * (self.data > 0)),))

    def mean(self) -> Value:
        return Value(self.data.mean(), ((self, lambda g: np.full_like(self.data, g / self.data.size)),))

    def backward(self) -> None:
        """Writes into `grad` of every value how much this one, a scalar, changes with it."""
        order: list[Value] = []
        _sort(self, set(), order)
        for node in order:
            node.grad = np.zeros_like(node.data)
        self.grad = np.ones_like(self.data)
        for node in reversed(order):  # each node after all that use it
            for parent, derivative in node.parents:
                Value.add(parent, derivative(node.grad))


def _sort(node: Value, seen: set[int], order: list[Value]) -> None:
    """Appends to `order` the values that `node` comes from, and then itself."""
    if id(node) in seen:
        return
    seen.add(id(node))
    for parent, _ in node.parents:
        _sort(parent, seen, order)
    order.append(node)


def _unbroadcast(gradient: np.ndarray, value: Value) -> np.ndarray:
    """Sums over the axes along which `value` was repeated."""
    while gradient.ndim > value.data.ndim:
        gradient = gradient.sum(axis=0)
    for axis, size in enumerate(value.data.shape):
        if size == 1:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Points in a ring, [256, 2], and whether each is nearer to the centre than 1, [256, 1] with -1 and 1."""
    x = np.random.default_rng(0).uniform(-1.6, 1.6, (256, 2))
    return x, np.where((x * x).sum(1, keepdims=True) < 1, 1.0, -1.0)


def weights() -> list[Value]:
    rng = np.random.default_rng(1)
    shapes = [(2, HIDDEN), (1, HIDDEN), (HIDDEN, HIDDEN), (1, HIDDEN), (HIDDEN, 1), (1, 1)]
    return [Value(rng.normal(0, 1 / np.sqrt(shape[0]), shape)) for shape in shapes]


def loss_of(w: list[Value], x: np.ndarray, y: np.ndarray) -> Value:
    """The mean squared error. `h` is used twice: by the layer and by the connection around it."""
    h = (Value(x) @ w[0] + w[1]).tanh()
    h = h + (h @ w[2] + w[3]).tanh()
    error = h @ w[4] + w[5] + Value(-y)
    return (error * error).mean()


def learn(add_gradient: Callable[[Value, np.ndarray], None] = add_gradient) -> list[float]:
    """The loss after every `EVERY` updates."""
    Value.add = staticmethod(add_gradient)
    (x, y), w, curve = problem(), weights(), []
    for update in range(1, UPDATES + 1):
        loss_of(w, x, y).backward()
        for value in w:
            value.data = value.data - LR * value.grad
        if update % EVERY == 0:
            curve.append(float(loss_of(w, x, y).data))
    return curve


def gradients(add_gradient: Callable[[Value, np.ndarray], None] = add_gradient) -> list[tuple[float, float]]:
    """(ours, by central differences) of the first weight of each array."""
    Value.add = staticmethod(add_gradient)
    (x, y), w, out = problem(), weights(), []
    loss_of(w, x, y).backward()
    for value in w:
        ours, numeric = float(value.grad.flat[0]), 0.0
        for sign in (1, -1):
            value.data.flat[0] += sign * 1e-5
            numeric += sign * float(loss_of(w, x, y).data) / 2e-5
            value.data.flat[0] -= sign * 1e-5
        out.append((ours, numeric))
    return out


def check(curve: list[float]) -> str:
    """What is wrong with the gradient that `learn` used last, or "" if nothing is."""
    for i, (ours, numeric) in enumerate(gradients(Value.add)):
        if abs(ours - numeric) > 1e-6:
            return f"weight {i}: your gradient is {ours:.5f}, central differences give {numeric:.5f}"
    return "" if curve[-1] < 0.2 else f"the loss ends at {curve[-1]:.2f}"


if __name__ == "__main__":
    lab.main(learn, check)
