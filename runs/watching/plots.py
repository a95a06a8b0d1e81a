"""The plots beside the game: action values, distributions, value estimate and return."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs import drawing
from envs.drawing import Canvas, Colour, faded, mix
from runs.watching.views import Thought, Trace, View

NEWEST = 240
"""Rows that a plot shows."""
GAUGE = 2.0
"""Height of a continuous action's gauge, in units of text."""


def draw_panels(canvas: Canvas, view: View, unit: float) -> None:
    """Draws numbers and bars at their own size. Plots share the rest, below them or, on a wide canvas, beside them."""
    gap = unit * 0.5
    width = canvas.width - gap
    wide = canvas.width > 1.3 * canvas.height
    column = width * 0.46 - gap if wide else width
    y = gap
    _numbers(canvas.part(0, y, column, unit * 3.2), view, unit)
    y += unit * 3.2 + gap
    thought, rows = view.thought, bar_rows(view)
    if thought is not None and rows:
        room = canvas.height - y - gap if wide else canvas.height * 0.40
        each = min(unit * 1.55, (room - unit * 1.7) / len(rows))
        high = unit * 1.7 + each * len(rows)
        title = "Q (advantage)" if thought.q_values is not None else "policy"
        _bars(canvas.part(0, y, column, high), rows, title, each, unit)
        y += high + gap
    elif thought is not None and thought.mean is not None:
        high = unit * 1.7 + GAUGE * unit * min(len(thought.mean), 6)
        _box_bars(canvas.part(0, y, column, high), thought, view.names, unit)
        y += high + gap
    if wide:
        _plots(canvas.part(column + gap, gap, width - column - gap, canvas.height - gap), view, unit)
    else:
        _plots(canvas.part(0, y, width, canvas.height - y), view, unit)


def _plots(canvas: Canvas, view: View, unit: float) -> None:
    """The plots that have something to show, one below the other; where there is no room the less telling ones go."""
    thought, gap = view.thought, unit * 0.5
    names = ["return"]
    if (thought is not None and thought.value is not None) or (view.over and np.isfinite(view.trace.values).any()):
        names.insert(0, "value")
    if thought is not None and (thought.atoms is not None or thought.quantiles is not None):
        names.insert(0, "distribution")
    if view.curve is not None and len(view.curve[0]):
        names.append("curve")
    while len(names) > 1 and canvas.height / len(names) < unit * 4.5:
        names.remove("return" if "return" in names else names[-1])
    high = canvas.height / len(names)
    for k, name in enumerate(names):
        part = canvas.part(0, k * high, canvas.width, high - gap)
        if name == "distribution" and thought is not None:
            _distribution(part, thought, view.names, unit)
        elif name == "value":
            _value_plot(part, view.trace, unit)
        elif name == "return":
            _plot(part, "return so far", [(np.asarray(view.trace.returns), drawing.YELLOW)], unit)
        elif view.curve is not None:
            _plot(part, "training", [(view.curve[1], drawing.GREEN)], unit, last=f"step {view.curve[0][-1]:,.0f}")


def _numbers(canvas: Canvas, view: View, unit: float) -> None:
    _card(canvas, unit)
    total = view.trace.returns[-1] if view.trace.returns else 0.0
    cells = [("return", f"{round(total, 1):g}", drawing.YELLOW), ("step", f"{view.step:,}", drawing.TEXT)]
    if view.thought is not None and view.thought.value is not None:
        cells.append(("value", f"{view.thought.value:.3g}", drawing.CYAN))
    cells.append(("episode", str(view.episode + 1), drawing.TEXT))
    wide = canvas.width / len(cells)
    for k, (label, value, colour) in enumerate(cells):
        middle = wide * (k + 0.5)
        canvas.text(label, middle, unit * 0.85, unit * 0.78, drawing.MUTED, "centre")
        size = unit * 1.35 * min(1.0, wide * 0.92 / max(1, canvas.text_width(value, unit * 1.35)))
        canvas.text(value, middle, unit * 2.05, size, colour, "centre")


@dataclass
class _Row:
    name: str
    value: float
    part: float
    """Length of the bar, 0 to 1."""
    chosen: bool
    advantage: float | None = None
    """Action value less the best one; None for a probability."""


def bar_rows(view: View, most: int = 18) -> list[_Row]:
    """A bar for each action: action values within the range of the episode so far, probabilities from 0 to 1."""
    thought = view.thought
    if thought is None:
        return []
    best = 0.0
    if thought.q_values is not None:
        values = np.asarray(thought.q_values, float)
        values = np.where(np.isfinite(values), values, np.nan)
        low, high = view.trace.q_range
        if np.isfinite(values).any():
            low, high = min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values)))
            best = float(np.nanmax(values))
        parts = np.nan_to_num(0.05 + 0.95 * (values - low) / max(high - low, 1e-9))
    elif thought.probabilities is not None:
        values = parts = np.asarray(thought.probabilities, float)
    else:
        return []
    chosen = set(thought.chosen)
    if not chosen and np.ndim(thought.action) == 0:
        chosen = {int(thought.action)}
    rows = [
        _Row(
            view.names[k] if k < len(view.names) else str(k),
            float(values[k]),
            float(parts[k]),
            k in chosen,
            None if thought.q_values is None or not np.isfinite(values[k]) else float(values[k]) - best,
        )
        for k in range(len(values))
    ]
    if len(rows) > most:  # the best ones, and the one taken
        kept = set(np.argsort(-values)[: most - len(chosen)].tolist()) | chosen
        rows = [row for k, row in enumerate(rows) if k in kept]
    return rows


def _bars(canvas: Canvas, rows: list[_Row], title: str, each: float, unit: float) -> None:
    _card(canvas, unit, title)
    letters = min(unit * 0.95, each * 0.8)
    name_wide = min(max(canvas.text_width(row.name, letters) for row in rows), canvas.width * 0.42)
    finite = [row.value for row in rows if math.isfinite(row.value)] or [0.0]
    span = max(finite) - min(finite)
    words = [bar_words(row, span) for row in rows]
    value_wide = max(canvas.text_width(text, letters) for text in words)
    x = unit * 0.6 + name_wide + unit * 0.5
    for k, row in enumerate(rows):
        y = unit * 1.55 + each * (k + 0.5)
        colour = drawing.YELLOW if row.chosen else drawing.BLUE
        if row.chosen:
            canvas.rect(
                unit * 0.25,
                y - each * 0.48,
                canvas.width - unit * 0.5,
                each * 0.96,
                (*drawing.YELLOW[:3], 28),
                each * 0.2,
            )
        canvas.text(row.name, unit * 0.6, y, letters, drawing.TEXT if row.chosen else drawing.MUTED)
        long = canvas.width - x - value_wide - unit * 0.9
        canvas.bar(x, y - each * 0.24, long, each * 0.48, row.part, colour, drawing.INK)
        canvas.text(words[k], canvas.width - unit * 0.5, y, letters, colour if row.chosen else drawing.MUTED, "right")


def bar_words(row: _Row, span: float) -> str:
    """The value of a bar; of an action value also its advantage, the distance to the best one."""
    value = number(row.value, span)
    return value if not row.advantage else f"{value} ({row.advantage:+.2g})"


def _box_bars(canvas: Canvas, thought: Thought, names: Sequence[str], unit: float) -> None:
    """Gauges of continuous actions between their bounds: mean, one deviation to both sides, and the action taken."""
    _card(canvas, unit, "policy")
    mean = np.asarray(thought.mean, float)
    low = np.full(len(mean), -1.0) if thought.low is None else np.asarray(thought.low, float)
    high = np.full(len(mean), 1.0) if thought.high is None else np.asarray(thought.high, float)
    taken = np.atleast_1d(np.asarray(thought.action, float))
    x, long = unit * 3.2, canvas.width - unit * 4.0

    def place(value: float, k: int) -> float:
        return x + long * float(np.clip((value - low[k]) / max(high[k] - low[k], 1e-9), 0, 1))

    for k in range(min(len(mean), 6)):
        y = unit * 1.55 + GAUGE * unit * (k + 0.4)
        canvas.text(names[k] if k < len(names) else f"a[{k}]", unit * 0.6, y, unit * 0.9, drawing.MUTED)
        canvas.rect(x, y - unit * 0.14, long, unit * 0.28, drawing.INK, unit * 0.14)
        if thought.std is not None:
            left, right = place(mean[k] - thought.std[k], k), place(mean[k] + thought.std[k], k)
            canvas.rect(left, y - unit * 0.3, max(2, right - left), unit * 0.6, faded(drawing.BLUE, 0.5), unit * 0.2)
        canvas.rect(place(mean[k], k) - unit * 0.08, y - unit * 0.45, unit * 0.16, unit * 0.9, drawing.CYAN)
        if k < len(taken):
            canvas.circle(place(float(taken[k]), k), y, unit * 0.32, drawing.YELLOW)
        canvas.text(f"{low[k]:.3g}", x, y + unit * 0.68, unit * 0.62, drawing.MUTED)
        canvas.text(f"{high[k]:.3g}", x + long, y + unit * 0.68, unit * 0.62, drawing.MUTED, "right")
        said = f"{mean[k]:.2f}" if thought.std is None else f"{mean[k]:.2f} ± {thought.std[k]:.2g}"
        canvas.text(said, x + long / 2, y + unit * 0.68, unit * 0.68, drawing.TEXT, "centre")


def _distribution(canvas: Canvas, thought: Thought, names: Sequence[str], unit: float) -> None:
    """The return distribution of the action taken, the other actions' as faint outlines."""
    chosen = int(thought.action) if np.ndim(thought.action) == 0 else 0
    name = names[chosen] if chosen < len(names) else str(chosen)
    _card(canvas, unit, f"return distribution of {name}")
    box = _area(canvas, unit)
    if thought.atoms is not None:
        weights = np.asarray(thought.atoms, float)
        support = np.arange(weights.shape[1]) if thought.support is None else np.asarray(thought.support, float)
    else:
        support, weights = histogram(np.asarray(thought.quantiles, float))
    top = max(float(weights[chosen].max()), 1e-9)
    left, top_y, width, height = box
    wide = width / len(support)
    for k, weight in enumerate(weights[chosen]):
        tall = height * float(weight) / top
        if tall >= 1:
            canvas.rect(left + k * wide, top_y + height - tall, max(1.0, wide - 1), tall, drawing.VIOLET)
    for action, row in enumerate(weights):
        if action != chosen:
            points = [
                (left + (k + 0.5) * wide, top_y + height * (1 - min(1.0, float(w) / top))) for k, w in enumerate(row)
            ]
            canvas.lines(points, mix(drawing.PANEL, drawing.TEXT, 0.35))
    y = canvas.height - unit * 0.62
    canvas.text(f"{support[0]:.3g}", left, y, unit * 0.78, drawing.MUTED)
    canvas.text(f"{support[-1]:.3g}", left + width, y, unit * 0.78, drawing.MUTED, "right")


def histogram(quantiles: np.ndarray, bins: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles [A, Z] as weights [A, bins] over common returns [bins]."""
    low, high = float(quantiles.min()), float(quantiles.max())
    edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
    weights = np.stack([np.histogram(row, edges)[0] / len(row) for row in quantiles])
    return (edges[:-1] + edges[1:]) / 2, weights


def _value_plot(canvas: Canvas, trace: Trace, unit: float) -> None:
    """The agent's estimate and, where it is known, the discounted return that really followed."""
    followed = np.asarray(trace.followed, float).copy()
    followed[trace.known :] = np.nan
    lines: list[tuple[np.ndarray, Colour]] = [(followed, drawing.GREEN), (np.asarray(trace.values), drawing.CYAN)]
    critics = np.asarray(trace.critics, float).reshape(-1, 2)
    apart = critics[-1, 1] - critics[-1, 0] if len(critics) else math.nan
    if np.isfinite(critics).any():  # behind the estimate, which is the lowest one of SAC and TD3
        lines[1:1] = [(critics[:, k], mix(drawing.PANEL, drawing.ORANGE, 0.7)) for k in (0, 1)]
    behind = min(len(trace.values) - trace.known, 4 * NEWEST)  # what is not known yet, beside as much that is
    _plot(canvas, "value", lines, unit, newest=NEWEST + behind)
    x = canvas.width - unit * 0.6
    legend = [("what followed", drawing.GREEN), ("estimate", drawing.CYAN)]
    legend += [(f"critics {number(apart, apart)} apart", drawing.ORANGE)] if math.isfinite(apart) else []
    for words, colour in legend:
        x -= canvas.text(words, x, unit * 0.85, unit * 0.78, colour, "right") + unit * 0.6


def _plot(
    canvas: Canvas,
    title: str,
    lines: Sequence[tuple[np.ndarray, Colour]],
    unit: float,
    last: str = "",
    newest: int = NEWEST,
) -> None:
    """The newest part of some series over one axis; NaN is left out."""
    _card(canvas, unit, title)
    left, top, width, height = _area(canvas, unit)
    lines = [(series[-newest:], colour) for series, colour in lines]
    seen = np.concatenate([series[np.isfinite(series)] for series, _ in lines] or [np.zeros(0)])
    if not len(seen):
        return
    low, high = float(seen.min()), float(seen.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    for k in range(3):
        y = top + height * k / 2
        canvas.rect(left, y, width, 1, drawing.EDGE)
        canvas.text(
            number(high - (high - low) * k / 2, high - low), left - unit * 0.3, y, unit * 0.76, drawing.MUTED, "right"
        )
    count = max(max(len(series) for series, _ in lines), 2)
    thick = max(1.0, unit / 9)
    for series, colour in lines:
        xs = left + width * (np.arange(len(series)) / (count - 1))
        ys = top + height * (1 - (series - low) / (high - low))
        holes = np.flatnonzero(~np.isfinite(series))
        for start, end in zip([0, *(holes + 1)], [*holes, len(series)]):
            points = list(zip(xs[start:end].tolist(), ys[start:end].tolist()))
            canvas.lines(points, colour, thick)
        if len(series) and np.isfinite(series[-1]):
            canvas.circle(xs[-1], ys[-1], thick * 1.6, colour)
    if last:
        canvas.text(last, canvas.width - unit * 0.6, unit * 0.85, unit * 0.78, drawing.MUTED, "right")


def number(value: float, span: float) -> str:
    """`value` with enough digits to show a difference of a hundredth of `span`; NaN is "-"."""
    if math.isnan(value):
        return "-"
    if not math.isfinite(value) or abs(value) >= 1e6:
        return f"{value:.3g}"
    digits = 2 if not 0 < span < math.inf else max(0, min(4, 2 - math.floor(math.log10(span) + 1e-9)))
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before a zero


def _card(canvas: Canvas, unit: float, title: str = "") -> None:
    canvas.rect(0, 0, canvas.width, canvas.height, drawing.PANEL, unit * 0.4)
    if title:
        canvas.text(title, unit * 0.6, unit * 0.85, unit * 0.85, drawing.TEXT)


def _area(canvas: Canvas, unit: float) -> tuple[float, float, float, float]:
    """Where a plot draws inside its card: left, top, width, height."""
    left, top = unit * 3.0, unit * 2.0
    return left, top, canvas.width - left - unit * 0.7, max(4.0, canvas.height - top - unit * 1.1)
