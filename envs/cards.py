"""Draws the memory tasks: a table with one card, which shows only what the player may see."""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np

from envs import drawing
from envs.drawing import Canvas, Colour, mix

SUITS: tuple[Colour, ...] = (
    drawing.CYAN,
    drawing.ORANGE,
    drawing.VIOLET,
    drawing.GREEN,
    drawing.PINK,
    drawing.BLUE,
    drawing.YELLOW,
    drawing.RED,
)
"""Colours of the cards, in order and again from the start."""


@dataclass(frozen=True)
class Table:
    """What lies on the table after one step."""

    title: str
    card: int | None
    """The card that lies face up; None if it lies face down."""
    asks: bool
    """Whether the next action is an answer."""
    answer: tuple[int, int] | None
    """The card that the last action named and the right card; None if no answer was asked for."""
    score: str
    gone: float
    """Share of the game that is over."""


def card_names(count: int) -> tuple[str, ...]:
    """A letter for each card; numbers if there are more cards than letters."""
    return tuple(string.ascii_uppercase[:count]) if count <= 26 else tuple(map(str, range(count)))


def draw(table: Table, cards: int, width: int = 480, height: int = 360) -> np.ndarray:
    """The picture of a table as uint8 [height, width, 3]. Needs no display."""
    canvas = Canvas(width, height)
    canvas.fill(drawing.INK)
    unit, names = height / 12, card_names(cards)
    canvas.text(table.title, unit, unit, 0.8 * unit, drawing.MUTED)
    canvas.text(table.score, width - unit, unit, 0.8 * unit, drawing.TEXT, "right")
    _card(canvas, table, names, width / 2, 5.4 * unit, unit)
    if table.answer is not None:
        named, right = table.answer
        words = f"said {names[named]}: right" if named == right else f"said {names[named]}, it was {names[right]}"
        canvas.text(
            words, width / 2, 10.1 * unit, 0.9 * unit, drawing.GREEN if named == right else drawing.RED, "centre"
        )
    canvas.bar(unit, 11.1 * unit, width - 2 * unit, 0.25 * unit, table.gone, drawing.MUTED)
    return canvas.array()


def _card(canvas: Canvas, table: Table, names: tuple[str, ...], x: float, y: float, unit: float) -> None:
    wide, high = 5 * unit, 7 * unit
    left, top, round_by = x - wide / 2, y - high / 2, 0.5 * unit
    rim = drawing.YELLOW if table.asks else drawing.EDGE
    canvas.rect(left - 4, top - 4, wide + 8, high + 8, rim, round_by + 4)
    if table.card is None:
        canvas.rect(left, top, wide, high, drawing.PANEL, round_by)
        canvas.frame(left + 0.5 * unit, top + 0.5 * unit, wide - unit, high - unit, drawing.EDGE, 0.3 * unit, 2)
        canvas.text("?" if table.asks else "", x, y, 3.5 * unit, drawing.YELLOW, "centre")
        return
    suit = SUITS[table.card % len(SUITS)]
    canvas.rect(left, top, wide, high, suit, round_by)
    canvas.text(names[table.card], x, y, 4.5 * unit, mix(suit, drawing.INK, 0.85), "centre")
