"""Warnings about settings that cannot work for an action space or for the scale of the rewards."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np

from rl.interface import ActionSpec, TimeStep

log = logging.getLogger(__name__)

WATCHED = 10_000
"""Counted steps at the start of a training whose rewards are watched."""
LARGE_RETURN = 10_000.0
"""A network starts at values near 0 and does not reach discounted returns beyond this in a usual training."""


class RewardScale:
    """Watches the discounted return of the first rows and warns once if the agent's settings do not suit it."""

    def __init__(self, num_envs: int) -> None:
        self.left = WATCHED
        self._running = [0.0] * num_envs  # in lists: for a few environments quicker than NumPy, and for many soon over
        self._lowest, self._highest = math.inf, -math.inf

    def observe(self, agent: Any, ts: TimeStep) -> None:
        """Adds a row. Logs one line and stops if `agent.settings_warning` of a new extreme returns one."""
        if self.left <= 0:
            return
        self.left -= len(ts.first)
        clip, gamma, running = agent.config.reward_clip, agent.config.gamma, self._running
        for i, (reward, first, discount) in enumerate(zip(ts.reward.tolist(), ts.first.tolist(), ts.discount.tolist())):
            value = running[i] + (reward if clip is None else min(max(reward, -clip), clip))
            running[i] = 0.0 if first or discount == 0 else gamma * value
            if self._lowest <= value <= self._highest:
                continue
            self._lowest, self._highest = min(value, self._lowest), max(value, self._highest)
            if line := agent.settings_warning(value):
                self.left = 0
                log.warning("%s", line)
                return


def large_return_warning(config: Any, name: str, value: float) -> str:
    """One line if a discounted return of `value` is too large for a network to learn, else ""."""
    if abs(value) <= LARGE_RETURN or config.normalize_return or getattr(config, "rescale", False):
        return ""
    return (
        f"{name}: discounted returns reach {value:.3g}, and a network that starts near 0 learns them slowly: "
        "set normalize_return=True"
    )


def support_warning(v_min: float, v_max: float, value: float) -> str:
    """One line if a discounted return of `value` lies outside C51's support, else ""."""
    if v_min <= value <= v_max:
        return ""
    return (
        f"c51: a discounted return of {value:.4g} lies outside the support, {v_min:g} to {v_max:g}, and is learned as "
        "its nearest end: set v_min and v_max, or reward_clip=1"
    )


def box_warning(name: str, action: ActionSpec, deviation: float, squash: bool) -> str:
    """One line if an untrained Gaussian policy, of mean 0 and this deviation, does not suit a box's bounds, else ""."""
    low, high = np.array(action.low), np.array(action.high)
    bounded = np.isfinite(low) & np.isfinite(high)
    low, high = low[bounded], high[bounded]
    half, middle = (high - low) / 2, (high + low) / 2
    outside = np.abs(middle) > half + 2 * deviation
    if squash or not np.any(outside | (half > 10 * deviation) | (half < deviation / 20)):
        return ""
    return (
        f"{name}: an untrained policy draws actions of 0 +- {deviation:g}, and the action space reaches from "
        f"{low.min():g} to {high.max():g}: set "
        "policy.squash=true, which maps the policy onto the bounds"
    )
