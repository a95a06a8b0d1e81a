"""The bandit testbeds. Infos: `regret`, what a pull lost against the best arm, and `optimal`, 1 if it was that arm."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Bandit(gymnasium.Env[Any, np.int64]):
    """`arms` arms and `pulls` pulls, after which the episode is truncated. A subclass draws what the arms pay."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, arms: int = 10, pulls: int = 1000, render_mode: str | None = None) -> None:
        if arms < 2 or pulls < 1:
            raise ValueError(f"arms must be at least 2 and pulls at least 1, got {arms} and {pulls}")
        self.arms, self.pulls, self.render_mode = arms, pulls, render_mode
        self.observation_space: spaces.Space[Any] = spaces.Discrete(1)
        self.action_space = spaces.Discrete(arms)
        self.means = np.zeros(arms)
        """Expected reward of each arm at the next pull."""
        self.t = 0
        self.pulled = np.zeros(arms, np.int64)
        self.regret = [0.0]
        """Summed up after each pull."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t, self.pulled, self.regret = 0, np.zeros(self.arms, np.int64), [0.0]
        self.begin()
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        arm, best = int(action), self.best()
        reward, lost = self.pay(arm), float(self.means[best] - self.means[arm])
        self.pulled[arm] += 1
        self.regret.append(self.regret[-1] + lost)
        self.t += 1
        info = {"regret": lost, "optimal": float(arm == best)}
        self.change()
        return self.observe(), reward, False, self.t == self.pulls, info

    def begin(self) -> None:
        """Draws a new problem: by default means from N(0, 1), as Sutton and Barto's 10-armed testbed."""
        self.means = self.np_random.normal(size=self.arms)

    def change(self) -> None:
        """What happens to the arms after a pull."""

    def best(self) -> int:
        return int(self.means.argmax())

    def pay(self, arm: int) -> float:
        return float(self.means[arm] + self.np_random.normal())

    def observe(self) -> Any:
        return np.int64(0)

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Expected reward and pulls of each arm, and the regret so far, as uint8 [360, 480, 3]."""
        if self.render_mode is None:
            return None
        from envs.bandits.picture import draw

        return draw(self.means, self.pulled, self.regret, self.pulls)


class Stationary(Bandit):
    """The 10-armed testbed (Sutton and Barto 2018, section 2.3)."""


class Drifting(Bandit):
    """All means start at 0 and take a random step of N(0, `drift`) after each pull (exercise 2.5)."""

    def __init__(self, arms: int = 10, pulls: int = 1000, drift: float = 0.01, render_mode: str | None = None) -> None:
        super().__init__(arms, pulls, render_mode)
        self.drift = drift

    def begin(self) -> None:
        self.means = np.zeros(self.arms)

    def change(self) -> None:
        self.means = self.means + self.drift * self.np_random.normal(size=self.arms)


class Adversarial(Bandit):
    """Rewards of 0 and 1 fixed in advance, by an adversary that favours other arms in each quarter of the pulls.

    Regret is against the arm that pays most over all pulls (Auer et al. 2002), and may be negative for one pull.
    """

    def begin(self) -> None:
        rates = self.np_random.permuted(np.tile(np.linspace(0.1, 0.7, self.arms), (4, 1)), axis=1)
        champion = int(self.np_random.integers(self.arms))
        rates[1:, champion] = 0.8  # the best arm on the whole begins badly
        rates[0, champion] = 0.1
        phase = np.minimum(np.arange(self.pulls) * 4 // self.pulls, 3)
        self._table = (self.np_random.random((self.pulls, self.arms)) < rates[phase]).astype(float)
        self._best = int(self._table.sum(0).argmax())
        self.means = self._table[0]

    def change(self) -> None:
        self.means = self._table[min(self.t, self.pulls - 1)]

    def best(self) -> int:
        return self._best

    def pay(self, arm: int) -> float:
        return float(self.means[arm])


class Contextual(Bandit):
    """A context x of N(0, 1/d) numbers is shown, and arm a pays x . theta_a + N(0, 0.1), theta_a of N(0, 1) numbers."""

    def __init__(self, arms: int = 10, pulls: int = 1000, features: int = 5, render_mode: str | None = None) -> None:
        super().__init__(arms, pulls, render_mode)
        self.features = features
        self.observation_space = spaces.Box(-np.inf, np.inf, (features,), np.float32)

    def begin(self) -> None:
        self._theta = self.np_random.normal(size=(self.arms, self.features))
        self.change()

    def change(self) -> None:
        self._x = (self.np_random.normal(size=self.features) / self.features**0.5).astype(np.float32)
        self.means = self._theta @ self._x

    def pay(self, arm: int) -> float:
        return float(self.means[arm] + 0.1 * self.np_random.normal())

    def observe(self) -> np.ndarray:
        return self._x.copy()
