"""The arcade games as Gymnasium environments: one game, or N of them as a native vector environment.

Both are thin shells around `engine.Games`: a single environment is a batch of one, and with the same seed and actions
it takes the same course as any member of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ClosedEnvironmentError, InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.arcade.engine import Games, as_array
from rl.errors import InputError, unknown

RENDER_FPS = 15
_VECTOR_METADATA: dict[str, Any] = {
    "render_modes": ["rgb_array"],
    "render_fps": RENDER_FPS,
    "autoreset_mode": AutoresetMode.NEXT_STEP,
}
OPTIONS = ("sticky_action_prob", "difficulty_ramping", "max_episode_steps", "render_mode")


def _check_options(render_mode: str | None, others: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in others:
        raise unknown("option", name, known)
    if render_mode not in (None, "rgb_array", "human"):
        raise InputError(f"render_mode must be None, 'rgb_array' or 'human', got {render_mode!r}")


def _check_seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise gym.error.Error(f"a seed must be a whole number of at least 0, got {seed!r}")
    return int(seed)


class ArcadeEnv(gym.Env[np.ndarray, np.int64]):
    """One game. Observation bool [10, 10, C]; `info["score"]` is the sum of rewards so far in the episode.

    sticky_action_prob: with this chance the last action is played again instead of the one given.
    difficulty_ramping: whether Asterix, Seaquest and Space Invaders become harder as they go on.
    max_episode_steps: truncates here; None for no limit (a good Seaquest player may never end).
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "human"], "render_fps": RENDER_FPS}

    def __init__(
        self,
        game: str,
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **others: Any,
    ) -> None:
        _check_options(render_mode, others, OPTIONS)
        self.games = Games(game, 1, sticky_action_prob, difficulty_ramping, max_episode_steps)
        self.observation_space = gym.spaces.Box(0, 1, self.games.shape, np.bool_)
        self.action_space = gym.spaces.Discrete(len(self.games.game.ACTIONS))
        self.render_mode = render_mode
        self._everyone = np.ones(1, bool)
        self._view: Any = None
        self._started = self._closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self._check_open()
        if options:
            raise InputError(f"a single game has no reset options, got {options!r}")
        super().reset(seed=_check_seed(seed))
        self.games.seed([seed], self._everyone)
        self.games.begin(self._everyone)
        self._started = True
        self._show_human()
        return self.games.observe(self._everyone)[0], {"score": 0}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._check_open()
        if not self._started:
            raise ResetNeeded("call reset() before step()")
        actions = as_array(action)
        if actions.shape != () or actions.dtype.kind not in "iu":
            raise InvalidAction(f"an action must be a whole number in [0, {self.action_space.n}), got {action!r}")
        bad, obs, reward, terminated, truncated = self.games.advance(actions.astype(np.int64).reshape(1), False)
        if bad >= 0:
            if self.games.rows["ended"][0]:
                raise ResetNeeded("the episode has ended: call reset() before step()")
            raise InvalidAction(f"an action must be a whole number in [0, {self.action_space.n}), got {action!r}")
        self._show_human()
        score = {"score": int(self.games.rows["score"][0])}
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), score

    def render(self) -> np.ndarray | None:
        """`rgb_array`: the picture, uint8 [H, W, 3]. `human`: None, the window is already up to date."""
        self._check_open()
        if self.render_mode != "rgb_array":
            return None
        if not self._started:
            raise ResetNeeded("call reset() before render()")
        return self._viewer().picture(self.state)

    def close(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None
        self._closed = True

    @property
    def state(self) -> Any:
        """The row of state, as its game's file documents it; changing a field changes the game."""
        return self.games.rows[0]

    def get_state(self) -> dict[str, Any]:
        """The whole state as plain arrays, the random generator included."""
        return self.games.get_state()

    def set_state(self, state: dict[str, Any]) -> np.ndarray:
        """Continues exactly where `get_state` was called. Returns the observation; `InputError` if it is not ours."""
        self._check_open()
        self.games.set_state(state)
        self._started = True
        return self.games.observe(self._everyone)[0]

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("the environment is closed: make a new one")

    def _show_human(self) -> None:
        if self.render_mode == "human":
            self._viewer().show(self.state)

    def _viewer(self) -> Any:
        if self._view is None:
            from envs.arcade.view import View

            self._view = View(self.games.game.NAME, window=self.render_mode == "human", fps=RENDER_FPS)
        return self._view


class ArcadeVectorEnv(gym.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N games in one compiled loop. Options as `ArcadeEnv`'s; observations bool [N, 10, 10, C], new in each step.

    `autoreset_mode` as in Gymnasium. NEXT_STEP: the step after an end resets. SAME_STEP: an end resets at once and
    `info["final_obs"]` and `info["final_info"]` hold what it ended with. DISABLED: reset with
    `options={"reset_mask": mask}`. Seeds: an int s (environment i gets s + i) or a list; a masked seeded reset gives
    the same episode whatever came before and whatever N is.
    """

    metadata = _VECTOR_METADATA

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **others: Any,
    ) -> None:
        _check_options(render_mode, others, (*OPTIONS, "num_envs", "autoreset_mode"))
        if render_mode == "human":
            raise InputError("render_mode 'human' shows one game: use gymnasium.make, or 'rgb_array' here")
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            modes = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise InputError(f"autoreset_mode must be one of {modes}, got {autoreset_mode!r}") from None
        self.games = Games(game, num_envs, sticky_action_prob, difficulty_ramping, max_episode_steps)
        self.num_envs = self.games.num
        self.metadata = {**_VECTOR_METADATA, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.single_observation_space = gym.spaces.Box(0, 1, self.games.shape, np.bool_)
        self.single_action_space = gym.spaces.Discrete(len(self.games.game.ACTIONS))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._everyone = np.ones(self.num_envs, bool)
        self._view: Any = None
        self._before: np.ndarray | None = None
        self._started = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self._check_open()
        mask = self._everyone
        if not isinstance(options, dict | None):
            raise InputError(f"options must be None or a dictionary with reset_mask, got {options!r}")
        for name, value in (options or {}).items():
            if name != "reset_mask":
                raise unknown("reset option", name, ("reset_mask",))
            mask = value
            if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
                raise InputError(f"reset_mask must be a bool array of shape ({self.num_envs},), got {mask!r}")
            if not mask.any():
                raise InputError("reset_mask must name at least one environment")
        self.games.seed(self._seeds(seed), mask)
        self.games.begin(mask)
        self._started = True
        return self.games.observe(self._everyone), self._info(mask)

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self._check_open()
        if not self._started:
            raise ResetNeeded("call reset() before step()")
        chosen = as_array(actions)
        if chosen.shape != (self.num_envs,) or chosen.dtype.kind not in "iu":
            raise InvalidAction(
                f"actions must be whole numbers of shape ({self.num_envs},), got {chosen.dtype} {chosen.shape}"
            )
        chosen = chosen.astype(np.int64, copy=False)
        if self.render_mode is not None:
            self._before = self.games.rows.copy()
        autoreset = self.autoreset_mode == AutoresetMode.NEXT_STEP
        bad, obs, reward, terminated, truncated = self.games.advance(chosen, autoreset)
        if bad >= 0:
            if not 0 <= chosen[bad] < self.single_action_space.n:
                raise InvalidAction(
                    f"an action must be in [0, {self.single_action_space.n}), got {chosen[bad]} for environment {bad}"
                )
            raise ResetNeeded(f"the episode of environment {bad} has ended: reset it with a reset_mask")
        info = self._info(self._everyone)
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            done = terminated | truncated
            if done.any():
                final = np.full(self.num_envs, None, object)
                for i in np.flatnonzero(done):
                    final[i] = obs[i].copy()
                info = {
                    "final_obs": final,
                    "_final_obs": done,
                    "final_info": {"score": np.where(done, info["score"], 0), "_score": done.copy()},
                    "_final_info": done.copy(),
                }
                self.games.begin(done)
                self.games.observe(done, obs)
                info |= self._info(self._everyone)
        return obs, reward, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """`rgb_array`: one picture, uint8 [H, W, 3], of each environment."""
        return self.glide(1.0)

    def glide(self, part: float) -> tuple[np.ndarray, ...] | None:
        """As `render`, with everything that moved still on its way: 0 where it was one step ago, 1 where it is."""
        self._check_open()
        if self.render_mode is None:
            return None
        if not self._started:
            raise ResetNeeded("call reset() before render()")
        if self._view is None:
            from envs.arcade.view import View

            self._view = View(self.games.game.NAME)
        before = [None] * self.num_envs if self._before is None else self._before
        return tuple(self._view.picture(*rows, part) for rows in zip(self.games.rows, before))

    def close_extras(self, **kwargs: Any) -> None:
        if self._view is not None:
            self._view.close()

    @property
    def state(self) -> np.ndarray:
        """The rows of state, a structured array [N] as the game's file documents it: changing one changes a game."""
        return self.games.rows

    def get_state(self) -> dict[str, Any]:
        """The whole state as plain arrays [N, ...], the random generators included."""
        return self.games.get_state()

    def set_state(self, state: dict[str, Any]) -> np.ndarray:
        """Continues exactly where `get_state` was called. Returns the observation; `InputError` if it is not ours."""
        self._check_open()
        self.games.set_state(state)
        self._started, self._before = True, None
        return self.games.observe(self._everyone)

    def _seeds(self, seed: Any) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            first = _check_seed(seed) or 0
            return [first + i for i in range(self.num_envs)]
        if not isinstance(seed, Sequence | np.ndarray):
            raise gym.error.Error(f"seed must be None, a whole number or a list of them, got {seed!r}")
        seeds = [_check_seed(one) for one in seed]
        if len(seeds) != self.num_envs:
            raise InputError(f"seeds must be one for each of the {self.num_envs} environments, got {len(seeds)}")
        return seeds

    def _info(self, mask: np.ndarray) -> dict[str, Any]:
        return {"score": self.games.rows["score"].copy(), "_score": mask.copy()}

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the environment is closed: make a new one")
