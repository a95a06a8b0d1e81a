"""Charts as inline SVG, coloured by CSS variables so that they follow the page's theme and print.

This module computes what is drawn where, `page/charts.html` writes it. The page's script adds only the hover values.
Colours are the classes `s0` to `s7` in contender order. Each line has its own dash as well, for readers who do not see
colours and for grey printers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from runs.reporting.page import environment

DASHES = ("none", "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2", "1 4", "10 2 2 2 2 2")
COLOURS = 8

STRIP = 52
"""Height of one contender in a strip chart."""
RATING = 30
"""Height of one player in a rating chart."""


def dashes(contender: int) -> str:
    """The SVG dash pattern of a contender's line; contenders that share a colour have different ones."""
    return DASHES[(contender + contender // COLOURS) % len(DASHES)]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from `low` to `high`."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def short(x: float) -> str:
    """A tick's label, at most six characters wide: 50000 as 50k, 1200000 as 1.2M, 0.00095 as 9.5e−4."""
    if 0 < abs(x) < 0.01:
        digits, _, power = f"{x:.1e}".partition("e")
        return f"{digits.removesuffix('.0')}e{int(power)}".replace("-", "−")
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(x) >= size * (10 if unit == "k" else 1):
            return f"{x / size:.4g}{unit}".replace("-", "−")
    return f"{x:.4g}".replace("-", "−")


def duration(seconds: float) -> str:
    """90 as "1.5 min"."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


class Plane:
    """Turns data coordinates (linear x and y) into those of a drawing that is 440 wide."""

    left, right, top = 52, 430, 10

    def __init__(self, x: tuple[float, float], y: tuple[float, float], bottom: int = 240) -> None:
        self.x0, self.x1 = x if x[1] > x[0] else (x[0] - 0.5, x[0] + 0.5)
        self.y0, self.y1 = y
        self.bottom = bottom

    def px(self, x: float) -> float:
        return round(self.left + (x - self.x0) / (self.x1 - self.x0) * (self.right - self.left), 1)

    def py(self, y: float) -> float:
        return round(self.bottom - (y - self.y0) / (self.y1 - self.y0) * (self.bottom - self.top), 1)

    def path(self, xs: Sequence[float], ys: Sequence[float | None]) -> str:
        points = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None and math.isfinite(y)]
        return "M" + "L".join(f"{self.px(x)},{self.py(y)}" for x, y in points) if points else ""

    def x_ticks(self, label: Callable[[float], str] = short) -> list[tuple[float, str]]:
        return [(self.px(x), label(x)) for x in ticks(self.x0, self.x1)]

    def y_ticks(self) -> list[tuple[float, str]]:
        return [(self.py(y), short(y)) for y in ticks(self.y0, self.y1)]


def _widened(low: float, high: float) -> tuple[float, float]:
    """A little room on both sides."""
    room = 0.04 * (high - low) or 0.5 * abs(low) or 1.0
    return low - room, high + room


def line_chart(
    name: str,
    series: Sequence[Mapping[str, Any]],
    x_label: str,
    y_label: str,
    reference: Sequence[tuple[float, str]] = (),
    clock: bool = False,
    whole: bool = False,
) -> Markup:
    """Bands and middles of `series` ({"name", "colour", "x", "middle", "low", "high", "runs": [(xs, ys), ...]}).

    `reference` draws labelled horizontal lines. With `clock` the x are seconds, with `whole`
    whole numbers. Hovering shows the values at an x.
    A series of a single point is a dot with its interval; if all series are, x begins at 0.
    """
    empty = {"low": None, "high": None, "runs": ()}
    drawn = [{**empty, **s, "dash": dashes(s["colour"])} for s in series if s["x"]]
    if not drawn:
        return Markup('<p class="quiet">No curve was recorded.</p>')
    values = [v for s in drawn for key in ("middle", "low", "high") for v in s[key] or ()]
    values += [v for s in drawn for _, ys in s["runs"] for v in ys] + [y for y, _ in reference]
    values = [v for v in values if v is not None and math.isfinite(v)]
    first, last = min(s["x"][0] for s in drawn), max(s["x"][-1] for s in drawn)
    if not any(s["x"][0] < s["x"][-1] for s in drawn):
        first, last = min(0, first), max(first, 1.25 * last)  # the dots stand left of the references' labels
    plane = Plane((first, last), _widened(min(values), max(values)))
    hover = {
        **{bound: getattr(plane, bound) for bound in ("x0", "x1", "y0", "y1")},
        "clock": clock,
        "x_label": x_label,
        "series": [{k: s[k] for k in ("name", "colour", "x", "middle", "low", "high")} for s in drawn],
    }
    label = duration if clock else _whole if whole else short
    return _draw("line_chart", name, plane, drawn, x_label, y_label, label, reference, hover)


def _whole(x: float) -> str:
    return short(x) if x == round(x) else ""


def strip_chart(rows: Sequence[Mapping[str, Any]], x_label: str) -> Markup:
    """Every run as a dot, the estimate and its interval below: rows of {"name", "colour", "scores", "failed" (bools),
    "seeds", "point", "interval"}."""
    rows = [r for r in rows if r["scores"]]
    if not rows:
        return Markup('<p class="quiet">No run has finished.</p>')
    values = [v for r in rows for v in [*r["scores"], *(r["interval"] or ())]]
    plane = Plane(_widened(min(values), max(values)), (0, 1), Plane.top + STRIP * len(rows))
    shown = [{**r, "top": Plane.top + STRIP * k, "dots": _stacked(r, plane)} for k, r in enumerate(rows)]
    return _draw("strip_chart", plane, shown, x_label)


def rating_chart(rows: Sequence[Mapping[str, Any]], x_label: str) -> Markup:
    """A point and its interval for each row of {"name", "point", "interval"}."""
    values = [v for r in rows for v in (r["point"], *r["interval"])]
    plane = Plane(_widened(min(values), max(values)), (0, 1), Plane.top + RATING * len(rows))
    return _draw("rating_chart", plane, [{**r, "top": Plane.top + RATING * k} for k, r in enumerate(rows)], x_label)


def _stacked(row: Mapping[str, Any], plane: Plane) -> list[tuple[float, bool, int, int]]:
    """(score, failed, seed, how many dots lie beneath it), so that equal scores do not hide each other."""
    heights: dict[int, int] = {}
    out = []
    for score, failed, seed in sorted(zip(row["scores"], row["failed"], row["seeds"], strict=True)):
        slot = round(plane.px(score) / 6)
        heights[slot] = heights.get(slot, -1) + 1
        out.append((score, failed, seed, min(heights[slot], 3)))
    return out


def _draw(kind: str, *values: Any) -> Markup:
    """What a macro of `page/charts.html` draws."""
    macro = getattr(environment("html").get_template("charts.html").module, kind)
    return Markup(macro(*values))
