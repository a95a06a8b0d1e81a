"""What the viewer shows at one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from runs.watching.table_grid import TableGrid

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, math.inf)

HELP = (
    ("SPACE", "pause and go on"),
    ("RIGHT", "one step, when paused"),
    ("+  -", "faster, slower"),
    ("ENTER", "next episode"),
    ("G", "greedy or sampled"),
    ("TAB", "take over, hand back"),
    ("P", "panels"),
    ("V", "saliency"),
    ("T", "the table on the grid"),
    ("S", "screenshot"),
    ("R", "record"),
    ("H", "this help; the game waits"),
    ("Q", "quit"),
)


@dataclass
class Thought:
    """The network's output for one observation; None for what the agent does not compute."""

    action: int | np.ndarray
    """The action taken: an index, or the numbers of several elements."""
    chosen: tuple[int, ...] = ()
    """Places of the bars to mark, among q_values or probabilities."""
    q_values: np.ndarray | None = None  # [A]
    probabilities: np.ndarray | None = None  # [A]; several elements one after the other
    value: float | None = None
    critics: np.ndarray | None = None  # [E]: what each critic of an ensemble says of the action taken
    support: np.ndarray | None = None  # [Z]: the returns of the atoms
    atoms: np.ndarray | None = None  # [A, Z]: their probabilities
    quantiles: np.ndarray | None = None  # [A, Z], not necessarily sorted
    mean: np.ndarray | None = None  # [K], of a box action, in the units of the environment
    std: np.ndarray | None = None  # [K]
    low: np.ndarray | None = None  # [K]
    high: np.ndarray | None = None  # [K]


@dataclass
class Trace:
    """Running numbers of one episode, one entry a row."""

    values: list[float] = field(default_factory=list)
    """The agent's estimate at each row, NaN where it has none."""
    returns: list[float] = field(default_factory=list)
    """Reward summed up to each row, as scores count it."""
    followed: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Discounted return that followed each row, as far as it is known, in the learner's units."""
    known: int = 0
    """How many rows of `followed` are settled: what is still to come weighs less than 5% there."""
    q_range: tuple[float, float] = (math.inf, -math.inf)
    """Lowest and highest action value of the episode so far."""
    critics: list[tuple[float, float]] = field(default_factory=list)
    """The lowest and the highest critic's estimate at each row, NaN without an ensemble."""


@dataclass
class View:
    """All that one frame shows."""

    picture: np.ndarray
    """uint8 [H, W, 3]."""
    title: str = ""
    subtitle: str = ""
    names: Sequence[str] = ()
    """Of the actions."""
    thought: Thought | None = None
    trace: Trace = field(default_factory=Trace)
    episode: int = 0
    step: int = 0
    """Of the episode."""
    speed: float = 1.0
    paused: bool = False
    sampled: bool = False
    recording: bool = False
    human: bool = False
    """A person holds the controls."""
    over: bool = False
    panels: bool = True
    help: bool = False
    heat: np.ndarray | None = None
    """Saliency, float [H, W], 0 to 1."""
    heat_area: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Where it belongs on the picture: x, y, width, height as parts of it."""
    table: TableGrid | None = None
    """The agent's table, drawn over the picture."""
    curve: tuple[np.ndarray, np.ndarray] | None = None
    """Steps and returns of the training that is followed."""
    note: str = ""
    stretch: float | None = None
    """Width over height in which the picture is shown, where it is not its own."""
    keys: Sequence[tuple[str, str]] = HELP


class Episode:
    """Keeps the trace of one episode while it is played: values, returns, and what really followed each row."""

    def __init__(self, gamma: float, reward_clip: float | None = None, comparable: bool = True) -> None:
        self.gamma, self.reward_clip, self.comparable = gamma, reward_clip, comparable
        self.trace = Trace()
        self._followed = np.zeros(256)
        self._settled = 0
        # Beyond this many rows a reward weighs less than 5% of what it is worth: the row counts as known.
        self._horizon = 1 if gamma <= 0 else 10**9 if gamma >= 1 else math.ceil(math.log(0.05) / math.log(gamma))

    def add_q_values(self, q_values: np.ndarray) -> None:
        """Widens the episode's range of action values. q_values: [A]."""
        finite = q_values[np.isfinite(q_values)]
        if len(finite):
            low, high = self.trace.q_range
            self.trace.q_range = min(low, float(finite.min())), max(high, float(finite.max()))

    def add(
        self,
        value: float,
        reward: float,
        discount: float,
        first: bool,
        last: bool,
        critics: tuple[float, float] = (math.nan, math.nan),
    ) -> None:
        """Takes one row: the value estimate there, the reward and discount that led to it, the critics' extremes."""
        if first:
            self.trace = Trace()
            self._followed = np.zeros(256)
            self._settled = 0
        t = len(self.trace.values)
        if t and not first:
            gain = reward if self.reward_clip is None else float(np.clip(reward, -self.reward_clip, self.reward_clip))
            if gain:  # the reward on the way from row t-1 to row t reaches all rows of the same return
                start = max(self._settled, t - 20 * min(self._horizon, t))
                self._followed[start:t] += gain * self.gamma ** np.arange(t - 1 - start, -1, -1.0)
        if t == len(self._followed):
            self._followed = np.concatenate([self._followed, np.zeros(t)])
        trace = self.trace
        trace.values.append(value)
        trace.critics.append(critics)
        trace.returns.append((trace.returns[-1] if trace.returns else 0.0) + (0.0 if first else reward))
        trace.followed = self._followed[: t + 1]
        if not self.comparable:
            return
        if discount == 0 and not first:
            self._settled = t
            trace.known = t + 1 if last else t
        else:
            trace.known = max(trace.known, t - self._horizon)
