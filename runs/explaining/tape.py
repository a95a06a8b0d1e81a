"""A loss recorded operation by operation, and its gradient by a chain rule of our own, checked against autograd.

`Tape` sees each PyTorch function of the forward pass with its arguments. `RULES` holds one derivative a function.
`chain_rule` goes backwards through the record with these rules alone; `check` compares every step with autograd.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
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
    each of them in order. Gradients of broadcast arguments are summed afterwards.
    """

    formula: str
    function: Callable[..., Gradients]


def _linear(g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor | None = None) -> Gradients:
    rows = g.flatten(0, -2)
    return g @ w, rows.T @ x.flatten(0, -2), rows.sum(0)


def _conv2d(g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor | None = None, *how: Any, **more: Any) -> Gradients:
    given = dict(zip(("stride", "padding", "dilation"), how, strict=False)) | more
    steps = {name: given[name] for name in ("stride", "padding", "dilation") if name in given}
    kernel = tuple(w.shape[2:])
    patches = F.unfold(x, kernel, **steps)  # [B, in * kernel, places]
    rows = g.flatten(2)  # [B, out, places]
    to_w = (rows @ patches.mT).sum(0).view_as(w)
    to_x = F.fold(w.flatten(1).T @ rows, x.shape[2:], kernel, **steps)
    return to_x, to_w, g.sum((0, 2, 3))


def _layer_norm(g: Tensor, y: Tensor, x: Tensor, shape: Sequence[int], **own: Any) -> Gradients:
    dims = tuple(range(-len(shape), 0))
    scale = (x.var(dims, unbiased=False, keepdim=True) + own.get("eps", 1e-5)).rsqrt()
    normed = (x - x.mean(dims, keepdim=True)) * scale
    inner = g if own.get("weight") is None else g * own["weight"]
    mean, along = inner.mean(dims, keepdim=True), (inner * normed).mean(dims, keepdim=True)
    return (scale * (inner - mean - normed * along), None, g * normed, g)


def _gather(g: Tensor, y: Tensor, x: Tensor, dim: int, index: Tensor, **_: Any) -> Gradients:
    return (torch.zeros_like(x).scatter_add(dim, index, g),)


def _getitem(g: Tensor, y: Tensor, x: Tensor, index: Any) -> Gradients:
    place = torch.arange(x.numel()).view_as(x)[index].flatten()
    return (torch.zeros(x.numel(), dtype=g.dtype).index_add(0, place, g.flatten()).view_as(x),)


def _spread(g: Tensor, x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The gradient of a sum over `dim`, at each of its terms."""
    if dim is not None and not keepdim:
        for d in sorted(d % x.dim() for d in (dim if isinstance(dim, (tuple, list)) else (dim,))):
            g = g.unsqueeze(d)
    return g.expand_as(x)


def _mean(g: Tensor, y: Tensor, x: Tensor, dim: Any = None, keepdim: bool = False) -> Gradients:
    return (_spread(g, x, dim, keepdim) * (y.numel() / x.numel()),)


def _huber(g: Tensor, y: Tensor, x: Tensor, target: Tensor, *_: Any, **own: Any) -> Gradients:
    error = (x - target).clamp(-own.get("delta", 1.0), own.get("delta", 1.0))
    return (g * error, -g * error)


def _smaller(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Gradients:
    tie = 0.5 * (a == b)
    return (g * ((a < b) + tie), g * ((b < a) + tie))


def _amin(g: Tensor, y: Tensor, x: Tensor, dim: Any = None, keepdim: bool = False) -> Gradients:
    least = x == _spread(y, x, dim, keepdim)
    return (_spread(g, x, dim, keepdim) * least / least.sum(dim, keepdim=True),)


def _clamp(g: Tensor, y: Tensor, x: Tensor, low: Any = None, high: Any = None, **own: Any) -> Gradients:
    low, high = own.get("min", low), own.get("max", high)
    inside = torch.ones_like(x, dtype=torch.bool) if low is None else x >= low
    return (g * (inside if high is None else inside & (x <= high)),)


def _times(g: Tensor, y: Tensor, a: Any, b: Any) -> Gradients:
    return (g * b, g * a)


def _divided(g: Tensor, y: Tensor, a: Any, b: Any) -> Gradients:
    return (g / b, -g * y / b)


def _log_softmax(g: Tensor, y: Tensor, x: Tensor, dim: int = -1, **_: Any) -> Gradients:
    return (g - y.exp() * g.sum(dim, keepdim=True),)


def _softmax(g: Tensor, y: Tensor, x: Tensor, dim: int = -1, **_: Any) -> Gradients:
    return (y * (g - (g * y).sum(dim, keepdim=True)),)


def _reshaped(g: Tensor, y: Tensor, x: Tensor, *_: Any) -> Gradients:
    return (g.reshape(x.shape),)


def _silu(g: Tensor, y: Tensor, x: Tensor, **_: Any) -> Gradients:
    s = x.sigmoid()
    return (g * s * (1 + x * (1 - s)),)


_SUM = Rule("g at every term", lambda g, y, x, dim=None, keepdim=False, **_: (_spread(g, x, dim, keepdim),))
_VIEW = Rule("g in the old shape", _reshaped)
_ADD = Rule("g at both", lambda g, y, a, b, **_: (g, g))
_MUL = Rule("g · b at a, g · a at b", _times)

RULES: dict[str, Rule] = {
    "linear": Rule("g W at x, gᵀ x at W, Σ g at b", _linear),
    "conv2d": Rule("g * W (transposed) at x, g * x at W, Σ g at b", _conv2d),
    "relu": Rule("g where x > 0, else 0", lambda g, y, x, **_: (g * (x > 0),)),
    "tanh": Rule("g (1 − y²)", lambda g, y, x: (g * (1 - y * y),)),
    "silu": Rule("g σ(x) (1 + x (1 − σ(x)))", _silu),
    "elu": Rule("g where x > 0, else g (y + 1)", lambda g, y, x, *_, **__: (torch.where(x > 0, g, g * (y + 1)),)),
    "layer_norm": Rule("(h − mean h − x̂ mean(h x̂)) / σ at x with h = g w, Σ g x̂ at w, Σ g at b", _layer_norm),
    "gather": Rule("g at the chosen entry, 0 at the others", _gather),
    "getitem": Rule("g at the chosen entries, 0 at the others", _getitem),
    "huber_loss": Rule("g · clip(x − target, −δ, δ)", _huber),
    "mean": Rule("g / n at every term", _mean),
    "sum": _SUM,
    "add": _ADD,
    "radd": _ADD,
    "sub": Rule("g at a, −g at b", lambda g, y, a, b: (g, -g)),
    "rsub": Rule("−g", lambda g, y, a, b: (-g, g)),
    "mul": _MUL,
    "rmul": _MUL,
    "div": Rule("g / b at a, −g y / b at b", _divided),
    "truediv": Rule("g / b at a, −g y / b at b", _divided),
    "neg": Rule("−g", lambda g, y, x: (-g,)),
    "square": Rule("2 g x", lambda g, y, x: (2 * g * x,)),
    "softplus": Rule("g σ(x)", lambda g, y, x, **_: (g * x.sigmoid(),)),
    "exp": Rule("g y", lambda g, y, x: (g * y,)),
    "log": Rule("g / x", lambda g, y, x: (g / x,)),
    "sqrt": Rule("g / 2y", lambda g, y, x: (g / (2 * y),)),
    "log_softmax": Rule("g − softmax(x) Σ g", _log_softmax),
    "softmax": Rule("y (g − Σ g y)", _softmax),
    "min": Rule("g at the smaller one, half at each if equal", _smaller),
    "amin": Rule("g at the smallest, shared if several are", _amin),
    "clamp": Rule("g within the bounds, else 0", _clamp),
    "where": Rule("g at the side that was taken", lambda g, y, c, a, b: (None, g * c, g * ~c)),
    "cat": Rule("g, cut into the parts", lambda g, y, xs, dim=0: g.split([x.shape[dim] for x in xs], dim)),
    "stack": Rule("g, cut into the parts", lambda g, y, xs, dim=0: g.unbind(dim)),
    "addcmul": Rule("g at a, g · c at b, g · b at c", lambda g, y, a, b, c: (g, g * c, g * b)),
    "transpose": Rule("g with its axes back", lambda g, y, x, a, b: (g.transpose(a, b),)),
    "movedim": Rule("g with its axes back", lambda g, y, x, a, b: (g.movedim(b, a),)),
    **dict.fromkeys(("flatten", "reshape", "view", "unflatten", "squeeze", "unsqueeze"), _VIEW),
    "expand": Rule("Σ g over the copies", lambda g, y, x, *_: (g,)),
}
"""The derivatives by the function's name. Another function takes PyTorch's own derivative, and the page says so."""


@dataclass
class Operation:
    """One recorded call; `out` needs a gradient, and so does at least one tensor of `inputs`."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Tensor
    pick: int | None = None
    """Which of several results `out` is."""
    inputs: list[Any] = field(default_factory=list)
    """The arguments in order, lists opened."""
    wanted: list[bool] = field(default_factory=list)
    """Which of them needed a gradient during the call."""

    def __post_init__(self) -> None:
        for arg in (*self.args, *self.kwargs.values()):
            self.inputs += arg if _tensors_in(arg) else [arg]
        self.wanted = [wants(x) for x in self.inputs]

    @property
    def own(self) -> bool:
        """Whether `RULES` has its derivative."""
        return self.name in RULES and self.pick is None

    def by_rule(self, g: Tensor) -> list[Tensor | None]:
        """The gradient at each input by `RULES`, or by PyTorch if there is none; None if it needs none."""
        if not self.own:
            return self.by_autograd(g)
        found = RULES[self.name].function(g, self.out.detach(), *self.args, **self.kwargs)
        each = zip(itertools.chain(found, itertools.repeat(None)), self.inputs, self.wanted, strict=False)
        return [d.sum_to_size(x.shape).detach() if w and d is not None else None for d, x, w in each]

    def by_autograd(self, g: Tensor) -> list[Tensor | None]:
        """The same by PyTorch, of this operation alone."""
        fresh = [x.detach().requires_grad_() if w else x for x, w in zip(self.inputs, self.wanted, strict=True)]
        given = iter(fresh)

        def again(arg: Any) -> Any:
            return [next(given) for _ in arg] if _tensors_in(arg) else next(given)

        with torch.enable_grad():
            args = [again(arg) for arg in self.args]
            out = self.function(*args, **{name: again(arg) for name, arg in self.kwargs.items()})
            out = out if self.pick is None else out[self.pick]
            asked = [x for x, w in zip(fresh, self.wanted, strict=True) if w]
            found = iter(torch.autograd.grad(out, asked, g, allow_unused=True))
        return [next(found) if w else None for w in self.wanted]


def wants(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _tensors_in(arg: Any) -> bool:
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
        if called == "float":
            func = Tensor.double
        if kwargs.get("inplace"):
            kwargs["inplace"] = False
        if called.endswith("_") and not called.endswith("__") and args and wants(args[0]):
            func = getattr(torch, called[:-1])
        out = func(*args, **kwargs)
        given = [id(x) for x in _tensors((*args, *kwargs.values()))]
        if not torch.is_grad_enabled() or not any(map(wants, _tensors((*args, *kwargs.values())))):
            return out
        several = isinstance(out, (list, tuple))
        for k, one in enumerate(out if several else [out]):
            if wants(one) and id(one) not in given:
                pick = k if several else None
                self.operations.append(Operation(called.strip("_"), func, args, kwargs, one, pick))
        return out


def _tensors(args: Any) -> Iterator[Tensor]:
    for arg in args:
        if isinstance(arg, Tensor):
            yield arg
        elif isinstance(arg, (list, tuple)):
            yield from _tensors(arg)


def chain_rule(operations: Sequence[Operation]) -> tuple[dict[int, Tensor], list[list[Tensor | None]]]:
    """The gradient of the last operation's result at every tensor that it depends on, by the id of the tensor.

    Also what each operation passes on to its inputs.
    """
    gradients = {id(operations[-1].out): torch.ones_like(operations[-1].out)}
    passed: list[list[Tensor | None]] = []
    for op in reversed(operations):
        passed.append(op.by_rule(gradients.setdefault(id(op.out), torch.zeros_like(op.out))))
        for x, d in zip(op.inputs, passed[-1], strict=True):
            if d is not None:
                gradients[id(x)] = gradients[id(x)] + d if id(x) in gradients else d
    return gradients, passed[::-1]


class Check(NamedTuple):
    """How far one operation is from autograd."""

    rule: float
    """Largest difference of the operation's own derivative, given the same gradient at its output."""
    chain: float
    """Largest difference of the gradient at its output, after the chain rule from the loss down to it."""


def check(
    operations: Sequence[Operation], gradients: dict[int, Tensor], passed: Sequence[list[Tensor | None]]
) -> list[Check]:
    """The differences of each operation from autograd, as `TOLERANCE` measures them."""
    outs = [op.out for op in operations]
    theirs = torch.autograd.grad(outs[-1], outs, retain_graph=True, allow_unused=True)
    found = []
    for op, true, ours in zip(operations, theirs, passed, strict=True):
        g = gradients[id(op.out)]
        pairs = zip(ours, op.by_autograd(g) if op.own else ours, strict=True)
        rule = max((difference(a, b) for a, b in pairs if b is not None), default=0.0)
        found.append(Check(rule, difference(g, torch.zeros_like(g) if true is None else true)))
    return found


def difference(ours: Tensor | None, theirs: Tensor) -> float:
    """The largest absolute difference, divided by the largest element of `theirs` if that exceeds 1."""
    gap = theirs if ours is None else ours - theirs
    return float(gap.abs().max() / theirs.abs().max().clamp(min=1.0)) if gap.numel() else 0.0
