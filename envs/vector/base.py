"""N environments that advance together, each episode from a seed that the caller names.

The libraries' vectorisers differ in who resets, when, and with which seed. Here they all have one shape: `step` takes
the actions and the environments that start a new episode in this very slot, whose action is then ignored. So nothing
resets by itself, nothing is reset twice where it need not be, and `envs.stream` writes rows without asking who runs
below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from envs.spaces import LeafCast
from rl.errors import InputError, RunError

MakeEnv = Callable[[], gymnasium.Env]


Starts = Mapping[int, int | None]
"""Environment index to the seed of the episode it starts now; None: it sleeps from now on and need not be stepped."""


Info = dict[str, Any]
"""Per key one value for each environment, None where it gave none."""


class Outcome(NamedTuple):
    """What one slot brought, besides the observations. Entries of environments that started mean nothing."""

    reward: Any  # [N]
    terminated: Any  # [N]
    truncated: Any  # [N]
    info: Info


class Vector(ABC):
    """N environments behind one `step`. Observations of the newest slot are read with `raw`."""

    name: str
    """What runs below, for run.json: sync, async, native or ale."""
    num_envs: int
    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    capped = True
    """Whether the environments themselves truncate at `max_steps`."""
    seeded = True
    """Whether an episode can be started from a seed, alone."""
    prepares = False
    """Whether `prepare` is of use."""
    has_state = False
    """Whether `get_state` and `set_state` carry the exact state, so that no actions need to be replayed."""

    @abstractmethod
    def reset(self, seeds: Sequence[int]) -> Info:
        """Starts an episode in every environment."""

    @abstractmethod
    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        """Advances every environment by one slot."""

    @abstractmethod
    def restart(self, starts: Starts) -> Info:
        """Starts episodes in some environments, between slots, and leaves the others as they are."""

    @abstractmethod
    def raw(self, cast: LeafCast) -> np.ndarray:
        """The newest observations of one leaf, [N, *cast.raw_shape]; may alias memory that the next step reuses."""

    def prepare(self, seeds: Sequence[int]) -> None:
        """Hints at the seeds from which the next episodes will start; only where `prepares`."""
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        """The exact state of all environments (JSON-able values and arrays); only where `has_state`."""
        raise NotImplementedError

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` gave."""
        raise NotImplementedError

    @abstractmethod
    def render(self) -> list[np.ndarray]:
        """One uint8 [H, W, 3] picture for each environment."""

    def glide(self, part: float) -> list[np.ndarray] | None:
        """The pictures `part` (0 to 1) of the way from the slot before; None where things only jump."""
        return None

    @abstractmethod
    def close(self) -> None: ...


OF_NOW = (
    " (Gymnasium's reset(seed=..., options=...) returns observation and info; step(action) returns observation, "
    "reward, terminated, truncated and info)"
)
"""What an environment of the old Gym API is to be changed to."""


class told:
    """Turns an error inside environment `index` into one line that names it."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception | SystemExit):
            raise raised(self.index, error) from error


def raised(index: int, error: Exception | SystemExit) -> RunError:
    """The one line for an error inside environment `index`."""
    if isinstance(error, RunError):
        return error
    said = str(error)
    old = "values to unpack (expected 2" in said or "values to unpack (expected 5" in said or "'seed'" in said
    hint = OF_NOW if old and isinstance(error, ValueError | TypeError) else ""
    return RunError(f"environment {index} raised {type(error).__name__}: {error}{hint}")


def _picture(frame: Any) -> np.ndarray:
    """What an environment drew as uint8 [H, W, 3]: grey ones, an alpha channel and floats from 0 to 1 are taken."""
    if frame is None:
        raise InputError("this environment gives no picture: it has no render_mode 'rgb_array'")
    picture = frame if isinstance(frame, np.ndarray) else np.asarray(frame)
    if picture.dtype != np.uint8:
        if picture.dtype.kind not in "fiub":
            raise InputError(f"this environment's render gives {type(frame).__name__}, not a picture of numbers")
        if picture.dtype.kind in "fb" and picture.size and np.max(picture) <= 1:
            picture = picture * 255.0
        picture = np.rint(np.nan_to_num(picture).clip(0, 255)).astype(np.uint8)
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, -1)
    if picture.ndim == 3 and picture.shape[-1] in (1, 3, 4):
        return np.repeat(picture, 3, -1) if picture.shape[-1] == 1 else picture[..., :3]
    raise InputError(f"this environment's render gives the shape {picture.shape}, not a picture [H, W, 3]")
