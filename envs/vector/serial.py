"""Environments stepped one after another in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from envs.spaces import LeafCast
from envs.vector.base import Info, MakeEnv, Outcome, Starts, Vector, picture
from envs.vector.infos import by_key
from envs.vector.single import Single
from rl.errors import InputError


class Serial(Vector):
    """N environments, stepped in turn."""

    name = "sync"

    def __init__(
        self, makes: Sequence[MakeEnv], life_loss: bool = False, reset_options: Mapping[str, Any] | None = None
    ) -> None:
        self._envs: list[Single] = []
        try:
            for i, make in enumerate(makes):
                self._envs.append(Single(make(), i, life_loss, reset_options))
                env = self._envs[i].env
                require_spaces(i, env.observation_space, env.action_space, self._envs[0].env)
        except BaseException:
            self.close()
            raise
        self.num_envs = len(self._envs)
        self.observation_space = self._envs[0].env.observation_space
        self.action_space = self._envs[0].env.action_space
        self._observations: list[Any] = [None] * self.num_envs
        self._asleep = [False] * self.num_envs

    def reset(self, seeds: Sequence[int]) -> Info:
        return self.restart(dict(enumerate(seeds)))

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        n = self.num_envs
        reward, terminated, truncated = [0.0] * n, [False] * n, [False] * n
        infos: list[dict[str, Any]] = [{}] * n
        for i, env in enumerate(self._envs):
            if i in starts:
                self._start(i, starts[i], infos)
            elif not self._asleep[i]:
                self._observations[i], reward[i], terminated[i], truncated[i], infos[i] = env.step(actions[i])
        return Outcome(reward, terminated, truncated, by_key(infos) if any(infos) else {})

    def restart(self, starts: Starts) -> Info:
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        for i, seed in starts.items():
            self._start(i, seed, infos)
        return by_key(infos)

    def _start(self, i: int, seed: int | None, infos: list[dict[str, Any]]) -> None:
        self._asleep[i] = seed is None
        if seed is not None:
            self._observations[i], infos[i] = self._envs[i].reset(seed)

    def raw(self, cast: LeafCast) -> np.ndarray:
        if self.num_envs == 1:
            return cast.one(self._observations[0], 0)[None]
        return np.array([cast.one(observation, i) for i, observation in enumerate(self._observations)])

    def environments(self) -> list[gymnasium.Env]:
        return [env.env for env in self._envs]

    def render(self) -> list[np.ndarray]:
        return [picture(env.render()) for env in self._envs]

    def close(self) -> None:
        for env in self._envs:
            env.close()


def require_spaces(index: int, observation: gymnasium.Space, action: gymnasium.Space, first: Any) -> None:
    """Raises `InputError` unless environment `index` has the spaces, and so the bounds, of the first that was made."""
    for name, theirs in (("observation_space", observation), ("action_space", action)):
        ours = getattr(first, name)
        if ours != theirs:
            raise InputError(
                f"environment {index} has the {name} {theirs}, the first one made has {ours}: make all of them equal"
            )
