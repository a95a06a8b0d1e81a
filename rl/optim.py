"""One optimizer step on one flat tensor.

A small network spends its update in the launches of some hundred tiny operations. With every parameter a view of one
flat tensor, and every gradient a view of another, zeroing, clipping, the optimizer step and the target update are one
operation each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from rl.errors import NonFiniteError

OptimizerName = Literal["adam", "adamw", "radam", "rmsprop"]


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


def _view_like(flat: Tensor, p: Tensor) -> Tensor:
    if p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous():
        o, i, h, w = p.shape
        return flat.view(o, h, w, i).permute(0, 3, 1, 2)
    return flat.view(p.shape)


@dataclass
class FlatOptimizer:
    """Adam and its kin on a flattened module, with gradient clipping and a check for non-finite numbers."""

    module: nn.Module
    name: OptimizerName = "adam"
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float | None = None
    """Global norm the gradient is clipped to; None leaves it."""

    def __post_init__(self) -> None:
        self.flat = nn.Parameter(flatten_parameters(self.module))
        self.grad = torch.zeros_like(self.flat)
        start = 0
        for p in self.module.parameters():
            p.grad = _view_like(self.grad[start : start + p.numel()], p)
            start += p.numel()
        self.flat.grad = self.grad
        make = {
            "adam": lambda: torch.optim.Adam([self.flat], eps=self.eps, fused=True),
            "adamw": lambda: torch.optim.AdamW([self.flat], eps=self.eps, weight_decay=self.weight_decay, fused=True),
            "radam": lambda: torch.optim.RAdam([self.flat], eps=self.eps),
            "rmsprop": lambda: torch.optim.RMSprop([self.flat], eps=self.eps, alpha=0.99),
        }
        self.optimizer = make[self.name]()

    def step(self, loss: Tensor, lr: float) -> Tensor:
        """Backward, clip, step. Returns the gradient's norm before clipping, a detached scalar.

        Raises NonFiniteError, with the parameters as they were, where the loss or its gradient is not finite.
        """
        self.grad.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.linalg.vector_norm(self.grad)
        size = norm.item()  # one number, read once: the check and the clip need no tensors of their own
        if not math.isfinite(size):
            source = "gradient" if torch.isfinite(loss) else "loss"
            raise NonFiniteError(f"the {source} is {loss.item() if source == 'loss' else size}")
        if self.max_grad_norm is not None and size > self.max_grad_norm:
            self.grad.mul_(self.max_grad_norm / (size + 1e-6))
        if self.name in ("adam", "adamw"):
            self._adam(lr)
        else:
            self.optimizer.param_groups[0]["lr"] = lr
            self.optimizer.step()
        return norm

    @torch.no_grad()
    def _adam(self, lr: float) -> None:
        """PyTorch's fused Adam by its functional form: the object's `step` spends five times as long around it."""
        state = self.optimizer.state[self.flat]
        if not state:
            state["step"] = torch.zeros((), device=self.flat.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        adam(
            [self.flat],
            [self.grad],
            [state["exp_avg"]],
            [state["exp_avg_sq"]],
            [],
            [state["step"]],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=lr,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
            decoupled_weight_decay=self.name == "adamw",
        )

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's moments by name; the parameters are the module's."""
        return dict(self.optimizer.state.get(self.flat, {}))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.state[self.flat] = {
            k: v.to(self.flat.device) if isinstance(v, Tensor) and v.dim() else v for k, v in state.items()
        }
