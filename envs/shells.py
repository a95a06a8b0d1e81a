"""Gymnasium environments around compiled games: one game, or N games as a native vector environment.

Both wrap a `CompiledGames`. A single environment is a batch of one: with the same seed and actions it plays the same
episode as any member of a batch. The arcade games and the board games share these classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.error import ClosedEnvironmentError, InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.compiled import as_array
from rl.errors import InputError, unknown


class CompiledGames(Protocol):
    """N games in progress."""

    num: int
    shape: tuple[int, int, int]
    """Of one observation: bool [H, W, C]."""
    actions: int
    rows: np.ndarray
    """The state, a structured array [N] with the field `ended`."""

    def seed(self, seeds: Sequence[int | None], mask: np.ndarray) -> None: ...

    def begin(self, mask: np.ndarray) -> None: ...

    def observe(self, mask: np.ndarray, boards: np.ndarray | None = None) -> np.ndarray: ...

    def info(self) -> dict[str, np.ndarray]: ...

    def advance(self, actions: np.ndarray, autoreset: bool) -> tuple[int, Any, Any, Any, Any]: ...

    def view(self, window: bool = False, fps: float = 15.0) -> Any: ...

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, state: dict[str, Any]) -> None: ...


def check_options(
    render_mode: str | None, modes: tuple[str, ...], others: dict[str, Any], known: tuple[str, ...]
) -> None:
    """Raises `InputError` for an option that is not `known` and for a render mode that is not one of `modes`."""
    for name in others:
        raise unknown("option", name, known)
    if render_mode is not None and render_mode not in modes:
        *most, last = map(repr, modes)
        raise InputError(f"render_mode must be None, {', '.join(most)} or {last}, got {render_mode!r}")


def _check_seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise gym.error.Error(f"a seed must be a whole number of at least 0, got {seed!r}")
    return int(seed)


class CompiledEnv(gym.Env[np.ndarray, np.int64]):
    """One compiled game. Observation bool [H, W, C]."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "human"], "render_fps": 15}

    def __init__(self, games: CompiledGames, render_mode: str | None) -> None:
        self.games: Any = games
        self.observation_space = gym.spaces.Box(0, 1, games.shape, np.bool_)
        self.action_space = gym.spaces.Discrete(games.actions)
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
        return self.games.observe(self._everyone)[0], self._info()

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
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), self._info()

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

    def _info(self) -> dict[str, Any]:
        return {key: value[0].item() if value.ndim == 1 else value[0] for key, value in self.games.info().items()}

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("the environment is closed: make a new one")

    def _show_human(self) -> None:
        if self.render_mode == "human":
            self._viewer().show(self.state)

    def _viewer(self) -> Any:
        if self._view is None:
            self._view = self.games.view(window=self.render_mode == "human", fps=self.metadata["render_fps"])
        return self._view


class CompiledVectorEnv(gym.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N games in one compiled loop; observations bool [N, H, W, C], new in each step.

    `autoreset_mode` as in Gymnasium. NEXT_STEP: the step after an end resets. SAME_STEP: an end resets at once and
    `info["final_obs"]` and `info["final_info"]` hold what it ended with. DISABLED: reset with
    `options={"reset_mask": mask}`. Seeds: an int s (environment i gets s + i) or a list; a masked seeded reset gives
    the same episode whatever came before and whatever N is.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 15,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(self, games: CompiledGames, render_mode: str | None, autoreset_mode: str | AutoresetMode) -> None:
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            modes = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise InputError(f"autoreset_mode must be one of {modes}, got {autoreset_mode!r}") from None
        self.games: Any = games
        self.num_envs = games.num
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.single_observation_space = gym.spaces.Box(0, 1, games.shape, np.bool_)
        self.single_action_space = gym.spaces.Discrete(games.actions)
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
                    "final_info": self._final_info(done),
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
        """As `render`, with moving things between two steps: `part` 0 is one step ago, 1 is now."""
        self._check_open()
        if self.render_mode is None:
            return None
        if not self._started:
            raise ResetNeeded("call reset() before render()")
        if self._view is None:
            self._view = self.games.view()
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
        info = self.games.info()
        return info | {f"_{key}": mask.copy() for key in info}

    def _final_info(self, done: np.ndarray) -> dict[str, Any]:
        info = self.games.info()
        shown = {key: np.where(done.reshape(-1, *[1] * (v.ndim - 1)), v, 0).astype(v.dtype) for key, v in info.items()}
        return shown | {f"_{key}": done.copy() for key in info}

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the environment is closed: make a new one")
