"""Compiles the rules of a game over a batch, keeps the compiled code on disk, and holds N games in progress.

The loops below are templates: they call `reset`, `step` and `observe`, and `compile_game` makes one copy of them for
each game, with the rules of that game under these three names. Environments share nothing: each row of state carries
its own random generator, so an environment's course depends on its seed and actions alone, not on the batch or on
threads.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs import compiled
from envs.arcade import GAMES
from envs.arcade.rules import NOOP, SIZE, Row, below, uniform
from envs.compiled import SavedRows, compile_loops
from rl.errors import InputError, unknown


class Kernels(NamedTuple):
    """The compiled loops of one game. `frames` are observations, bool [N, 10, 10, C], as viewed by `framed`."""

    begin: Any
    """begin(rows, mask): starts an episode in the masked rows."""
    show: Any
    """show(rows, mask, frames): writes the masked rows' observations."""
    advance: Any
    """advance(rows, actions, codes, ramping, sticky, limit, autoreset, frames, reward, terminated, truncated)

    One step of all rows. Returns -1, or the first row whose action is out of range or (without `autoreset`) whose
    episode has ended; then nothing was done.
    """
    rollout: Any
    """rollout(rows, codes, ramping, sticky, limit, gamma, steps, hold, value)

    Plays random actions, each for 1 to `hold` steps, for at most `steps` steps and adds the discounted rewards to
    `value`, float64 [N].
    """


def load_game(name: str) -> Any:
    """The module with the rules of game `name`, a key of `GAMES`."""
    if not isinstance(name, str) or name not in GAMES:
        raise unknown("arcade game", str(name), GAMES)
    return importlib.import_module(f"envs.arcade.{GAMES[name]}")


@lru_cache
def compile_game(name: str) -> Kernels:
    """The kernels of game `name`. Each is compiled, or read from the disk, when it is first called."""
    game = load_game(name)
    scope = {**globals(), "reset": game.reset, "step": game.step, "observe": game.observe}
    return Kernels(*compile_loops(name, cache_folder(name), scope, (restart, played), (begin, show, advance, rollout)))


def cache_folder(name: str) -> Path:
    """The folder for the compiled code of game `name`, see `envs.compiled.cache_folder`."""
    folder = Path(__file__).parent
    sources = [folder / source for source in ("rules.py", "engine.py", f"{GAMES[name]}.py")]
    return compiled.cache_folder("arcade", GAMES[name], sources)


def reset(s: Row) -> None: ...  # the game's, once bound


def step(s: Row, action: int, ramping: bool) -> tuple[int, bool]: ...  # type: ignore[empty-body]


def observe(s: Row, board: np.ndarray) -> None: ...


def restart(s: Row) -> None:
    s.elapsed = 0
    s.score = 0
    s.last_action = NOOP  # MinAtar's reaches over from the episode before; a seeded episode must not depend on it
    s.ended = False
    reset(s)


def begin(rows: np.ndarray, mask: np.ndarray) -> None:
    for i in range(len(rows)):
        if mask[i]:
            restart(rows[i])


def show(rows: np.ndarray, mask: np.ndarray, frames: np.ndarray) -> None:
    for i in range(len(rows)):
        if mask[i]:
            frames[i].cells[:] = 0
            observe(rows[i], frames[i].board)


def played(s: Row, action: int, ramping: bool, sticky: float) -> tuple[int, bool]:
    """One step of one game: its reward and whether it is over."""
    if uniform(s) < sticky:
        action = s.last_action
    s.last_action = action
    earned, over = step(s, action, ramping)
    s.score += earned
    s.elapsed += 1
    return earned, over


def rollout(
    rows: np.ndarray,
    codes: np.ndarray,
    ramping: bool,
    sticky: float,
    limit: int,
    gamma: float,
    steps: int,
    hold: int,
    value: np.ndarray,
) -> None:
    for i in range(len(rows)):
        s, weight, held, action = rows[i], 1.0, 0, 0
        for _ in range(steps):
            if held == 0:
                held, action = below(s, hold) + 1, codes[below(s, len(codes))]
            held -= 1
            earned, over = played(s, action, ramping, sticky)
            value[i] += weight * earned
            weight *= gamma
            if over or s.elapsed >= limit:
                break


def advance(
    rows: np.ndarray,
    actions: np.ndarray,
    codes: np.ndarray,
    ramping: bool,
    sticky: float,
    limit: int,
    autoreset: bool,
    frames: np.ndarray,
    reward: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
) -> int:
    for i in range(len(rows)):
        if actions[i] < 0 or actions[i] >= len(codes) or (not autoreset and rows[i].ended):
            return i
    for i in range(len(rows)):
        s = rows[i]
        reward[i], terminated[i], truncated[i] = 0.0, False, False
        if s.ended:
            restart(s)
        else:
            reward[i], terminated[i] = played(s, codes[actions[i]], ramping, sticky)
            truncated[i] = s.elapsed >= limit
            s.ended = terminated[i] or truncated[i]
        frames[i].cells[:] = 0
        observe(s, frames[i].board)
    return -1


@lru_cache
def frame_dtype(channels: int) -> np.dtype[np.void]:
    """One observation as a record: its shape is known to the compiler and its view costs no reference count."""
    board, cells = (np.uint8, (SIZE, SIZE, channels)), (np.uint8, (SIZE * SIZE * channels,))
    return np.dtype({"names": ["board", "cells"], "formats": [board, cells], "offsets": [0, 0]})


def framed(boards: np.ndarray) -> np.ndarray:
    """Views bool [N, 10, 10, C] as [N] records; the fields `board` and `cells` (uint8 0 and 1) share their memory."""
    return boards.reshape(-1).view(frame_dtype(boards.shape[3]))


class Games(SavedRows):
    """`num` games of one kind in progress, the state behind the Gymnasium environments.

    Raises `InputError` for a value out of range.
    """

    kind = "an arcade"

    def __init__(
        self,
        name: str,
        num: int,
        sticky_action_prob: float = 0.1,
        difficulty_ramping: bool = True,
        max_episode_steps: int | None = None,
    ) -> None:
        if not _is_int(num) or num < 1:
            raise InputError(f"num_envs must be a whole number of at least 1, got {num!r}")
        number = isinstance(sticky_action_prob, float | int) and not isinstance(sticky_action_prob, bool)
        if not number or not 0 <= sticky_action_prob <= 1:
            raise InputError(f"sticky_action_prob must be between 0 and 1, got {sticky_action_prob!r}")
        if not isinstance(difficulty_ramping, bool | np.bool_):
            raise InputError(f"difficulty_ramping must be True or False, got {difficulty_ramping!r}")
        if max_episode_steps is not None and (not _is_int(max_episode_steps) or max_episode_steps < 1):
            raise InputError(f"max_episode_steps must be None or at least 1, got {max_episode_steps!r}")
        self.name, self.game = name, load_game(name)
        self.num = int(num)
        self.sticky = float(sticky_action_prob)
        self.ramping = bool(difficulty_ramping)
        self.limit = int(max_episode_steps or np.iinfo(np.int64).max)
        self.kernels = compile_game(name)
        self.codes = np.array(self.game.ACTIONS, np.int64)
        self.actions = len(self.codes)
        self.rows = np.zeros(self.num, self.game.STATE)
        self.rows["ended"] = True  # until the first reset
        self.shape = (SIZE, SIZE, len(self.game.CHANNELS))
        self.seed([None] * self.num, np.ones(self.num, bool))

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy`: modules and compiled code are shared, not copied."""
        return {key: value for key, value in vars(self).items() if key not in ("game", "kernels")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, game=load_game(state["name"]), kernels=compile_game(state["name"]))

    def begin(self, mask: np.ndarray) -> None:
        self.kernels.begin(self.rows, mask)

    def observe(self, mask: np.ndarray, boards: np.ndarray | None = None) -> np.ndarray:
        """A new bool [N, 10, 10, C], or `boards`, with the masked rows written."""
        if boards is None:
            boards = np.zeros((self.num, *self.shape), np.bool_)
        self.kernels.show(self.rows, mask, framed(boards))
        return boards

    def advance(self, actions: np.ndarray, autoreset: bool) -> tuple[int, Any, Any, Any, Any]:
        """One step with int64 [N] `actions`.

        Returns the first bad row or -1 (see `Kernels.advance`) and new arrays: observation bool [N, 10, 10, C], reward
        float64 [N], terminated and truncated bool [N].
        """
        boards = np.empty((self.num, *self.shape), np.bool_)
        reward = np.empty(self.num, np.float64)
        terminated, truncated = np.empty(self.num, np.bool_), np.empty(self.num, np.bool_)
        bad = self.kernels.advance(
            self.rows,
            actions,
            self.codes,
            self.ramping,
            self.sticky,
            self.limit,
            autoreset,
            framed(boards),
            reward,
            terminated,
            truncated,
        )
        return bad, boards, reward, terminated, truncated

    def info(self) -> dict[str, np.ndarray]:
        """The `info` of an observation, arrays [N]."""
        return {"score": self.rows["score"].copy()}

    def view(self, window: bool = False, fps: float = 15.0) -> Any:
        """A new `View` of this game."""
        from envs.arcade.view import View

        return View(self.game.NAME, window=window, fps=fps)

    def _check_ranges(self, rows: np.ndarray) -> None:
        super()._check_ranges(rows)
        for field in getattr(self.game, "LISTS", ()):
            things = rows[field]
            used = np.arange(things.shape[1]) < rows[f"num_{field}"][:, None]
            if not ((things[..., :2] >= 0) & (things[..., :2] < 10))[used].all():
                raise InputError(f"field {field!r} of the saved state has something off the board: it was altered")


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
