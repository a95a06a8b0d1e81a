"""N environments of classic control in one compiled loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np

from envs.classic import TASKS, compiled
from envs.spaces import LeafCast, action_cast, random_actions
from envs.vector.base import Info, Outcome, Starts, Vector
from envs.vector.infos import by_key
from envs.vector.single import Single
from rl.errors import InputError, RunError

TRIED = 200
"""States whose next state is compared with Gymnasium's before the compiled rules are used."""


class Classic(Vector):
    """N copies of a task of `envs.classic`. A single environment of Gymnasium's draws their first states."""

    name = "compiled"

    def __init__(
        self,
        env: gymnasium.Env,
        num_envs: int,
        limit: int | None = None,
        reset_options: Mapping[str, Any] | None = None,
    ) -> None:
        """env: one of them, which resets. limit: steps after which an episode is truncated."""
        self._single = Single(env, 0, reset_options=reset_options)
        self._limit = limit or np.iinfo(np.int64).max
        self._advance = compiled(entry_point(env))
        self.num_envs, self.observation_space, self.action_space = num_envs, env.observation_space, env.action_space
        self._choices = getattr(env.action_space, "n", None)
        self._state, self._elapsed = np.zeros((num_envs, 4)), np.zeros(num_envs, np.int64)
        self._obs = np.zeros((num_envs, *(env.observation_space.shape or ())), np.float32)
        self._asleep = np.zeros(num_envs, bool)

    def reset(self, seeds: Sequence[int]) -> Info:
        return self.restart(dict(enumerate(seeds)))

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        n = self.num_envs
        reward, terminated, skip = np.zeros(n), np.zeros(n, bool), self._asleep
        if starts:
            skip = skip.copy()
            skip[list(starts)] = True
        if self._choices is not None:
            wrong = actions.view(np.uint64) >= self._choices  # a negative one is huge as uint64
            if np.count_nonzero(wrong):
                for i in np.flatnonzero(wrong & ~skip):
                    raise RunError(f"environment {i} got the action {actions[i]}, it takes 0 to {self._choices - 1}")
        self._advance(self._state, self._elapsed, skip, actions, 2.0, self._obs, reward, terminated)
        truncated = self._elapsed >= self._limit
        return Outcome(reward, terminated, truncated, self.restart(starts) if starts else {})

    def restart(self, starts: Starts) -> Info:
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        for i, seed in starts.items():
            self._asleep[i], self._elapsed[i] = seed is None, 0
            if seed is not None:
                self._obs[i], infos[i] = self._single.reset(seed)
                state = self._single.env.unwrapped.state  # type: ignore[attr-defined]
                self._state[i, : len(state)] = state
        return by_key(infos) if any(infos) else {}

    def raw(self, cast: LeafCast) -> np.ndarray:
        return self._obs

    def environments(self) -> list[gymnasium.Env]:
        """Copies of the single environment, each in the state of its row."""
        return [self._as_gymnasium(i) for i in range(self.num_envs)]

    def _as_gymnasium(self, i: int) -> gymnasium.Env:
        env: Any = copy.deepcopy(self._single.env)
        env.unwrapped.state = self._state[i, : len(env.unwrapped.state)].copy()
        layer = env
        while isinstance(layer, gymnasium.Wrapper):
            if isinstance(layer, gymnasium.wrappers.TimeLimit):
                layer._elapsed_steps = int(self._elapsed[i])
            layer = layer.env
        return env  # type: ignore[no-any-return]

    def render(self) -> list[np.ndarray]:
        raise InputError("compiled environments have no pictures: set vector='sync'")

    def close(self) -> None:
        self._single.close()


def entry_point(env: gymnasium.Env) -> str:
    return f"{type(env.unwrapped).__module__}:{type(env.unwrapped).__name__}"


def matches(env: gymnasium.Env) -> bool:
    """Whether the compiled rules give the bits of `env` on this machine: another C library or Gymnasium might not.

    Compares one step from each of `TRIED` states, of which every tenth is a reset's own.
    """
    if entry_point(env) not in TASKS:
        return False
    theirs, ours, rng = cast(Any, env.unwrapped), Classic(env, 1), np.random.default_rng(0)
    spec, to_env = action_cast(env.action_space)
    dtype = np.dtype(np.float64)
    for k in range(TRIED):
        ours.restart({0: k})
        if k % 10:
            scale = np.array([0.5, 0.05] if len(theirs.state) == 2 else [1.0, 2.0, 0.15, 2.0])
            theirs.state = (scale * rng.normal(size=len(scale))).astype(dtype)
            ours._state[0, : len(scale)], ours._elapsed[0] = theirs.state, 1
        action = to_env(random_actions(spec, 1, None, rng))
        obs, reward, terminated, _, _ = theirs.step(action[0])
        found = ours.step(action, {})
        state = np.asarray(theirs.state)
        same = np.array_equal(ours._obs[0], obs) and np.array_equal(ours._state[0, : len(state)], state)
        if not same or found.reward[0] != reward or found.terminated[0] != terminated:
            return False
        dtype = state.dtype
    return True
