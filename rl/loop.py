"""The loop of an agent and N environments, the same for replay learners and on-policy learners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from rl.interface import Env, TimeStep


class Learner(Protocol):
    """The methods of an agent that the loop calls."""

    def observe(self, ts: TimeStep) -> None: ...

    def update(self) -> dict[str, Any] | None: ...

    def act(self, ts: TimeStep) -> np.ndarray: ...


class Slot(NamedTuple):
    """One turn of the loop."""

    step: int
    """Counted rows so far: rows that are not `first`."""
    ts: TimeStep
    metrics: dict[str, Any] | None
    """Detached tensors of the newest update, or None if no update was due."""
    played: TimeStep
    """`ts` as the environments returned it, including rows beyond the budget; for statistics only."""


def interact(env: Env, agent: Learner, budget: int, *, step: int = 0, ts: TimeStep | None = None) -> Iterator[Slot]:
    """Observe, update, act, step, until exactly `budget` rows have been counted.

    In the last slot, rows are counted in environment order until the budget is full. The agent gets the others as
    `first`, so that they are part of no transition. To continue a saved run, give the `step` and the row `ts` of the
    slot at which it was saved: the loop continues with acting.
    """
    if ts is None:
        ts = env.reset()
        agent.observe(ts)
        yield Slot(step, ts, agent.update(), ts)
    while step < budget:
        played = env.step(agent.act(ts))
        ts = keep(played, budget - step)
        step += len(ts.first) - int(np.count_nonzero(ts.first))
        agent.observe(ts)
        yield Slot(step, ts, agent.update(), played)


def keep(ts: TimeStep, left: int) -> TimeStep:
    """`ts` with all but the first `left` counted rows turned into `first` rows."""
    if len(ts.first) <= left:
        return ts
    counted = ~ts.first
    cut = counted & (np.cumsum(counted) > left)
    if not cut.any():
        return ts
    return ts._replace(
        action=np.where(cut.reshape(-1, *[1] * (ts.action.ndim - 1)), 0, ts.action).astype(ts.action.dtype),
        reward=np.where(cut, np.float32(0), ts.reward),
        discount=np.where(cut, np.float32(0), ts.discount),
        first=ts.first | cut,
        last=ts.last & ~cut,
    )
