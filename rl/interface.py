"""The types that all packages share. Imports NumPy only: environment workers and `rl --help` must not load torch.

One row holds what N parallel environments showed at time t and how they got there (docs/architecture.md). Rows t and
t+1 are a transition exactly if row t+1 is not `first`; a row followed by `first` is a truncation unless its
discount is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

LARGEST_WHOLE = np.nextafter(2.0**63, 0)
"""The largest float64 that int64 can hold."""

Obs = dict[str, np.ndarray]
"""Observation leaves by name, each [N, *leaf.shape]. An environment with one plain observation has the leaf "obs"."""


class TimeStep(NamedTuple):
    """One row of N environments. `action`, `reward` and `discount` led to `obs`; they are 0 if `first`."""

    obs: Obs
    mask: np.ndarray | None  # bool [N, A]: the actions allowed now; None if all always are
    action: np.ndarray  # exactly what the agent returned: int64 [N] or [N, K], float32 [N, K]
    reward: np.ndarray  # float32 [N], raw
    discount: np.ndarray  # float32 [N]: 0 if the return ends, else 1
    first: np.ndarray  # bool [N]: the first row of an episode
    last: np.ndarray  # bool [N]: the final row of an episode, for statistics only
    info: dict[str, Any]  # for logging, never for learning; "states": a function that copies the states, for planning

    @property
    def exact_reward(self) -> np.ndarray:
        """The rewards [N] as the environments gave them, in float64 if the info holds them: for scores."""
        return np.asarray(self.info.get("exact_reward", self.reward))


@dataclass(frozen=True)
class ObsLeaf:
    """One observation column: how the replay stores it and how an encoder reads it."""

    shape: tuple[int, ...]
    dtype: str
    """As stored: uint8 or float32 (images), bool (boards), float32 (vectors), int64 (categories)."""
    kind: Literal["vector", "image", "board", "index", "action"]
    """`action`: a critic's input, in [-1, 1]; `image`: in [0, 1] after division by `scale`, [-1, 1] if signed;
    `board`: small grid of 0/1 planes; `index`: one-hot by `nvec`."""
    layout: Literal["", "CHW", "HWC"] = ""
    """Axis order of an image or board."""
    nvec: tuple[int, ...] = ()
    """For `index` leaves: the number of categories of each of the `shape[0]` elements, which count from 0."""
    scale: float = 1.0
    """The network divides an image by this: 255 for bytes, else the largest absolute value within its bounds."""
    start: tuple[int, ...] = ()
    """For `index` leaves whose categories do not count from 0: what `column` subtracts from each."""
    given: tuple[int, ...] | None = field(default=None, compare=False)
    """The shape that the environment itself shows; None if unknown."""

    def column(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The stored form of an environment's array `raw` [N, ...], and which of its numbers it keeps.

        A new array [N, *shape] of `dtype`, and bool [N, *shape], or None if it keeps all. Integers, bytes and bits do
        not keep numbers outside their range.
        """
        column = raw.astype(self.dtype, order="C").reshape(-1, *self.shape)
        fits = None
        if self.dtype != "float32" and raw.dtype != column.dtype:
            fits = column == raw.reshape(column.shape)
        if self.start:
            column -= np.array(self.start, np.int64)
        if self.nvec:
            inside = column.view(np.uint64) < np.array(self.nvec, np.uint64)  # a negative one is huge as uint64
            fits = inside if fits is None else fits & inside
        return column, fits


@dataclass(frozen=True)
class ActionSpec:
    """The actions that an agent may return; `to_space` turns them into elements of the environment's action space.

    discrete: int64 [N] in [0, nvec[0]).  multidiscrete: int64 [N, K], element k in [0, nvec[k]).
    multibinary: int64 [N, K] of 0 and 1.  box: float32 [N, K], which `to_space` clips to [low, high].
    A mask concatenates the choices of all elements: bool [N, sum(nvec)].
    """

    kind: Literal["discrete", "multidiscrete", "multibinary", "box"]
    nvec: tuple[int, ...] = ()
    """Choices of each element; (2,) * K for multibinary; empty for box."""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    start: tuple[int, ...] = ()
    """`to_space` adds this to each element if the environment's choices do not count from 0."""
    space_shape: tuple[int, ...] | None = field(default=None, compare=False)
    """Shape of one action in the environment's own space; None: the same as `shape`."""
    space_dtype: str = field(default="", compare=False)
    """Dtype of the environment's own space; empty: the same as `dtype`."""

    def to_space(self, action: np.ndarray) -> np.ndarray:
        """The agent's actions [N, *shape] as elements of the environment's action space, [N, *space_shape].

        Adds `start`, clips a box to its bounds, rounds for a box of whole numbers, casts and reshapes.
        """
        dtype = np.dtype(self.space_dtype or self.dtype)
        if self.kind == "box":
            whole = dtype.kind in "biu"
            high = np.minimum(self.high, LARGEST_WHOLE) if whole else self.high
            action = np.clip(action.astype(np.float64), self.low, high)
            action = np.rint(action) if whole else action
        elif self.start:
            action = action + np.array(self.start, np.int64).reshape(self.shape)
        return action.astype(dtype, copy=False).reshape(-1, *self._space_shape)

    @property
    def _space_shape(self) -> tuple[int, ...]:
        return self.shape if self.space_shape is None else self.space_shape

    @property
    def size(self) -> int:
        """K: how many numbers one action has."""
        return len(self.nvec) or len(self.low)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one environment's action: () for discrete, else (K,)."""
        return () if self.kind == "discrete" else (self.size,)

    @property
    def dtype(self) -> str:
        return "float32" if self.kind == "box" else "int64"

    @property
    def logits(self) -> int:
        """How many numbers a categorical head needs: sum(nvec)."""
        return sum(self.nvec)


@dataclass(frozen=True)
class EnvSpec:
    """What an agent must know of an environment, and nothing more."""

    id: str
    obs: dict[str, ObsLeaf]
    action: ActionSpec
    masked: bool = False
    """Whether rows carry an action mask."""
    protocol: str = ""
    """Name of the Atari protocol, shown beside every score."""
    reward_threshold: float | None = None
    max_episode_steps: int | None = None
    action_meanings: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    """What the environment was made with, for run.json."""
    model: Any = field(default=None, compare=False, repr=False)
    """An object whose `table` is the environment's exact `rl.tables.TableModel`; None if there is no such model."""
    simulator: Any = field(default=None, compare=False, repr=False)
    """Plays the environment for agents that plan (`rl.search.model.Model`); None if there is no simulator."""
    alternating: bool = False
    """Whether the agent moves for both players in turn: each row, and its reward, is then seen by the other player."""


class Symmetries(NamedTuple):
    """The K symmetries of a game as index maps; the first is the identity.

    `observation.reshape(H * W, C)[cells[k]]` is the observation of the transformed position and
    `policy[actions[k]]` a policy on it. An action a of the original becomes `inverse[k][a]`.
    """

    names: tuple[str, ...]
    cells: np.ndarray  # int64 [K, H * W]
    actions: np.ndarray  # int64 [K, A]
    inverse: np.ndarray  # int64 [K, A]


class Env(Protocol):
    """N environments as one stream of rows; made by `envs.make`, driven by `rl.loop` and the evaluator."""

    spec: EnvSpec
    num_envs: int

    def reset(self) -> TimeStep:
        """Row 0: every environment `first`."""

    def step(self, action: np.ndarray) -> TimeStep:
        """The next row. After a `last` row the action is ignored and the row is `first`."""

    def state_dict(self) -> dict[str, Any]:
        """Enough to continue exactly (JSON-able values and arrays)."""

    def load_state_dict(self, state: dict[str, Any]) -> TimeStep:
        """Restores and returns the current row. Raises `RunError` if the observation is not bit-equal."""

    def render(self) -> list[np.ndarray]:
        """One uint8 [H, W, 3] picture for each environment."""

    def glide(self, part: float) -> list[np.ndarray] | None:
        """The pictures `part` (0 to 1) of the way from the row before; None if nothing moves smoothly."""

    def close(self) -> None: ...
