"""Lowest and highest return of an episode, for tasks in which the rules fix both."""

from __future__ import annotations

RETURNS: dict[str, tuple[float, float]] = {
    "CartPole-v0": (0.0, 200.0),
    "CartPole-v1": (0.0, 500.0),
    "Acrobot-v1": (-500.0, 0.0),
    "MountainCar-v0": (-200.0, 0.0),
    "ALE/Pong-v5": (-21.0, 21.0),
    "FrozenLake-v1": (0.0, 1.0),
}


def bounded(env: str, interval: list[float] | None) -> list[float] | None:
    """An interval of a difference of scores, cut to what two scores of `env` can differ by."""
    if interval is None or env not in RETURNS:
        return interval
    low, high = RETURNS[env]
    return [max(interval[0], low - high), min(interval[1], high - low)]
