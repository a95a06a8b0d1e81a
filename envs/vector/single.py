"""One environment of the user's: its results are converted if that is safe, else refused in one line.

`Serial` and the worker processes both step through this class, so that they accept and refuse the same values.
"""

from __future__ import annotations

import logging
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.spaces import MASK, MASKS, LeafCast, action_cast, flat_mask, mask_of, observation_casts, short
from rl.errors import InputError, RunError

log = logging.getLogger(__name__)

PRESENT_API = (
    " (Gymnasium's reset(seed=..., options=...) returns observation and info; step(action) returns observation, "
    "reward, terminated, truncated and info)"
)
"""The API that an environment of the old Gym API must change to."""


LOGGED = ("regret", "optimal")


class Single:
    """Environment `index` of several.

    life_loss: whether `info["lives"]` is used; only then is a value that is no whole number an error.
    reset_options: `options` of every reset.

    Of an info these are kept: "lives" (int), "seat" (0 or 1), a bandit's "regret" and "optimal" (float),
    which are for logs, and "action_mask" (bool [A]). The mask comes from `info["action_mask"]`, `info["action_masks"]`
    or the method `action_masks()` of sb3-contrib, in this order.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        index: int,
        life_loss: bool = False,
        reset_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.env, self.index = env, index
        self._life_loss = life_loss
        self._reset_options = {"options": dict(reset_options)} if reset_options else {}
        self._casts: list[LeafCast] = []
        self._choices = 0
        with suppress(InputError):  # spaces that have no columns are refused by `envs.make`
            action = action_cast(env.action_space)[0]
            casts, mask = observation_casts(env.observation_space, action)
            self._casts = [*casts, mask] if mask else casts
            self._choices = 0 if mask else action.logits
        self._scalar_box = isinstance(env.action_space, gymnasium.spaces.Box) and env.action_space.shape == ()
        self._masks: Callable[[], Any] | None = None
        if self._choices and env.has_wrapper_attr(MASKS) and callable(method := env.get_wrapper_attr(MASKS)):
            self._masks = method

    def reset(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """Observation and info of a new episode. Raises `RunError`."""
        with naming(self.index):
            observation, info = self.env.reset(seed=seed, **self._reset_options)
        return observation, self._used(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As `gymnasium.Env.step`, with a float, two bools and the kept part of the info. Raises `RunError`."""
        try:
            if self._scalar_box:
                action = np.asarray(action)
            observation, reward, terminated, truncated, info = self.env.step(action)
        except (Exception, SystemExit) as error:  # sys.exit() would end the training silently
            raise raised(self.index, error) from error
        if type(reward) is not float:
            reward = float(reward) if type(reward) is np.float64 else self._number(reward)
        if type(terminated) is not bool:
            terminated = self._flag("terminated", terminated)
        if type(truncated) is not bool:
            truncated = self._flag("truncated", truncated)
        if info or info is None or self._masks is not None:
            info = self._used(info)
        return observation, reward, terminated, truncated, info

    def check(self, observation: Any) -> None:
        """Raises `RunError` for an observation that shared memory would silently broadcast or cast."""
        for cast in self._casts:
            value = cast.one(observation, self.index)
            if not cast.may_be_non_finite:
                cast(value[None], self.index)

    def render(self) -> Any:
        """What the environment draws, None if it has no `render`. Raises `RunError` if drawing fails."""
        with naming(self.index), suppress(NotImplementedError):
            return self.env.render()
        return None

    def close(self) -> None:
        """Closes the environment. An error is logged in one line: nothing is lost by it."""
        try:
            self.env.close()
        except (Exception, SystemExit) as error:
            log.warning("%s, in close()", raised(self.index, error))

    def _number(self, reward: Any) -> float:
        with suppress(TypeError, ValueError, OverflowError):
            if np.size(reward) == 1 and not isinstance(reward, str | bytes):
                return float(reward.item() if isinstance(reward, np.ndarray) else np.ravel(reward)[0])
        raise RunError(f"environment {self.index} gave the reward {short(reward)}: it must be a number")

    def _flag(self, name: str, value: Any) -> bool:
        if value is None:
            return False
        with suppress(TypeError, ValueError):
            if np.size(value) == 1 and (entry := np.ravel(value)[0]) in (0, 1):
                return bool(entry)
        raise RunError(f"environment {self.index} gave {name}={short(value)}: it must be True or False")

    def _used(self, info: Any) -> dict[str, Any]:
        if info is None:
            info = {}
        if not isinstance(info, Mapping):
            raise RunError(f"environment {self.index} gave the info {short(info)}: it must be a dict")
        used: dict[str, Any] = {}
        if (lives := info.get("lives")) is not None:
            count = _whole(lives)
            if count is not None:
                used["lives"] = count
            elif self._life_loss:
                raise RunError(
                    f"environment {self.index} gave info['lives']={short(lives)}: life_loss needs a whole number"
                )
        if isinstance(seat := info.get("seat"), int | np.integer) and seat in (0, 1):
            used["seat"] = int(seat)
        if self._choices and (mask := self._mask(info)) is not None:
            used[MASK] = mask
        return used | {name: info[name] for name in LOGGED if type(info.get(name)) is float}

    def _mask(self, info: Mapping[str, Any]) -> np.ndarray | None:
        mask = mask_of(info)
        if mask is None and self._masks is not None:
            with naming(self.index):
                mask = self._masks()
        if mask is None:
            return None
        try:
            return flat_mask(mask, self._choices)
        except InputError as error:
            raise RunError(f"environment {self.index} gave {error}") from None


def _whole(value: Any) -> int | None:
    """`value` as an int64, or None if it is no whole number."""
    with suppress(TypeError, ValueError, OverflowError):
        if np.size(value) == 1 and not isinstance(value, str | bytes | Mapping):
            number = np.ravel(value)[0]
            if number == int(number) and abs(int(number)) < 2**63:
                return int(number)
    return None


class naming:
    """Turns an error inside environment `index` into one line that names it."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, InputError):
            raise raised(self.index, error) from error


def raised(index: int, error: Exception | SystemExit) -> RunError:
    """The one line for an error inside environment `index`: its kind, its words, file and line of the user's code."""
    if isinstance(error, RunError):
        return error
    words = " ".join(str(error).split())
    old = "values to unpack (expected 2" in words or "values to unpack (expected 5" in words or "'seed'" in words
    hint = PRESENT_API if old and isinstance(error, ValueError | TypeError) else ""
    return RunError(f"environment {index} raised {type(error).__name__}: {words}{user_line(error)}{hint}")


_LIBRARIES = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_SUITE = str(Path(__file__).parents[1])


def user_line(error: BaseException) -> str:
    """ " (FILE, line N)" of the innermost frame that is the user's own code; "" if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = frame.filename
        if not name.startswith((*_LIBRARIES, _SUITE, "<")) and "site-packages" not in name:
            return f" ({name}, line {frame.lineno})"
    return ""
