"""Environments stepped one after another in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.spaces import LeafCast
from envs.vector.base import Info, MakeEnv, Outcome, Starts, Vector, _picture, raised, told
from envs.vector.infos import _by_key


class Serial(Vector):
    """Environments stepped one after the other in this process."""

    name = "sync"

    def __init__(self, makes: Sequence[MakeEnv]) -> None:
        self._envs = [make() for make in makes]
        self.num_envs = len(self._envs)
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space
        self._observations: list[Any] = [None] * self.num_envs
        self._asleep = [False] * self.num_envs

    def reset(self, seeds: Sequence[int]) -> Info:
        self._asleep = [False] * self.num_envs
        infos = []
        for i, (env, seed) in enumerate(zip(self._envs, seeds, strict=True)):
            with told(i):
                self._observations[i], info = env.reset(seed=seed)
            infos.append(info)
        return _by_key(infos)

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        if starts:
            return self._step_and_start(actions, starts)
        reward: list[Any] = []
        terminated: list[Any] = []
        truncated: list[Any] = []
        infos: list[Any] = []
        some_info = False
        i = 0
        try:
            for i, env in enumerate(self._envs):
                if self._asleep[i]:
                    self._sleep(reward, terminated, truncated, infos)
                    continue
                self._observations[i], r, te, tr, info = env.step(actions[i])
                reward.append(r)
                terminated.append(te)
                truncated.append(tr)
                infos.append(info)
                some_info = some_info or bool(info)
        except (Exception, SystemExit) as error:  # sys.exit() would end the training without a word
            raise raised(i, error) from error
        return Outcome(reward, terminated, truncated, _by_key(infos) if some_info else {})

    def _step_and_start(self, actions: np.ndarray, starts: Starts) -> Outcome:
        reward: list[float] = []
        terminated: list[bool] = []
        truncated: list[bool] = []
        infos: list[dict[str, Any]] = []
        for i, env in enumerate(self._envs):
            if i in starts:
                self._asleep[i] = starts[i] is None
            with told(i):
                if self._asleep[i]:
                    self._sleep(reward, terminated, truncated, infos)
                    continue
                if i in starts:
                    self._observations[i], info = env.reset(seed=starts[i])
                    r, te, tr = 0.0, False, False
                else:
                    self._observations[i], r, te, tr, info = env.step(actions[i])
            reward.append(float(r))
            terminated.append(te)
            truncated.append(tr)
            infos.append(info)
        return Outcome(reward, terminated, truncated, _by_key(infos))

    def restart(self, starts: Starts) -> Info:
        infos: list[dict[str, Any]] = [{} for _ in self._envs]
        for i, seed in starts.items():
            self._asleep[i] = seed is None
            if seed is not None:
                with told(i):
                    self._observations[i], infos[i] = self._envs[i].reset(seed=seed)
        return _by_key(infos)

    @staticmethod
    def _sleep(reward: list, terminated: list, truncated: list, infos: list) -> None:
        reward.append(0.0)
        terminated.append(False)
        truncated.append(False)
        infos.append({})

    def raw(self, cast: LeafCast) -> np.ndarray:
        if self.num_envs == 1:
            return cast.one(self._observations[0], 0)[None]
        return np.array([cast.one(observation, i) for i, observation in enumerate(self._observations)])

    def render(self) -> list[np.ndarray]:
        return [_picture(env.render()) for env in self._envs]

    def close(self) -> None:
        for env in self._envs:
            env.close()
