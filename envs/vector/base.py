"""N environments that advance together, each episode from a seed that the caller names.

The vectorisers of Gymnasium and ALE differ in when they reset, and with which seeds. Here they have one interface:
`step` takes the actions and the environments that start a new episode in this slot, whose actions are ignored. So
nothing resets by itself, and `envs.stream` writes the same rows for each of them.
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
"""Environment index -> seed of the episode that it starts now; None: it is idle from now on and is not stepped."""


Info = dict[str, Any]
"""Key -> one value for each environment, None if it gave none."""


class Outcome(NamedTuple):
    """Result of one slot beside the observations. Entries of environments that started mean nothing."""

    reward: Any  # [N]
    terminated: Any  # [N]
    truncated: Any  # [N]
    info: Info


class Vector(ABC):
    """N environments behind one `step`. Observations of the newest slot are read with `raw`."""

    name: str
    """For run.json: sync, async, native or ale."""
    num_envs: int
    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    capped = True
    """Whether the environments themselves truncate at `max_steps`."""
    seeded = True
    """Whether one environment can start an episode from a seed while the others go on."""
    prepares = False
    """Whether `prepare` saves time."""
    has_state = False
    """Whether `get_state` and `set_state` carry the exact state, so that a resume replays no actions."""

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
        """Hints at the seeds from which the next episodes will start; only if `prepares`."""
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        """The exact state of all environments (JSON-able values and arrays); only if `has_state`."""
        raise NotImplementedError

    def set_state(self, state: dict[str, Any], ended: np.ndarray) -> None:
        """Restores what `get_state` gave. ended: bool [N], the environments whose episode had ended."""
        raise NotImplementedError

    def face(self, opponent: Any) -> None:
        """Attaches the learner as the opponent (`envs.boards.opponents.Opponent`)."""
        raise InputError("self-play needs the board games' own vector environment: vector='auto'")

    def environments(self) -> Any:
        """The live environments, for a simulator that copies their states: a list, or one vector environment.

        Raises `InputError` if they are out of reach.
        """
        raise InputError(f"its environments run in {self.name} mode, which gives no copy of them: set vector='sync'")

    @abstractmethod
    def render(self) -> list[np.ndarray]:
        """One uint8 [H, W, 3] picture for each environment."""

    def glide(self, part: float) -> list[np.ndarray] | None:
        """The pictures `part` (0 to 1) of the way from the slot before; None if nothing glides."""
        return None

    @abstractmethod
    def close(self) -> None: ...


def picture(frame: Any) -> np.ndarray:
    """An environment's picture as uint8 [H, W, 3]. Grey, alpha and floats from 0 to 1 are accepted.

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
