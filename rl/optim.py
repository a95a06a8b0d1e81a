"""One optimizer step on one flat tensor.

The update of a small network spends most of its time in launching hundreds of tiny operations. Here every parameter is
a view of one flat tensor and every gradient a view of another, so zeroing, clipping, the optimizer step and the target
update are one operation each.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from rl import optim_steps
from rl.errors import InputError, NonFiniteError

OptimizerName = Literal["adam", "adamw", "radam", "rmsprop"]
BETA1, BETA2, ALPHA = 0.9, 0.999, 0.99
"""Decays of Adam's two moments and of RMSprop's."""


def flatten_parameters(module: nn.Module) -> Tensor:
    """Moves all parameters of `module` into one flat tensor and returns it; each stays a view with its own shape.

    Convolution weights keep the channels-last memory format if they have it. `state_dict` and `load_state_dict` of
    the module work as before. Call it after the module is on its device.
    """
    parameters = list(module.parameters())
    total = sum(p.numel() for p in parameters)
    flat = torch.empty(total, dtype=torch.float32, device=parameters[0].device)
    start = 0
    for p in parameters:
        part = _view_like(flat[start : start + p.numel()], p)
        part.copy_(p.detach())
        p.data = part
        start += p.numel()
    return flat


class FlatParameters:
    """The parameters of a module as one flat tensor, in a copy of both too."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.flat = flatten_parameters(module)

    def __deepcopy__(self, memo: dict[int, Any]) -> FlatParameters:
        return FlatParameters(copy.deepcopy(self.module, memo))


def _view_like(flat: Tensor, p: Tensor) -> Tensor:
    if p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous():
        o, i, h, w = p.shape
        return flat.view(o, h, w, i).permute(0, 3, 1, 2)
    return flat.view(p.shape)


@dataclass
class FlatOptimizer:
    """Adam, AdamW, RAdam or RMSprop on a flat module, with gradient clipping and a check for non-finite numbers."""

    module: nn.Module
    name: OptimizerName = "adam"
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float | None = None
    """Global norm the gradient is clipped to; None leaves it."""
    beta1: float = BETA1
    """Decay of the mean gradient; RMSprop has none."""

    def __post_init__(self) -> None:
        frozen = [name for name, p in self.module.named_parameters() if not p.requires_grad]
        if self.weight_decay and frozen:  # decay would also change parameters without a gradient
            raise InputError(
                f"weight_decay {self.weight_decay} would shrink {frozen[0]!r}, which is frozen: set it to 0"
            )
        self.flat = flatten_parameters(self.module)
        self.grad = torch.zeros_like(self.flat)
        start = 0
        for p in self.module.parameters():
            p.grad = _view_like(self.grad[start : start + p.numel()], p)
            start += p.numel()
        self.state: dict[str, Tensor] = {}
        """The moments by name, as PyTorch's optimizers call them; empty before the first step."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FlatOptimizer:
        """An optimizer of the module's copy, whose parameters are other tensors."""
        module = copy.deepcopy(self.module, memo)
        other = FlatOptimizer(module, self.name, self.eps, self.weight_decay, self.max_grad_norm, self.beta1)
        other.state = copy.deepcopy(self.state, memo)
        return other

    def step(self, loss: Tensor, lr: float) -> Tensor:
        """`backward`, then `apply`."""
        self.backward(loss)
        return self.apply(loss, lr)

    def backward(self, loss: Tensor) -> None:
        """Sets the gradient to that of `loss`, a scalar."""
        self.grad.zero_()
        loss.backward()  # type: ignore[no-untyped-call]

    def apply(self, loss: Tensor, lr: float) -> Tensor:
        """Clips the gradient, set as that of `loss`, and takes a step. Returns its norm before, a detached scalar.

        Raises NonFiniteError, with unchanged parameters, if the loss or its gradient is not finite. The gradient alone
        does not suffice: a clipped derivative hides an infinite loss.
        """
        if self._on_cpu:
            norm = torch.from_numpy(np.array(optim_steps.norm(self.grad.numpy()), np.float32))
        else:
            norm = torch.linalg.vector_norm(self.grad)
        size, value = norm.item(), loss.item()
        if not math.isfinite(value):
            raise NonFiniteError(f"the loss is {value}")
        if not math.isfinite(size):
            raise NonFiniteError(f"the gradient is {size}")
        if self.max_grad_norm is not None and size > self.max_grad_norm:
            self.grad.mul_(self.max_grad_norm / (size + 1e-6))
        self._move(lr)
        return norm

    @property
    def _on_cpu(self) -> bool:
        """Whether `rl.optim_steps` makes the arithmetic."""
        return self.flat.device.type == "cpu"

    def _move(self, lr: float) -> None:
        """One step of PyTorch's optimizer of that name (tested), in a fifth of the time of PyTorch's own or less.

        All other parameters have PyTorch's defaults.
        """
        state = self.state
        if not state:
            state["step"] = torch.zeros((), device=self.flat.device)
            moments = ("square_avg",) if self.name == "rmsprop" else ("exp_avg", "exp_avg_sq")
            state |= {name: torch.zeros_like(self.flat) for name in moments}
        if self.name == "rmsprop":
            self._rmsprop(lr)
        elif self.name == "radam":
            self._radam(lr)
        else:
            self._adam(lr, self.eps)

    def _rmsprop(self, lr: float) -> None:
        self.state["step"] += 1
        square = self.state["square_avg"]
        if self._on_cpu:
            optim_steps.rmsprop(self.flat.numpy(), self.grad.numpy(), square.numpy(), lr, ALPHA, self.eps)
            return
        square.mul_(ALPHA).addcmul_(self.grad, self.grad, value=1 - ALPHA)
        self.flat.addcdiv_(self.grad, square.sqrt().add_(self.eps), value=-lr)

    def _radam(self, lr: float) -> None:
        """Adam with smaller steps while the second moment averages few gradients (Liu et al. 2020, algorithm 2)."""
        t = int(self.state["step"]) + 1
        decayed = BETA2**t
        longest = 2 / (1 - BETA2) - 1
        length = longest - 2 * t * decayed / (1 - decayed)  # of the second moment's average
        if length > 5:
            known = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            self._adam(lr * math.sqrt(known), self.eps / math.sqrt(1 - decayed))
        else:  # too short an average to divide by
            self.state["step"] += 1
            self.state["exp_avg"].lerp_(self.grad, 1 - self.beta1)
            self.state["exp_avg_sq"].mul_(BETA2).addcmul_(self.grad, self.grad, value=1 - BETA2)
            self.flat.add_(self.state["exp_avg"], alpha=-lr / (1 - self.beta1**t))

    def _adam(self, lr: float, eps: float) -> None:
        state = self.state
        if self._on_cpu and (self.name == "adamw" or not self.weight_decay):
            arrays = (x.numpy() for x in (self.flat, self.grad, state["exp_avg"], state["exp_avg_sq"]))
            step = state["step"].numpy()  # a quarter of the time of PyTorch's addition
            step += 1
            optim_steps.adam(*arrays, lr, float(step), self.beta1, BETA2, eps, lr * self.weight_decay)
            return
        state["step"] += 1
        kernel = torch._fused_adamw_ if self.name == "adamw" else torch._fused_adam_
        kernel(
            [self.flat],
            [self.grad],
            [state["exp_avg"]],
            [state["exp_avg_sq"]],
            [],
            [state["step"]],
            amsgrad=False,
            lr=lr,
            beta1=self.beta1,
            beta2=BETA2,
            weight_decay=self.weight_decay,
            eps=eps,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's moments by name; the parameters are the module's."""
        return dict(self.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = {k: v.to(self.flat.device) if isinstance(v, Tensor) else v for k, v in state.items()}
