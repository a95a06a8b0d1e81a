"""What one arcade state looks like, as plain data: sprites on a grid and the numbers beside them. No drawing here.

`scene` reads a game's state; `envs.arcade.look` paints the result. A scene is small, compares by value and can be
made by hand, so that a picture is testable without a game and a game without a display.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sprite:
    """One object. Positions are in cells, (0, 0) the centre of the top-left cell, x to the right, y down."""

    kind: str
    x: float
    y: float
    facing: int = 1
    """1: to the right, -1: to the left."""
    moved: tuple[float, float] = (0.0, 0.0)
    """Cells travelled to get here; drawn as a trail."""
    variant: int = 0
    """Colour or shape among those of the kind: the brick's row, the car's speed, the alien's row."""
    key: str = ""
    """Names the same object in two scenes, so that a viewer may glide between them; "" where it cannot be told."""


@dataclass(frozen=True)
class Scene:
    """One state of one game, ready to be drawn. None stands for a number that the game does not have."""

    game: str
    """breakout, asterix, freeway, seaquest or space_invaders."""
    sprites: tuple[Sprite, ...]
    score: float = 0.0
    lives: int | None = None
    level: int | None = None
    """Difficulty reached by ramping, from 1."""
    oxygen: float | None = None
    """Seaquest: what is left, 0 to 1."""
    carried: int | None = None
    """Seaquest: divers aboard, 0 to 6."""
    time: float | None = None
    """Freeway: the part of the episode that is left, 0 to 1."""
    over: bool = False
    cells: tuple[int, int] = (10, 10)
    """Columns and rows of the board."""
