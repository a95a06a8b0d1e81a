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
from rl.errors import InputError

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

    def set_state(self, state: dict[str, Any], ended: np.ndarray) -> None:
        """Restores what `get_state` gave. ended: bool [N], the environments whose episode had ended."""
        raise NotImplementedError

    @abstractmethod
    def render(self) -> list[np.ndarray]:
        """One uint8 [H, W, 3] picture for each environment."""

    def glide(self, part: float) -> list[np.ndarray] | None:
        """The pictures `part` (0 to 1) of the way from the slot before; None where things only jump."""
        return None

    @abstractmethod
    def close(self) -> None: ...


def picture(frame: Any) -> np.ndarray:
    """What an environment drew, as uint8 [H, W, 3]. Grey, alpha and floats from 0 to 1 are accepted.

    Raises `InputError` for anything else.
    """
    if frame is None:
        raise InputError("this environment gives no picture: it has no render_mode 'rgb_array'")
    drawn = frame if isinstance(frame, np.ndarray) else np.asarray(frame)
    if drawn.dtype != np.uint8:
        if drawn.dtype.kind not in "fiub":
            raise InputError(f"this environment's render gives {type(frame).__name__}, not a picture of numbers")
        if drawn.dtype.kind in "fb" and drawn.size and np.max(drawn) <= 1:
            drawn = drawn * 255.0
        drawn = np.rint(np.nan_to_num(drawn).clip(0, 255)).astype(np.uint8)
    if drawn.ndim == 2:
        return np.repeat(drawn[..., None], 3, -1)
    if drawn.ndim == 3 and drawn.shape[-1] in (1, 3, 4):
        return np.repeat(drawn, 3, -1) if drawn.shape[-1] == 1 else drawn[..., :3]
    raise InputError(f"this environment's render gives the shape {drawn.shape}, not a picture [H, W, 3]")
