"""Environments a user might bring: not seeded, in vector classes of every autoreset mode, with spaces of every kind."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.probes import Counting


class Unseeded(gymnasium.Env):
    """Shows numbers that no seed repeats."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        return self._show(), {}

    def step(self, action):
        return self._show(), 1.0, False, False, {}

    def render(self):
        return None

    def _show(self) -> np.ndarray:
        return np.random.default_rng().uniform(size=2).astype(np.float32)


class Shows(gymnasium.Env):
    """An environment of any spaces, which shows samples of them."""

    def __init__(self, observation: gymnasium.Space, action: gymnasium.Space) -> None:
        self.observation_space, self.action_space = observation, action
        self.received: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.received = action
        return self.observation_space.sample(), 0.0, False, False, {}


class Lies(gymnasium.Env):
    """Shows what its space does not hold from step `at` on."""

    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, space: gymnasium.Space, lie: Any, at: int = 2) -> None:
        self.observation_space, self._lie, self._at, self._t = space, lie, at, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self._t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self._t += 1
        return self._lie if self._t >= self._at else self.observation_space.sample(), 0.0, False, False, {}


class Draws(Unseeded):
    """Draws whatever it was given."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(self, frame: Any, render_mode: str | None = None) -> None:
        self.frame, self.render_mode = frame, render_mode

    def render(self):
        return self.frame


class OldReset(Lies):
    """The reset of Gym before 0.26: an observation alone, two numbers long."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        return np.zeros(3, np.float32)


class OldStep(Lies):
    """The step of Gym before 0.26: four values."""

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, {}


class SeedlessReset(Lies):
    """Gym's reset before 0.22."""

    def reset(self):
        return self.observation_space.sample(), {}


def counting(num_envs: int, mode: str = "NextStep", length: int = 3, **options: Any) -> SyncVectorEnv:
    """Gymnasium's own vectoriser over the counting probe, in any of its autoreset modes."""
    return SyncVectorEnv([lambda: Counting(length, **options)] * num_envs, autoreset_mode=AutoresetMode(mode))


class ExtraLife(gymnasium.Env):
    """Loses lives and gains some; the seed chooses one of two courses. None: this step's info does not name them."""

    observation_space = gymnasium.spaces.Box(0.0, 5.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    courses = ((3, 2, 3, 1, 2, 0), (3, None, 3, 1, 0))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.course, self.t = (seed or 0) % 2, 0
        return self._show()

    def step(self, action):
        self.t += 1
        observation, info = self._show()
        return observation, 1.0, self.t == len(self.courses[self.course]) - 1, False, info

    def _show(self) -> tuple[np.ndarray, dict[str, Any]]:
        lives = self.courses[self.course][self.t]
        return np.array([self.course, self.t], np.float32), {} if lives is None else {"lives": lives}


def extra_life(num_envs: int, mode: str = "NextStep") -> SyncVectorEnv:
    return SyncVectorEnv([ExtraLife] * num_envs, autoreset_mode=AutoresetMode(mode))


class Strict(Counting):
    """Raises if it is stepped after its end."""

    def step(self, action):
        assert self.t < self.ends_at, "stepped after its end"
        return super().step(action)


class _Deaf(SyncVectorEnv):
    """Ignores `reset_mask`, as Gymnasium's CartPoleVectorEnv does."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)


def deaf(num_envs: int, mode: str = "NextStep") -> SyncVectorEnv:
    return _Deaf([lambda: Counting(3)] * num_envs, autoreset_mode=AutoresetMode(mode))


def modeless(num_envs: int) -> SyncVectorEnv:
    vec = counting(num_envs)
    vec.autoreset_mode = "sometimes"
    return vec


class Spaceless(gymnasium.Env):
    """Does not say what it shows and takes."""


class Actionless(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(2)
    action_space: Any = 4


def limited() -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(gymnasium.wrappers.TimeLimit(Unseeded(), 70), 80)


def not_an_env() -> int:
    return 3


def broken() -> gymnasium.Env:
    raise OSError("no disk in drive A")
