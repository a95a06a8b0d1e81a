"""Connect Four's first moves, solved once: positions whose search takes minutes.

`connect_four_book.json` has the score of each position, for the player to move, under the key of `key_of`; a position
and its mirror image share one. `envs.boards.opening_maker` computed all of them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from envs.boards.connect_four import WIDTH

FILE = Path(__file__).parent / "connect_four_book.json"
COLUMNS = "4352617"
CENTRE = ("", "4", "44", "444", "4444")
"""The lines of the middle column whose every move has a score in the book."""
ORDER = (
    *(line + a for line in CENTRE for a in "4321"),
    *(a + b for a in "4321" for b in COLUMNS),
    *(a + b + c for a in "4321" for b in "4" for c in COLUMNS),
)
"""Moves to the positions, in the order in which they are solved."""


def key_of(mine: int, theirs: int) -> str:
    """The same for a position and its mirror image."""
    column = (1 << WIDTH) - 1
    turned = [
        sum(((stones >> 7 * x) & column) << 7 * (WIDTH - 1 - x) for x in range(WIDTH)) for stones in (mine, theirs)
    ]
    first, second = min((mine, theirs), (turned[0], turned[1]))
    return f"{first:x}-{second:x}"


@lru_cache
def book() -> dict[str, int]:
    """Key -> score of the player to move."""
    found: dict[str, int] = json.loads(FILE.read_text())
    return found
