"""A loss recorded operation by operation, and its gradient by a chain rule of our own, checked against autograd.

`Tape` sees each PyTorch function of the forward pass with its arguments. `RULES` holds one derivative a function.
`chain_rule` goes backwards through the record with these rules alone; `check` compares every step with autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

TOLERANCE = 1e-6
"""Largest difference from autograd, divided by the gradient's largest element if that exceeds 1; float64."""

Gradients = Sequence[Tensor | None]


class Rule(NamedTuple):
    """One derivative: its formula in words of g, the gradient at the output y, and the function that computes it.

    The function is called as f(g, y, *args, **kwargs) with the operation's own arguments, and returns the gradient at
    each of them in order; those of broadcast arguments are summed afterwards. If it is None, the operation only moves
    or copies entries, and `Operation.moved_back` takes its place.
    """

    formula: str
    function: Callable[..., Gradients] | None


def _linear(g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor | None = None) -> Gradients:
    rows = g.flatten(0, -2)
    return g @ w, rows.T @ x.flatten(0, -2), rows.sum(0)


def _conv2d(g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor | None = None, *how: Any, **more: Any) -> Gradients:
    given = dict(zip(("stride", "padding", "dilation"), how, strict=False)) | more
    steps, kernel = {k: v for k, v in given.items() if k != "groups"}, tuple(w.shape[2:])
    patches, rows = F.unfold(x, kernel, **steps), g.flatten(2)  # [B, in * kernel, places], [B, out, places]
    to_x = F.fold(w.flatten(1).T @ rows, x.shape[2:], kernel, **steps) if x.requires_grad else None
    return to_x, (rows @ patches.mT).sum(0).view_as(w), g.sum((0, 2, 3))


def _layer_norm(g: Tensor, y: Tensor, x: Tensor, shape: Sequence[int], **own: Any) -> Gradients:
    dims = tuple(range(-len(shape), 0))
    scale = (x.var(dims, unbiased=False, keepdim=True) + own.get("eps", 1e-5)).rsqrt()
    normed = (x - x.mean(dims, keepdim=True)) * scale
    inner = g if own.get("weight") is None else g * own["weight"]
    mean, along = inner.mean(dims, keepdim=True), (inner * normed).mean(dims, keepdim=True)
    return scale * (inner - mean - normed * along), None, g * normed, g


def _spread(g: Tensor, x: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    """The gradient of a sum over `dim`, at each of its terms."""
    return g.reshape(x.detach().sum(dim, keepdim=True).shape).expand_as(x)


def _amin(g: Tensor, y: Tensor, x: Tensor, dim: Any = None, keepdim: bool = False) -> Gradients:
    least = x == _spread(y, x, dim, keepdim)
    return (_spread(g, x, dim, keepdim) * least / least.sum(dim, keepdim=True),)


def _smaller(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Gradients:
    to_a = (a < b) + 0.5 * (a == b)
    return g * to_a, g * (1 - to_a)


def _huber(g: Tensor, y: Tensor, x: Tensor, target: Tensor, *_: Any, delta: float = 1.0, **__: Any) -> Gradients:
    error = (x - target).clamp(-delta, delta)
    return g * error, -g * error


_TABLE: Sequence[tuple[str, str, Callable[..., Gradients] | None]] = (
    ("linear", "g W at x, gᵀ x at W, Σ g at b", _linear),
    ("conv2d", "g * W (transposed) at x, g * x at W, Σ g at b", _conv2d),
    ("layer_norm", "(h − mean h − x̂ mean(h x̂)) / σ at x with h = g w, Σ g x̂ at w, Σ g at b", _layer_norm),
    ("relu", "g where x > 0, else 0", lambda g, y, x, **_: (g * (x > 0),)),
    ("elu", "g where x > 0, else g (y + 1)", lambda g, y, x, *_, **__: (torch.where(x > 0, g, g * (y + 1)),)),
    ("silu", "g (σ(x) + y (1 − σ(x)))", lambda g, y, x, **_: (g * (x.sigmoid() + y * (1 - x.sigmoid())),)),
    ("tanh", "g (1 − y²)", lambda g, y, x: (g * (1 - y * y),)),
    ("softplus", "g σ(x)", lambda g, y, x, **_: (g * x.sigmoid(),)),
    ("softmax", "y (g − Σ g y)", lambda g, y, x, dim=-1, **_: (y * (g - (g * y).sum(dim, keepdim=True)),)),
    ("log_softmax", "g − softmax(x) Σ g", lambda g, y, x, dim=-1, **_: (g - y.exp() * g.sum(dim, keepdim=True),)),
    ("huber_loss", "g · clip(x − target, −δ, δ)", _huber),
    ("add radd", "g at both", lambda g, y, a, b: (g, g)),
    ("sub", "g at a, −g at b", lambda g, y, a, b: (g, -g)),
    ("rsub", "−g", lambda g, y, a, b: (-g, g)),
    ("mul rmul", "g · b at a, g · a at b", lambda g, y, a, b: (g * b, g * a)),
    ("div truediv", "g / b at a, −g y / b at b", lambda g, y, a, b: (g / b, -g * y / b)),
    ("addcmul", "g at a, g · c at b, g · b at c", lambda g, y, a, b, c: (g, g * c, g * b)),
    ("neg", "−g", lambda g, y, x: (-g,)),
    ("square", "2 g x", lambda g, y, x: (2 * g * x,)),
    ("sqrt", "g / 2y", lambda g, y, x: (g / (2 * y),)),
    ("exp", "g y", lambda g, y, x: (g * y,)),
    ("log", "g / x", lambda g, y, x: (g / x,)),
    ("sum", "g at every term", lambda g, y, x, *dim, **how: (_spread(g, x, *dim, **how),)),
    ("mean", "g / n at every term", lambda g, y, *x, **how: (_spread(g, *x, **how) * (y.numel() / x[0].numel()),)),
    ("min", "g at the smaller one, half at each if equal", _smaller),
    ("amin", "g at the smallest, shared if several are", _amin),
    ("clamp", "g within the bounds, else 0", lambda g, y, x, *_, **__: (g * (y == x),)),
    ("where", "g at the side that was taken", lambda g, y, c, a, b: (None, g * c, g * ~c)),
    ("masked_fill", "g where the mask is off, else 0", lambda g, y, x, mask, value: (g * ~mask,)),
    ("getitem gather chunk", "g at the chosen entries, 0 at the others", None),
    ("cat stack", "g, cut into the parts", None),
    ("transpose movedim", "g with its axes back", None),
    ("flatten reshape view unflatten squeeze unsqueeze", "g in x's shape", None),
    ("expand", "Σ g over the copies", None),
)
RULES = {name: Rule(words, function) for names, words, function in _TABLE for name in names.split()}
"""The derivatives by the function's name. Another function takes PyTorch's own derivative, and the page says so."""


@dataclass
class Operation:
    """One recorded call; `out` needs a gradient, and so does at least one tensor of `inputs`."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Tensor
    pick: int | None = None  # which of several results `out` is
    inputs: list[Any] = field(init=False)  # the arguments in order, lists of tensors opened
    wanted: dict[int, Tensor] = field(init=False)  # the inputs that needed a gradient during the call, by their place
    # by `chain_rule`: the gradient of the loss at `out`, and what the operation passes on to `wanted`
    arrives: Tensor = field(init=False)
    passes: dict[int, Tensor] = field(init=False)
    # by `check`: how far `passes` is from autograd's for the same `arrives`, and `arrives` after the whole chain
    rule_gap: float = 0.0
    chain_gap: float = 0.0

    def __post_init__(self) -> None:
        self.inputs = [x for arg in (*self.args, *self.kwargs.values()) for x in (arg if _listed(arg) else [arg])]
        self.wanted = {k: x for k, x in enumerate(self.inputs) if wants(x)}

    @property
    def own(self) -> bool:
        """Whether `RULES` has its derivative."""
        return self.name in RULES and (self.pick is None or RULES[self.name].function is None)

    def again(self, other: dict[int, Tensor]) -> Tensor:
        """The same call with other tensors at some places of `inputs`."""
        given = iter([other.get(k, x) for k, x in enumerate(self.inputs)])
        closed = [[next(given) for _ in x] if _listed(x) else next(given) for x in (*self.args, *self.kwargs.values())]
        count = len(self.args)
        out = self.function(*closed[:count], **dict(zip(self.kwargs, closed[count:], strict=True)))
        return out if self.pick is None else out[self.pick]  # type: ignore[no-any-return]

    def by_rule(self, g: Tensor) -> dict[int, Tensor]:
        """The gradient at each of `wanted` by `RULES`, or by PyTorch if there is no rule."""
        if not self.own:
            return self.by_autograd(g)
        rule = RULES[self.name].function
        found = rule(g, self.out.detach(), *self.args, **self.kwargs) if rule else self.moved_back(g)
        given = {k: d for k, d in enumerate(found) if k in self.wanted and d is not None}
        return {k: d.sum_to_size(self.wanted[k].shape).detach() for k, d in given.items()}

    def moved_back(self, g: Tensor) -> Gradients:
        """Adds each entry of g to the entry of the inputs that it is a copy of, found by a call on their numbers."""
        sizes = [x.numel() if isinstance(x, Tensor) and x.is_floating_point() else 0 for x in self.inputs]
        numbers = torch.arange(sum(sizes)).split(sizes)
        places = self.again({k: n.view_as(self.inputs[k]) for k, n in enumerate(numbers) if len(n)})
        whole = g.new_zeros(sum(sizes)).index_add(0, places.flatten(), g.flatten())
        return [d.view_as(x) if len(d) else None for d, x in zip(whole.split(sizes), self.inputs, strict=True)]

    def by_autograd(self, g: Tensor) -> dict[int, Tensor]:
        """The same by PyTorch, of this operation alone."""
        fresh = {k: x.detach().requires_grad_() for k, x in self.wanted.items()}
        with torch.enable_grad():
            found = torch.autograd.grad(self.again(fresh), [*fresh.values()], g, allow_unused=True)
        return {k: d for k, d in zip(fresh, found, strict=True) if d is not None}


def wants(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _listed(arg: Any) -> bool:
    """Whether an argument is a list of tensors."""
    return isinstance(arg, (list, tuple)) and bool(arg) and isinstance(arg[0], Tensor)


class Tape(TorchFunctionMode):
    """Records, within `with`, every operation whose result needs a gradient. float32 means float64 there.

    Operations in place are replaced by their twins that return a new tensor, so that each value stays to be shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        called = func.__name__
        args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
        kwargs = {k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()}
        func = Tensor.double if called == "float" else func
        if kwargs.get("inplace"):
            kwargs["inplace"] = False
        if called.endswith("_") and not called.endswith("__") and args and wants(args[0]):
            func = getattr(torch, called[:-1])
        out = func(*args, **kwargs)
        several = isinstance(out, (list, tuple))
        out = tuple(x.view_as(x) for x in out) if several and all(map(wants, out)) else out  # an LSTM's h reads its c
        for k, one in enumerate(out if several else [out]):
            op = Operation(called.strip("_"), func, args, kwargs, one, k if several else None)
            if torch.is_grad_enabled() and op.wanted and wants(one) and all(one is not x for x in op.inputs):
                self.operations.append(op)
        return out


def chain_rule(operations: Sequence[Operation]) -> dict[int, Tensor]:
    """Fills `arrives` and `passes`; returns the gradient of the last result at every tensor it depends on, by id."""
    gradients = {id(operations[-1].out): torch.ones_like(operations[-1].out)}
    for op in reversed(operations):
        op.arrives = gradients.setdefault(id(op.out), torch.zeros_like(op.out))
        op.passes = op.by_rule(op.arrives)
        for k, d in op.passes.items():
            gradients[id(op.inputs[k])] = gradients.get(id(op.inputs[k]), 0) + d
    return gradients


def check(operations: Sequence[Operation]) -> float:
    """Fills `rule_gap` and `chain_gap` of each operation after `chain_rule`, and returns the largest of them."""
    outs = [op.out for op in operations]
    true = torch.autograd.grad(outs[-1], outs, retain_graph=True, allow_unused=True, materialize_grads=True)
    for op, at_out in zip(operations, true, strict=True):
        op.chain_gap = difference(op.arrives, at_out)
        theirs = op.by_autograd(op.arrives) if op.own else {}
        op.rule_gap = max((difference(op.passes.get(k), d) for k, d in theirs.items()), default=0.0)
    return max(max(op.rule_gap, op.chain_gap) for op in operations)


def difference(ours: Tensor | None, theirs: Tensor) -> float:
    """The largest absolute difference, divided by the largest element of `theirs` if that exceeds 1."""
    gap = theirs if ours is None else ours - theirs
    return float(gap.abs().max() / theirs.abs().max().clamp(min=1.0)) if gap.numel() else 0.0
