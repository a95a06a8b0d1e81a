"""The table of an agent on the grid that its environment draws: values as colours, the policy as arrows, the path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.envs.toy_text import taxi

from envs import drawing
from envs.drawing import Canvas, mix

Place = tuple[float, float, float, float]
"""x, y, width and height of a cell, as parts of the picture."""

DOWN, UP, RIGHT, LEFT, HERE = (0, 1), (0, -1), (1, 0), (-1, 0), (0, 0)


@dataclass(frozen=True)
class TableGrid:
    """What is drawn over the picture."""

    places: Sequence[Place]
    values: np.ndarray
    """Of each place: the best action's value; NaN if every action has the same value, so nothing was learned."""
    moves: Sequence[tuple[int, int] | None]
    """The best action of each place as a step (x, y), (0, 0) for one that moves nothing; None without a best one."""
    path: Sequence[int]
    """Places visited in this episode, the newest last."""


@dataclass(frozen=True)
class Layout:
    """How an environment draws its states."""

    places: list[Place]
    stride: int
    """States of one place: what else the state holds, such as Taxi's passenger, is `state % stride`."""
    moves: tuple[tuple[int, int], ...]
    """The step of each action."""


def layout(id: str, states: int) -> Layout | None:
    """The layout of FrozenLake, CliffWalking or Taxi; None for other environments."""
    name = id.rpartition("/")[2].partition("-v")[0]
    if name in ("FrozenLake", "FrozenLake8x8") and math.isqrt(states) ** 2 == states:
        side = math.isqrt(states)
        return Layout(_cells(side, side), 1, (LEFT, DOWN, RIGHT, UP))
    if name in ("CliffWalking", "CliffWalkingSlippery") and states == 48:
        return Layout(_cells(4, 12), 1, (UP, RIGHT, DOWN, LEFT))
    if name == "Taxi" and states == 500:
        (wide, high), (x, y), (w, h) = taxi.WINDOW_SIZE, taxi.GRID_ORIGIN, taxi.CELL_SIZE
        places = [((x + c * w) / wide, (y + r * h) / high, w / wide, h / high) for r in range(5) for c in range(5)]
        return Layout(places, 20, (DOWN, UP, RIGHT, LEFT, HERE, HERE))
    return None


def _cells(rows: int, columns: int) -> list[Place]:
    return [(c / columns, r / rows, 1 / columns, 1 / rows) for r in range(rows) for c in range(columns)]


def table_grid(agent: Any, id: str, visited: Sequence[int]) -> TableGrid | None:
    """The agent's table where it stands in an episode whose states were `visited`; None without a table or a layout."""
    if not hasattr(agent, "value_table") or not visited:
        return None
    values = agent.value_table(len(visited) - 1)
    drawn = layout(id, len(values))
    if drawn is None:
        return None
    rest = visited[-1] % drawn.stride
    shown = values[rest :: drawn.stride]
    known = np.ptp(shown, 1) > 1e-12
    moves = [drawn.moves[a] if k else None for a, k in zip(shown.argmax(1), known, strict=True)]
    path = [s // drawn.stride for s in visited]
    return TableGrid(drawn.places, np.where(known, shown.max(1), np.nan), moves, path)


def draw_table(canvas: Canvas, table: TableGrid, box: Place) -> None:
    """Draws over the picture that covers `box` (x, y, width, height in pixels)."""
    left, top, width, height = box
    finite = table.values[np.isfinite(table.values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    cells = [(left + x * width, top + y * height, w * width, h * height) for x, y, w, h in table.places]
    for (x, y, w, h), value, move in zip(cells, table.values, table.moves, strict=True):
        if not np.isfinite(value):
            continue
        part = (float(value) - low) / (high - low) if high > low else 1.0
        colour = mix(drawing.VIOLET, drawing.YELLOW, part)
        canvas.rect(x + 1, y + 1, w - 2, h - 2, (*colour, 120), min(w, h) * 0.1)
        words = f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
        canvas.text(words, x + w / 2, y + h * 0.87, min(h * 0.2, w * 0.26), drawing.INK, "centre")
        if move is not None:
            _arrow(canvas, x + w / 2, y + h * 0.42, min(w, h) * 0.24, move)
    middles = [(cells[k][0] + cells[k][2] / 2, cells[k][1] + cells[k][3] / 2) for k in table.path]
    canvas.lines(middles, drawing.WHITE, 3)
    x, y = middles[-1]
    canvas.circle(x, y, min(cells[0][2:]) * 0.09, drawing.WHITE)


def _arrow(canvas: Canvas, x: float, y: float, long: float, move: tuple[int, int]) -> None:
    """An arrow around (x, y), or a ring for an action that does not move."""
    dx, dy = move
    if move == HERE:
        canvas.circle(x, y, long * 0.6, drawing.INK)
        canvas.circle(x, y, long * 0.35, drawing.YELLOW)
        return
    tip = x + dx * long, y + dy * long
    canvas.lines([(x - dx * long, y - dy * long), tip], drawing.INK, max(2, long * 0.2))
    for side in (-1, 1):
        wing = tip[0] - (dx - side * dy) * long * 0.55, tip[1] - (dy + side * dx) * long * 0.55
        canvas.lines([wing, tip], drawing.INK, max(2, long * 0.2))
