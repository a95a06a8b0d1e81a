"""Environments that break Gymnasium's rules, or use them in rare ways."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

OBSERVATION = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
EPISODE = 5
"""Steps of an episode."""


class Game(gymnasium.Env):
    """Episodes of five steps with reward 1. The methods below it are replaced to break a rule."""

    observation_space: Any = OBSERVATION
    action_space: Any = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), self.info()

    def step(self, action: Any):
        self.t += 1
        return np.zeros(2, np.float32), 1.0, self.t >= EPISODE, False, self.info()

    def info(self) -> Any:
        return {}


INFOS: dict[str, Callable[[int], Any]] = {
    "number_or_none": lambda t: {"winner": None if t % 2 else 1},
    "growing_array": lambda t: {"path": np.zeros(t)},
    "number_or_word": lambda t: {"state": t if t % 2 else "even"},
    "dict_or_number": lambda t: {"state": t if t % 2 else {"t": t}},
    "beyond_int64": lambda t: {"count": 2 ** (40 * t)},
    "no_info": lambda t: None if t else {},
    "unpicklable": lambda t: {"callback": lambda: t},
}


class Infos(Game):
    """Gives infos of one of the kinds in `INFOS`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def info(self) -> Any:
        return INFOS[self.kind](self.t)


STEPS: dict[str, Callable[[bool], tuple[Any, ...]]] = {
    "int_ends": lambda end: (1, int(end), 0, {}),
    "no_truncated": lambda end: (1.0, end, None, {}),
    "array_ends": lambda end: (1.0, np.array([end]), np.array([False]), {}),
    "array_reward": lambda end: (np.array([1.0]), end, False, {}),
    "int_reward": lambda end: (np.int32(1), np.bool_(end), False, {}),
    "word_lives": lambda end: (1.0, end, False, {"lives": "three"}),
    "array_lives": lambda end: (1.0, end, False, {"lives": np.array([3])}),
    "word_reward": lambda end: ("good", end, False, {}),
    "two_rewards": lambda end: (np.ones(2), end, False, {}),
    "end_of_two": lambda end: (1.0, 2, False, {}),
    "word_end": lambda end: (1.0, "no", False, {}),
    "list_info": lambda end: (1.0, end, False, [3]),
    "short_mask": lambda end: (1.0, end, False, {"action_mask": np.ones(3)}),
    "word_mask": lambda end: (1.0, end, False, {"action_mask": "all"}),
}


class Steps(Game):
    """Returns what `STEPS` says from each step."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def reset(self, **kwargs: Any):
        observation, _ = super().reset(**kwargs)
        mask = {"action_mask": np.ones(4)} if "mask" in self.kind else {}
        return observation, mask

    def step(self, action: Any):
        self.t += 1
        return (np.zeros(2, np.float32), *STEPS[self.kind](self.t >= EPISODE))


class Hangs(Game):
    """Sleeps for `seconds` in its third step, or in its close in a worker process."""

    def __init__(self, seconds: float, where: str = "step") -> None:
        self.seconds, self.where = seconds, where

    def step(self, action: Any):
        if self.where == "step" and self.t == 2:
            time.sleep(self.seconds)
        return super().step(action)

    def close(self) -> None:
        if self.where == "close" and multiprocessing.parent_process() is not None:
            time.sleep(self.seconds)


class BadClose(Game):
    """Raises when it is closed."""

    def close(self) -> None:
        raise OSError("the simulator is gone")


class Masks(Game):
    """Allows the actions 0 and 2; a forbidden action raises. `kind` says how, or when, the mask is given."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "method":
            self.action_masks = lambda: [True, False, True, False]

    def reset(self, **kwargs: Any):
        observation, _ = super().reset(**kwargs)
        return observation, self._given("reset")

    def step(self, action: Any):
        if action in (1, 3):
            raise ValueError(f"action {action} is forbidden")
        observation, reward, terminated, truncated, _ = super().step(action)
        time.sleep(0.002)  # slow enough to be timed for worker processes
        return observation, reward, terminated, truncated, self._given("step")

    def _given(self, when: str) -> dict[str, Any]:
        mask = np.array([1, 0, 1, 0], np.int8)
        given: dict[str, Any] = {
            "action_mask": {"action_mask": mask},
            "action_masks": {"action_masks": mask},
            "one_entry": {"action_mask": np.ones(1)},
            "step_only": {"action_mask": mask} if when == "step" else {},
            "reset_only": {"action_mask": mask} if when == "reset" else {},
        }
        return given.get(self.kind, {})


class Lengths(VectorEnv):
    """Environment i's episodes last 3 + 2 i steps. Ignores `reset_mask`: each reset resets all environments.

    kind: "visible" shows the step, "hidden" shows nothing, "waiting" moves for action 1 only.
    """

    def __init__(self, num_envs: int, kind: str) -> None:
        self.kind, self.num_envs = kind, num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = gymnasium.spaces.Box(0, 100, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.observation_space = gymnasium.spaces.Box(0, 100, (num_envs, 1), np.float32)
        self.action_space = gymnasium.spaces.MultiDiscrete([2] * num_envs)

    def _observation(self) -> np.ndarray:
        return (self.position * (self.kind != "hidden")).astype(np.float32)[:, None]

    def reset(self, *, seed: Any = None, options: Any = None):
        self.position, self.ended = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        return self._observation(), {}

    def step(self, actions: Any):
        move = np.asarray(actions) if self.kind == "waiting" else 1
        self.position = np.where(self.ended, 0, self.position + move)
        self.ended = (self.position >= 3 + 2 * np.arange(self.num_envs)) & ~self.ended
        no = np.zeros(self.num_envs, bool)
        return self._observation(), np.ones(self.num_envs), self.ended, no, {}


class NoOptions(Lengths):
    """Its `reset` takes no options."""

    def reset(self, *, seed: Any = None):
        return super().reset(seed=seed)


class FailsOnce(gymnasium.Env):
    """Deterministic; the second instance fails in its sixth step while `armed`: it raises or gives a NaN reward."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    armed = False
    made = 0

    def __init__(self, how: str, length: int = 1000) -> None:
        self.how, self.second = how, FailsOnce.made % 2 == 1
        self.length = 1000 if self.second else length
        FailsOnce.made += 1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.t, self.tag = 0, float(self.np_random.integers(1000))
        return np.array([self.tag, 0], np.float32), {}

    def step(self, action: Any):
        self.t += 1
        fails = FailsOnce.armed and self.second and self.t == 6
        if fails and self.how == "raise":
            raise ValueError("the simulator broke")
        observation = np.array([self.tag, self.t], np.float32)
        return observation, float("nan") if fails else 1.0, self.t == self.length, False, {}


class DrawsNothing(Game):
    """Its `render` gives None."""

    def render(self) -> None:
        return None


class Differs(Game):
    """The third and later copies have a larger action space or wider bounds; `file` counts copies in all processes."""

    def __init__(self, kind: str, file: str) -> None:
        with open(file, "ab") as counter:
            counter.write(b".")
            count = counter.tell()
        size = 1.0 if count <= 2 else 2.0
        wide = gymnasium.spaces.Box(-size, size, (2,), np.float32)
        if kind == "actions":
            self.action_space = gymnasium.spaces.Discrete(int(size) + 1)
        elif kind == "action_bounds":
            self.action_space = wide
        else:
            self.observation_space = wide
