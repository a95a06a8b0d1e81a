"""Saliency: how strongly the agent's choice depends on each pixel or cell (gradients, Simonyan et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agents.base import as_tensors
from rl.frame_stack import FrameStack
from rl.interface import TimeStep


class Saliency:
    """Heat maps for one acting stream. Keeps a frame stack of its own, so it must see every row."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        spec = actor.agent.spec
        self.frames = FrameStack(spec, actor.num_envs, actor.agent.stack)
        self.leaf = next((name for name, leaf in spec.obs.items() if leaf.kind in ("image", "board")), None)
        """The observation that has a place on the picture; None where there is none (vectors)."""
        self.axes = "" if self.leaf is None else spec.obs[self.leaf].layout
        self._peak = 0.0

    def push(self, ts: TimeStep) -> dict[str, np.ndarray]:
        """Takes a row; returns what the network sees, [N, (S,) ...]."""
        return self.frames.push(ts.obs, ts.first)

    def map(self, obs: dict[str, np.ndarray], ts: TimeStep) -> np.ndarray | None:
        """float32 [H, W] of environment 0, 0 to 1, of the network before it acts on `ts`. None for vectors.

        The absolute gradient of the greedy action's value (or of the state's value) with respect to the input, summed
        over channels and frames. Its median maps to 0, and its recent maximum to 1.
        """
        if self.leaf is None:
            return None
        leaves = as_tensors(obs, self.actor.agent.device)
        rng, noise = self.actor.rng.bit_generator.state, self.actor.generator.get_state()
        memory = self.actor.memory
        with torch.enable_grad():
            source = leaves[self.leaf].float().requires_grad_()
            output = self.actor.agent.choose(self.actor, {**leaves, self.leaf: source}, ts).output
            target = getattr(output, "q_values", None)
            target = output.value.reshape(-1)[0] if target is None else target[0].max()
            (gradient,) = torch.autograd.grad(target, source)
        self.actor.rng.bit_generator.state = rng  # a saliency map does not change how the agent acts
        self.actor.generator.set_state(noise)
        self.actor.memory = memory
        return self._heat(gradient[0].abs().cpu().numpy())

    def _heat(self, size: np.ndarray) -> np.ndarray:
        if self.axes == "HWC":
            size = np.moveaxis(size, -1, -3)
        heat = size.reshape(-1, *size.shape[-2:]).sum(axis=0)
        if min(heat.shape) > 20:
            heat = blurred(heat, heat.shape[0] / 42)
        self._peak = max(float(heat.max()), 0.95 * self._peak, 1e-12)
        ground = float(np.median(heat))  # half of the picture stays as it is
        return np.clip((heat - ground) / max(self._peak - ground, 1e-12), 0, 1).astype(np.float32)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A float picture [H, W] under a Gaussian of `sigma` pixels, mirrored at its edges."""
    radius = round(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        room = [(radius, radius) if k == axis else (0, 0) for k in (0, 1)]
        picture = np.apply_along_axis(np.convolve, axis, np.pad(picture, room, mode="reflect"), kernel, "valid")
    return picture
