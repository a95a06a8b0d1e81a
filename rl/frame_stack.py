"""The last K observations of each environment, padded at an episode's start by repeating the first one."""

from __future__ import annotations

from typing import Any

import numpy as np

from rl.interface import EnvSpec, Obs


class FrameStack:
    """The newest `stack` rows of an acting stream, combined as in `stack_times`."""

    def __init__(self, spec: EnvSpec, num_envs: int, stack: int) -> None:
        self.stack, self.num_envs, self.count = stack, num_envs, 0
        self._frames = {k: np.zeros((stack, num_envs, *leaf.shape), leaf.dtype) for k, leaf in spec.obs.items()}
        self._first = np.ones((stack, num_envs), bool)
        self._env = np.arange(num_envs)

    def push(self, obs: Obs, first: np.ndarray) -> Obs:
        """Adds one row and returns its stacks, [N, S, ...]; with a stack of 1 the row itself."""
        if self.stack == 1:
            return obs
        slot = self.count % self.stack
        for name, frames in self._frames.items():
            frames[slot] = obs[name]
        self._first[slot] = first
        now, oldest = np.full(self.num_envs, self.count), max(0, self.count - self.stack + 1)
        times = stack_times(now, lambda t: self._first[t % self.stack, self._env], self.stack, oldest)
        self.count += 1
        slots = times % self.stack
        return {name: frames[slots, self._env[:, None]] for name, frames in self._frames.items()}

    def state_dict(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "first": self._first.copy(),
            "frames": {k: v.copy() for k, v in self._frames.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        self._first[:] = state["first"]
        for name, frames in self._frames.items():
            frames[:] = state["frames"][name]


def stack_times(t: np.ndarray, is_first: Any, stack: int, oldest: int = 0) -> np.ndarray:
    """The rows in the stack of each row in `t`: int64 [..., stack], oldest first.

    Goes back one row at a time and stops at the first row of the episode, which is then repeated. `is_first` returns
    for given rows whether they are the first of their episode. Both sampling and acting use this function.
    """
    times = [t]
    for _ in range(stack - 1):
        newest = times[-1]
        times.append(np.where(is_first(newest) | (newest <= oldest), newest, newest - 1))
    return np.stack(times[::-1], axis=-1)
