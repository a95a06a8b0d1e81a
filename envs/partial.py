"""Environments that hide something: control tasks without velocities, and two tasks of pure memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

NO_VELOCITY = {
    "CartPole-v1": "CartPole-NoVelocity-v1",
    "LunarLander-v3": "LunarLander-NoVelocity-v3",
    "Pendulum-v1": "Pendulum-NoVelocity-v1",
    "MountainCarContinuous-v0": "MountainCarContinuous-NoVelocity-v0",
}
"""The variant of each environment whose observation lacks the velocities."""

_VELOCITIES = {
    "CartPole-v1": (1, 3),
    "LunarLander-v3": (2, 3, 5),
    "Pendulum-v1": (2,),
    "MountainCarContinuous-v0": (1,),
}


def register() -> None:
    """Registers the ids of this module with Gymnasium."""
    for base, id in NO_VELOCITY.items():
        full = gymnasium.spec(base)
        gymnasium.register(
            id,
            "envs.partial:no_velocity",
            reward_threshold=full.reward_threshold,
            max_episode_steps=full.max_episode_steps,
            kwargs={"base": base},
        )
    gymnasium.register("Memory/RememberCue-v0", "envs.partial:RememberCue", reward_threshold=0.95)
    gymnasium.register("Memory/RepeatPrevious-v0", "envs.partial:RepeatPrevious", reward_threshold=0.95)


def no_velocity(base: str, **options: Any) -> gymnasium.Env:
    """The environment `base` without its velocities and without its time limit, which the variant's own id sets."""
    return Hide(gymnasium.make(base, disable_env_checker=True, **options).unwrapped, _VELOCITIES[base])


class Hide(gymnasium.ObservationWrapper):
    """Removes the elements at `indices` of a vector observation."""

    def __init__(self, env: gymnasium.Env, indices: Sequence[int]) -> None:
        super().__init__(env)
        space = env.observation_space
        assert isinstance(space, spaces.Box)
        self._kept = [i for i in range(space.shape[0]) if i not in indices]
        self.observation_space = spaces.Box(space.low[self._kept], space.high[self._kept], dtype=np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation[self._kept]


class RememberCue(gymnasium.Env[np.ndarray, np.int64]):
    """A cue is shown at t=0, then nothing; at t=delay it must be named: reward 1 if right, else 0.

    Observation [cues + 1]: the cue one-hot at t=0, at t=delay a 1 in the last element that asks for the answer, else
    zeros. Actions before that are ignored. An episode has delay + 1 steps; guessing returns 1 / cues on average.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(self, delay: int = 50, cues: int = 2, render_mode: str | None = None) -> None:
        if delay < 1 or cues < 2:
            raise ValueError(f"delay must be at least 1 and cues at least 2, got {delay} and {cues}")
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (cues + 1,), np.float32)
        self.action_space = spaces.Discrete(cues)
        self._delay, self._cues = delay, cues
        self._t = self._cue = self._said = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._t, self._cue = 0, int(self.np_random.integers(self._cues))
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        over = self._t == self._delay
        self._said = int(action)
        reward = float(over and self._said == self._cue)
        self._t += 1
        return self._observe(), reward, over, False, {}

    def _observe(self) -> np.ndarray:
        observation = np.zeros(self._cues + 1, np.float32)
        if self._t == 0:
            observation[self._cue] = 1.0
        elif self._t == self._delay:
            observation[-1] = 1.0
        return observation

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The table as uint8 [360, 480, 3]: the cue is visible only at t=0 and after the answer."""
        if self.render_mode is None:
            return None
        from envs.cards import Table, draw

        over = self._t > self._delay
        table = Table(
            title="Remember the cue",
            card=self._cue if self._t == 0 or over else None,
            asks=self._t == self._delay,
            answer=(self._said, self._cue) if over else None,
            score=f"step {min(self._t, self._delay)} of {self._delay}",
            gone=min(1.0, self._t / self._delay),
        )
        return draw(table, self._cues)


class RepeatPrevious(gymnasium.Env[np.ndarray, np.int64]):
    """Each step shows one of `symbols`, one-hot; the action must be the one shown `k` steps ago.

    The first k steps pay nothing, then each right answer pays 1 / (length - k): the return is the share of right
    answers. Truncated after `length` steps, since nothing in the task ends there (compare POPGym, Morad et al. 2023).
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(self, k: int = 4, symbols: int = 4, length: int = 100, render_mode: str | None = None) -> None:
        if not 0 <= k < length or symbols < 2:
            raise ValueError(f"k must be in [0, length) and symbols at least 2, got {k}, {length} and {symbols}")
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (symbols,), np.float32)
        self.action_space = spaces.Discrete(symbols)
        self._k, self._symbols, self._length = k, symbols, length
        self._shown: list[int] = []
        self._said: list[int] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._shown, self._said = [], []
        return self._show(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        t = len(self._shown) - 1
        self._said.append(int(action))
        right = t >= self._k and self._said[t] == self._shown[t - self._k]
        observation = self._show()
        return observation, right / (self._length - self._k), False, t + 1 == self._length, {}

    def _show(self) -> np.ndarray:
        self._shown.append(int(self.np_random.integers(self._symbols)))
        observation = np.zeros(self._symbols, np.float32)
        observation[self._shown[-1]] = 1.0
        return observation

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The symbol shown now and the last answer beside the right one, as uint8 [360, 480, 3]."""
        if self.render_mode is None:
            return None
        from envs.cards import Table, draw

        t = len(self._said)
        answers = list(zip(self._said[self._k :], self._shown))
        table = Table(
            title="What was it before?" if self._k == 1 else f"What was it {self._k} cards ago?",
            card=self._shown[t],
            asks=self._k <= t < self._length,
            answer=answers[-1] if answers else None,
            score=f"{sum(named == right for named, right in answers)} of {len(answers)} right" if answers else "",
            gone=t / self._length,
        )
        return draw(table, self._symbols)
