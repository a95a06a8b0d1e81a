"""What a viewer shows beside the game: what the agent thinks, as plots over plain arrays.

`draw_view` paints a whole frame: the game's picture, and beside it (or below it, if the window is upright) the panels.
Everything here takes NumPy arrays and draws on a canvas, so it needs neither an agent nor a display.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from envs import drawing
from envs.drawing import Canvas, Colour, mix
from runs.watching.plots import draw_panels
from runs.watching.table_grid import draw_table
from runs.watching.views import View


def draw_view(canvas: Canvas, view: View) -> None:
    """Paints one frame over the whole canvas."""
    width, height = canvas.width, canvas.height
    canvas.fill(drawing.INK)
    unit = unit_of(canvas)
    bar = unit * 2.1
    _header(canvas, view, unit, bar)
    body = canvas.part(0, bar, width, height - bar)
    if not view.panels:
        _game(body, view, 0, 0, body.width, body.height, unit)
    elif width >= height:
        side = max(unit * 13, width * 0.33)
        _game(body, view, 0, 0, width - side, body.height, unit)
        draw_panels(body.part(width - side, 0, side, body.height), view, unit)
    else:
        low = body.height * 0.42
        _game(body, view, 0, 0, width, body.height - low, unit)
        draw_panels(body.part(0, body.height - low, width, low), view, unit)
    if view.help:
        draw_help(canvas, view.keys, unit)


def unit_of(canvas: Canvas) -> float:
    """Line height of plain text, in pixels: all else is measured in it."""
    return max(8.0, min(canvas.height / 600, canvas.width / 800) * 17)


def draw_grid(canvas: Canvas, views: Sequence[View]) -> None:
    """Several games at once: the pictures, with return and step below each."""
    canvas.fill(drawing.INK)
    unit = unit_of(canvas)
    bar = unit * 2.1
    _header(canvas, views[0], unit, bar)
    shape = views[0].stretch or views[0].picture.shape[1] / views[0].picture.shape[0]
    room = canvas.height - bar
    columns = max(1, min(len(views), round(math.sqrt(len(views) * canvas.width / room / shape))))
    rows = math.ceil(len(views) / columns)
    wide, high = canvas.width / columns, room / rows
    line = min(unit * 1.4, high * 0.2)
    for k, view in enumerate(views):
        cell = canvas.part(k % columns * wide, bar + k // columns * high, wide, high)
        cell.picture(view.picture, 2, 2, cell.width - 4, cell.height - line - 2, view.stretch)
        total = view.trace.returns[-1] if view.trace.returns else 0.0
        words = f"game {view.episode + 1}   return {round(total, 1):g}   step {view.step:,}"
        cell.text(words, cell.width / 2, cell.height - line / 2, line * 0.66, drawing.MUTED, "centre")
        if view.over:
            cell.rect(0, 0, cell.width, cell.height - line, (*drawing.INK, 130))
            cell.text(
                f"{round(total, 1):g}",
                cell.width / 2,
                cell.height / 2 - line,
                min(unit * 2.5, high * 0.3),
                drawing.YELLOW,
                "centre",
            )
    if views[0].help:
        draw_help(canvas, views[0].keys, unit)


def _header(canvas: Canvas, view: View, unit: float, bar: float) -> None:
    canvas.rect(0, 0, canvas.width, bar, drawing.PANEL)
    canvas.rect(0, bar - max(1, bar / 24), canvas.width, max(1, bar / 24), drawing.EDGE)
    middle, x = bar * 0.48, unit * 0.7
    x += canvas.text(view.title, x, middle, unit * 1.15, drawing.TEXT) + unit * 0.8
    right = canvas.width - unit * 0.7
    for words, colour in _badges(view):
        wide = canvas.text_width(words, unit * 0.85) + unit * 0.9
        if right - wide < x:
            break
        canvas.rect(right - wide, middle - unit * 0.62, wide, unit * 1.24, mix(drawing.PANEL, colour, 0.25), unit * 0.4)
        canvas.text(words, right - wide / 2, middle, unit * 0.85, colour, "centre")
        right -= wide + unit * 0.4
    if x + canvas.text_width(view.subtitle, unit * 0.85) < right:
        canvas.text(view.subtitle, x, middle, unit * 0.85, drawing.MUTED)


def _badges(view: View) -> list[tuple[str, Colour]]:
    """From the right to the left."""
    badges: list[tuple[str, Colour]] = []
    badges.append(("unlimited" if math.isinf(view.speed) else f"{view.speed:g}x", drawing.MUTED))
    if view.recording:
        badges.append(("REC", drawing.RED))
    if view.paused:
        badges.append(("PAUSED", drawing.YELLOW))
    if view.human:
        badges.append(("YOU PLAY", drawing.GREEN))
    elif view.thought is not None:
        badges.append(("sampled" if view.sampled else "greedy", drawing.VIOLET))
    return badges


def _game(canvas: Canvas, view: View, x: float, y: float, width: float, height: float, unit: float) -> None:
    gap = unit * 0.5
    box = canvas.picture(view.picture, x + gap, y + gap, width - 2 * gap, height - 2 * gap, view.stretch)
    if view.table is not None:
        draw_table(canvas, view.table, box)
    if view.heat is not None:
        left, top, wide, high = view.heat_area
        canvas.heat(view.heat, box[0] + left * box[2], box[1] + top * box[3], wide * box[2], high * box[3])
    if view.note:
        draw_note(canvas.part(x, y, width, height), view.note, unit)


def draw_note(canvas: Canvas, words: str, unit: float) -> None:
    """Draws a line of text over the lower edge."""
    letters = unit * min(1.0, (canvas.width - unit * 2) / max(1, canvas.text_width(words, unit)))
    wide, low = canvas.text_width(words, letters) + unit * 1.4, canvas.height - unit * 3
    canvas.rect((canvas.width - wide) / 2, low, wide, unit * 1.9, (*drawing.INK, 215), unit * 0.5)
    canvas.text(words, canvas.width / 2, low + unit * 0.95, letters, drawing.YELLOW, "centre")


def draw_help(canvas: Canvas, keys: Sequence[tuple[str, str]], unit: float) -> None:
    """A card over the middle with (key, what it does)."""
    each = min(unit * 1.45, canvas.height * 0.8 / (len(keys) + 2))
    wide, high = unit * 24, each * len(keys) + unit * 3
    x, y = (canvas.width - wide) / 2, (canvas.height - high) / 2
    canvas.rect(0, 0, canvas.width, canvas.height, (*drawing.BLACK, 150))
    canvas.rect(x, y, wide, high, drawing.PANEL, unit * 0.6)
    canvas.frame(x, y, wide, high, drawing.EDGE, unit * 0.6, max(1, unit / 10))
    canvas.text("KEYS", canvas.width / 2, y + unit * 1.3, unit * 1.2, drawing.TEXT, "centre")
    for k, (key, words) in enumerate(keys):
        middle = y + unit * 2.6 + each * (k + 0.5)
        canvas.text(key, x + unit * 9.4, middle, min(unit, each * 0.8), drawing.YELLOW, "right")
        canvas.text(words, x + unit * 10.6, middle, min(unit, each * 0.8), drawing.TEXT)
