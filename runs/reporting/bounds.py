"""Intervals as lists, and the returns that the rules of a task allow."""

from __future__ import annotations

from rl import stats as st

RETURNS = {
    "CartPole-v0": (0.0, 200.0),
    "CartPole-v1": (0.0, 500.0),
    "Acrobot-v1": (-500.0, 0.0),
    "MountainCar-v0": (-200.0, 0.0),
    "ALE/Pong-v5": (-21.0, 21.0),
    "FrozenLake-v1": (0.0, 1.0),
}
"""Lowest and highest return of an episode."""


def interval(found: st.Estimate | st.Verdict) -> list[float] | None:
    return [found.low, found.high] if found.low is not None and found.high is not None else None


def bounded(env: str, difference: list[float] | None) -> list[float] | None:
    """An interval of a difference of scores, limited to the differences that are possible on `env`."""
    if difference is None or env not in RETURNS:
        return difference
    low, high = RETURNS[env]
    return [max(difference[0], low - high), min(difference[1], high - low)]
