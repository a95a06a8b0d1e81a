"""What the five games share: the state row, its random draws, the six joystick actions.

A game is a module with

    NAME, VERSION     "Breakout", 1: the version grows with every change of the rules or of the state
    ACTIONS           the joystick codes an agent may choose from, MinAtar's minimal set
    CHANNELS          one name per observation plane
    STATE             `state_row(...)`: one structured row holds everything about one game in progress
    RANGES            fields that index memory: field -> (lowest, highest) value
    LISTS             optional: names of list fields [capacity, ...]; `num_NAME` rows are in use, x and y come first
    reset(s)          starts an episode in row `s`
    step(s, action, ramping) -> (reward, ended)
    observe(s, board) sets cells of `board`, bool [10, 10, channels], which comes in all False

written as plain scalar code for one environment. `envs.arcade.engine` compiles it over the batch. Coordinates count
from the top left corner: x to the right, y down, both 0 to 9. Rules: Young and Tian 2019, "MinAtar: An Atari-Inspired
Testbed for Thorough and Reproducible Reinforcement Learning Experiments" (arXiv:1903.03176).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

Row = Any
"""One environment's row of structured state, as the rules see it: `s.score += 1` writes through."""

SIZE = 10
"""Boards are SIZE x SIZE cells."""

NOOP, LEFT, UP, RIGHT, DOWN, FIRE = range(6)
ACTION_NAMES = ("noop", "left", "up", "right", "down", "fire")


def rule(function: Callable[..., Any]) -> Any:
    """Marks scalar code that is compiled into the engine. The undecorated function stays at `.py_func`."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def inlined_rule(function: Callable[..., Any]) -> Any:
    """A rule that is copied into its only caller. For `observe` this makes the board's shape a constant."""
    return numba.njit(nogil=True, error_model="numpy", inline="always")(function)


def state_row(*fields: tuple[Any, ...]) -> np.dtype[np.void]:
    """The dtype of one game in progress: the engine's fields, then the game's own."""
    engine = (
        ("rng", np.uint64),  # SplitMix64's counter
        ("elapsed", np.int32),  # steps taken in this episode
        ("score", np.int32),  # rewards so far in this episode
        ("last_action", np.int8),  # joystick code last played, which a sticky step repeats
        ("ended", np.bool_),  # terminated or truncated by the last step
    )
    return np.dtype([*engine, *fields], align=True)


@rule
def moved(place: int, action: int, back: int, forth: int, low: int, high: int) -> int:
    """`place` after a joystick move: one less for `back`, one more for `forth`, kept within [low, high]."""
    return min(max(place + (action == forth) - (action == back), low), high)


@rule
def draw(s: Row) -> Any:
    """The next 64 random bits of row `s` (SplitMix64: Steele, Lea and Flood 2014)."""
    s.rng += np.uint64(0x9E3779B97F4A7C15)
    z = s.rng
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@rule
def uniform(s: Row) -> float:
    """A float64 in [0, 1)."""
    return (draw(s) >> np.uint64(11)) * 2.0**-53


@rule
def below(s: Row, n: int) -> Any:
    """An integer in [0, n)."""
    return np.int64(((draw(s) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
