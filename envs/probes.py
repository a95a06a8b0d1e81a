"""Probe environments: so small that the right values, or the right behaviour of `envs.make`, are known.

Each class's docstring states the values. The ids are `Probe/<Class>-v0`; options are the constructor's arguments.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

Shown = tuple[Any, dict[str, Any]]
Stepped = tuple[Any, float, bool, bool, dict[str, Any]]


class Probe(gymnasium.Env):
    """What probes share: a clock `t`, a seeded generator, an observation made by `observe`."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    render_mode = None
    observation_space: spaces.Space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space: spaces.Space = spaces.Discrete(2)
    t = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Shown:
        super().reset(seed=seed)
        self.t = 0
        self.begin()
        return self.observe(), self.info()

    def begin(self) -> None:
        """Draws what this episode has at random."""

    def observe(self) -> Any:
        return np.zeros(1, np.float32)

    def info(self) -> dict[str, Any]:
        return {}


class Constant(Probe):
    """Reward 1 for ever, one state, truncated after `limit` steps: V = 1 / (1 - gamma)."""

    def __init__(self, limit: int = 10) -> None:
        self.limit = limit

    def step(self, action: Any) -> Stepped:
        self.t += 1
        return self.observe(), 1.0, False, self.t >= self.limit, {}


class OneStep(Probe):
    """One step, reward 1, over: V = 1."""

    def step(self, action: Any) -> Stepped:
        return self.observe(), 1.0, True, False, {}


class TwoStep(Probe):
    """Observation 0, then 1; reward 1 at the second step: V(0) = gamma, V(1) = 1."""

    def observe(self) -> np.ndarray:
        return np.full(1, min(self.t, 1), np.float32)

    def step(self, action: Any) -> Stepped:
        self.t += 1
        return self.observe(), float(self.t == 2), self.t == 2, False, {}


class ObsReward(Probe):
    """One step; the observation is -1 or 1 and so is the reward: V(s) = s."""

    def begin(self) -> None:
        self.sign = 2.0 * float(self.np_random.integers(2)) - 1.0

    def observe(self) -> np.ndarray:
        return np.full(1, self.sign, np.float32)

    def step(self, action: Any) -> Stepped:
        return self.observe(), self.sign, True, False, {}


class ActionReward(Probe):
    """One step; action 1 pays 1, action 0 pays -1: Q = (-1, 1)."""

    def step(self, action: Any) -> Stepped:
        return self.observe(), 2.0 * float(action) - 1.0, True, False, {}


class ObsAction(ObsReward):
    """One step; action 1 is right under observation 1, action 0 under -1: right pays 1, wrong -1."""

    def step(self, action: Any) -> Stepped:
        return self.observe(), self.sign * (2.0 * float(action) - 1.0), True, False, {}


class Target(Probe):
    """One step; a continuous action should equal the observation: reward -(a - s)^2, best return 0.

    bound: the action's lower and upper bound; both may be infinite.
    """

    def __init__(self, low: float = -1.0, high: float = 1.0, size: int = 1) -> None:
        self.action_space = spaces.Box(low, high, (size,), np.float32)
        self.received: np.ndarray | None = None

    def begin(self) -> None:
        self.target = self.np_random.uniform(-1.0, 1.0)

    def observe(self) -> np.ndarray:
        return np.full(1, self.target, np.float32)

    def step(self, action: Any) -> Stepped:
        self.received = np.array(action)
        return self.observe(), -float(np.mean((np.asarray(action) - self.target) ** 2)), True, False, {}


class Counting(Probe):
    """Observation (tag of the episode, t), reward t; `length` steps, or a random 1 to `length` of them.

    end: whether the last step is terminated, truncated, or both at once.
    """

    observation_space = spaces.Box(0.0, np.inf, (2,), np.float32)

    def __init__(
        self, length: int = 5, random: bool = False, end: Literal["terminated", "truncated", "both"] = "terminated"
    ) -> None:
        self.length, self.random, self.end = length, random, end

    def begin(self) -> None:
        self.tag = int(self.np_random.integers(1, 2**24))
        self.ends_at = int(self.np_random.integers(1, self.length + 1)) if self.random else self.length

    def observe(self) -> np.ndarray:
        return np.array([self.tag, self.t], np.float32)

    def step(self, action: Any) -> Stepped:
        self.t += 1
        over = self.t >= self.ends_at
        return self.observe(), float(self.t), over and self.end != "truncated", over and self.end != "terminated", {}


class Both(Probe):
    """One step, reward 1, terminated and truncated together: the target is the reward."""

    def step(self, action: Any) -> Stepped:
        return self.observe(), 1.0, True, True, {}


class Lives(Probe):
    """Reward 1 a step; one of 3 lives is lost every 4 steps, the game ends with the last: return 12 a game."""

    observation_space = spaces.Box(0.0, 12.0, (2,), np.float32)

    @property
    def lives(self) -> int:
        return 3 - self.t // 4

    def observe(self) -> np.ndarray:
        return np.array([self.t, self.lives], np.float32)

    def info(self) -> dict[str, Any]:
        return {"lives": self.lives}

    def step(self, action: Any) -> Stepped:
        self.t += 1
        return self.observe(), 1.0, self.lives == 0, False, self.info()


class Five(Probe):
    """Pays 5 a step for `length` steps: the score is 5 x length, a learner that clips sees 1 x length."""

    def __init__(self, length: int = 8) -> None:
        self.length = length

    def step(self, action: Any) -> Stepped:
        self.t += 1
        return self.observe(), 5.0, self.t >= self.length, False, {}


class Echo(Probe):
    """Each step shows a bit; reward 1 for repeating the previous one, and 0 at an episode's first step.

    An agent whose memory is empty at every start can return `length`, one that carries it over cannot.
    """

    def __init__(self, length: int = 8) -> None:
        self.length = length

    def begin(self) -> None:
        self.previous, self.bit = 0, int(self.np_random.integers(2))

    def observe(self) -> np.ndarray:
        return np.full(1, self.bit, np.float32)

    def step(self, action: Any) -> Stepped:
        self.t += 1
        right = int(action) == self.previous
        self.previous, self.bit = self.bit, int(self.np_random.integers(2))
        return self.observe(), float(right), self.t >= self.length, False, {}


class OneArray(Probe):
    """Writes every observation, its t, into the same array."""

    observation_space = spaces.Box(0.0, np.inf, (1,), np.float32)

    def __init__(self, length: int = 5) -> None:
        self.length = length
        self.array = np.zeros(1, np.float32)

    def observe(self) -> np.ndarray:
        self.array[0] = self.t
        return self.array

    def step(self, action: Any) -> Stepped:
        self.t += 1
        return self.observe(), 1.0, self.t >= self.length, False, {}


class NotFinite(Probe):
    """At step `at` gives a NaN or infinity in the observation, the reward, or the terminal observation."""

    def __init__(
        self, where: Literal["obs", "reward", "terminal"] = "obs", at: int = 3, value: float = float("nan")
    ) -> None:
        self.where, self.at, self.value = where, at, value

    def step(self, action: Any) -> Stepped:
        self.t += 1
        now = self.t >= self.at
        observation = np.full(1, self.value if now and self.where != "reward" else 0.0, np.float32)
        return (
            observation,
            self.value if now and self.where == "reward" else 0.0,
            now and self.where == "terminal",
            False,
            {},
        )


class Raises(Probe):
    """Raises a ValueError at step `at`."""

    def __init__(self, at: int = 3) -> None:
        self.at = at

    def step(self, action: Any) -> Stepped:
        self.t += 1
        if self.t >= self.at:
            raise ValueError("the probe fails here")
        return self.observe(), 0.0, False, False, {}


class WrongShape(Probe):
    """At step `at` gives an observation of 3 elements, although its space has 1."""

    def __init__(self, at: int = 3) -> None:
        self.at = at

    def step(self, action: Any) -> Stepped:
        self.t += 1
        return np.zeros(3 if self.t >= self.at else 1, np.float32), 0.0, False, False, {}


class MaskInfo(Probe):
    """Five actions, some of them allowed (`info["action_mask"]`); the action's number is paid, a forbidden one raises.

    The best return is that of the highest allowed action each step. At the end nothing is allowed.
    """

    action_space = spaces.Discrete(5)

    def __init__(self, length: int = 6) -> None:
        self.length = length

    def begin(self) -> None:
        self.draw()

    def draw(self) -> None:
        self.mask = self.np_random.integers(2, size=5).astype(np.int8)
        self.mask[self.np_random.integers(5)] = 1
        if self.t >= self.length:
            self.mask[:] = 0

    def info(self) -> dict[str, Any]:
        return {"action_mask": self.mask}

    def step(self, action: Any) -> Stepped:
        if not self.mask[action]:
            raise ValueError(f"action {action} is forbidden")
        self.t += 1
        self.draw()
        return self.observe(), float(action), self.t >= self.length, False, self.info()


class MaskDict(MaskInfo):
    """`MaskInfo` with the mask as a leaf of a Dict observation, as PettingZoo's games give it."""

    observation_space = spaces.Dict(
        {"observation": spaces.Box(-1.0, 1.0, (1,), np.float32), "action_mask": spaces.MultiBinary(5)}
    )

    def observe(self) -> dict[str, np.ndarray]:
        return {"observation": np.zeros(1, np.float32), "action_mask": self.mask.copy()}

    def info(self) -> dict[str, Any]:
        return {}


class Nested(Probe):
    """Every odd space at once: nested Dict, Tuple, float64, 0-d, categories from 2, 2-D categories, a grey picture."""

    observation_space = spaces.Dict(
        {
            "arm": spaces.Dict(
                {"joints": spaces.Box(-np.inf, np.inf, (2, 3), np.float64), "heat": spaces.Box(0, 9, ())}
            ),
            "pair": spaces.Tuple((spaces.Discrete(4, start=2), spaces.MultiDiscrete([[2, 3], [4, 5]]))),
            "grey": spaces.Box(0, 255, (12, 10), np.uint8),
            "board": spaces.Box(0, 1, (10, 10, 4), np.bool_),
        }
    )
    action_space = spaces.MultiDiscrete([[2, 3], [4, 5]])

    def observe(self) -> dict[str, Any]:
        return {
            "arm": {"joints": np.arange(6.0).reshape(2, 3) + self.t, "heat": np.float32(self.t)},
            "pair": (np.int64(2 + self.t % 4), np.array([[1, 2], [3, 4]])),
            "grey": np.full((12, 10), self.t, np.uint8),
            "board": np.full((10, 10, 4), self.t % 2 == 1),
        }

    def step(self, action: Any) -> Stepped:
        assert np.shape(action) == (2, 2)
        self.t += 1
        return self.observe(), float(np.sum(action)), self.t >= 6, False, {}


PROBES: tuple[type[Probe], ...] = (
    Constant,
    OneStep,
    TwoStep,
    ObsReward,
    ActionReward,
    ObsAction,
    Target,
    Counting,
    Both,
    Lives,
    Five,
    Echo,
    OneArray,
    NotFinite,
    Raises,
    WrongShape,
    MaskInfo,
    MaskDict,
    Nested,
)


def register() -> None:
    """Registers `Probe/<Class>-v0` for each of them."""
    for probe in PROBES:
        gymnasium.register(f"Probe/{probe.__name__}-v0", f"envs.probes:{probe.__name__}")
