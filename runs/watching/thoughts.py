"""Turns a network's named output into the fields that a viewer shows, the same for every agent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.distributions import Bernoulli, Categorical, DiagGaussian, MultiCategorical, Squashed
from rl.interface import ActionSpec
from runs.watching.views import Thought


def read_thoughts(agent: Any, output: Any, action: np.ndarray, mask: np.ndarray | None = None) -> list[Thought]:
    """The fields of `output` (a `Q` or a `Policy`) for each of N environments, and the actions [N, ...] taken.

    Q-values of actions that `mask` [N, A] forbids are NaN: the agent never learned them. Fields that an output does not
    have stay None; an output of None gives thoughts with the action alone.
    """
    count, spec = len(action), agent.spec.action
    thoughts = [Thought(_taken(action[i]), chosen=_chosen(action[i], spec)) for i in range(count)]
    if output is None:
        return thoughts
    # Agents with a memory answer for rows [T, N] of a single T: a value then has two dimensions, Q-values three.
    timed = (
        getattr(getattr(output, "value", None), "ndim", 1) == 2 or getattr(output, "q_values", np.zeros(0)).ndim == 3
    )

    def rows(value: Any) -> np.ndarray | None:
        if not isinstance(value, Tensor):
            return None
        return (value[0] if timed else value).detach().float().cpu().numpy()

    q_values, value = rows(getattr(output, "q_values", None)), rows(getattr(output, "value", None))
    critics = rows(getattr(output, "critics", None))
    logits, quantiles = rows(getattr(output, "logits", None)), rows(getattr(output, "quantiles", None))
    policy = {name: rows(tensor) for name, tensor in _read_policy(getattr(output, "dist", None), spec).items()}
    support = getattr(agent, "support", None)
    for i, thought in enumerate(thoughts):
        if q_values is not None:
            allowed = q_values[i] if mask is None else np.where(mask[i], q_values[i], np.nan)
            thought.q_values, thought.value = allowed, float(np.nanmax(allowed)) if np.isfinite(allowed).any() else None
        if value is not None:
            thought.value = float(value[i].reshape(-1)[0])
        if critics is not None and critics.shape[1] > 1:
            thought.critics = critics[i]
        if logits is not None and logits.ndim == 3:
            weights = np.exp(logits[i] - logits[i].max(axis=-1, keepdims=True))
            thought.atoms = weights / weights.sum(axis=-1, keepdims=True)
            thought.support = None if support is None else support.detach().cpu().numpy()
        if quantiles is not None:
            thought.quantiles = quantiles[i]
        for name, array in policy.items():
            setattr(thought, name, None if array is None else array[i])
        if thought.mean is not None:
            thought.low, thought.high = np.array(spec.low), np.array(spec.high)
    return thoughts


def _read_policy(dist: Any, spec: ActionSpec) -> dict[str, Tensor]:
    """Probabilities, or mean and deviation in the environment's units, with the distribution's leading dimensions."""
    if isinstance(dist, Categorical):
        return {"probabilities": dist.log_probs.exp()}
    if isinstance(dist, MultiCategorical):
        return {"probabilities": _concatenated(dist.elements.log_probs.exp(), spec.nvec)}
    if isinstance(dist, Bernoulli):
        return {"probabilities": dist.logits.sigmoid()}
    if isinstance(dist, DiagGaussian):
        return {"mean": dist.mean, "std": dist.log_std.exp().expand_as(dist.mean)}
    if isinstance(dist, Squashed):
        slope = dist.half * (1 - dist.base.mean.tanh().square())
        return {
            "mean": dist.action(dist.base.mean),
            "std": (dist.base.log_std.exp() * slope).expand_as(dist.base.mean),
        }
    return {}


def _concatenated(each: Tensor, nvec: tuple[int, ...]) -> Tensor:
    """[..., K, max(nvec)] to [..., sum(nvec)], the padding left out."""
    return torch.cat([each[..., k, :n] for k, n in enumerate(nvec)], -1)


def extremes(critics: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest of the critics' estimates [E]."""
    return float(critics.min()), float(critics.max())


def _taken(action: Any) -> int | np.ndarray:
    return int(action) if np.ndim(action) == 0 else np.asarray(action)


def _chosen(action: Any, spec: ActionSpec) -> tuple[int, ...]:
    """Which bars to mark: places in the row of probabilities."""
    if spec.kind == "discrete":
        return (int(action),)
    if spec.kind == "multidiscrete":
        starts = np.concatenate([[0], np.cumsum(spec.nvec)[:-1]])
        return tuple((starts + action).astype(int).tolist())
    return tuple(np.flatnonzero(action).tolist()) if spec.kind == "multibinary" else ()
