"""Charts as inline SVG, coloured by CSS variables so that they follow the page's theme and print.

A chart is drawn whole here; the page's script only adds what hovers. Colours are classes `s0` to `s7` in contender
order, and each line has its own dash as well, for readers who do not see colours and for grey printers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 440, 280


LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 40


DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2", "1 4", "10 2 2 2 2 2")


COLOURS = 8


def dashes(contender: int) -> str:
    """The attribute for a line's dash, of the contender of this number; where the colours start anew it is another."""
    dash = DASHES[(contender + contender // COLOURS) % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


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
    """Data coordinates to the chart's: a linear x and y with a little air above and below."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x0, self.x1 = x if x[1] > x[0] else (x[0] - 0.5, x[0] + 0.5)
        air = 0.04 * (y[1] - y[0]) or 0.5 * abs(y[0]) or 1.0
        self.y0, self.y1 = y[0] - air, y[1] + air

    def px(self, x: float) -> float:
        return round(LEFT + (x - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT), 1)

    def py(self, y: float) -> float:
        return round(HEIGHT - BOTTOM - (y - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM), 1)

    def path(self, xs: Sequence[float], ys: Sequence[float | None]) -> str:
        points = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None and math.isfinite(y)]
        return "M" + "L".join(f"{self.px(x)},{self.py(y)}" for x, y in points) if points else ""

    def frame(self, x_label: str, y_label: str, x_format: Callable[[float], str] = short) -> str:
        parts = []
        for y in ticks(self.y0, self.y1):
            at = self.py(y)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{short(y)}</text>')
        for x in ticks(self.x0, self.x1):
            at = self.px(x)
            anchor = "end" if at > WIDTH - 24 else "middle"
            parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 4}"/>')
            parts.append(f'<text x="{at}" y="{HEIGHT - BOTTOM + 17}" text-anchor="{anchor}">{x_format(x)}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text class="label" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x_label)}</text>')
        if y_label:
            side = f'transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"'
            parts.append(f'<text class="label" {side} text-anchor="middle">{escape(y_label)}</text>')
        return "".join(parts)


def line_chart(
    name: str,
    series: Sequence[Mapping[str, Any]],
    x_label: str,
    y_label: str,
    reference: Sequence[tuple[float, str]] = (),
    clock: bool = False,
) -> str:
    """Bands and middles of `series` ({"name", "colour", "x", "middle", "low", "high", "runs": [(xs, ys), ...]}).

    `reference` draws labelled horizontal lines. With `clock` the x are seconds. Hovering shows the values at an x.
    A series of a single point is a dot with its interval; where there is no other, x begins at 0.
    """
    drawn = [s for s in series if s["x"]]
    if not drawn:
        return '<p class="quiet">No curve was recorded.</p>'
    values = [v for s in drawn for key in ("middle", "low", "high") for v in s.get(key) or []]
    values += [v for s in drawn for _, ys in s.get("runs", ()) for v in ys] + [y for y, _ in reference]
    values = [v for v in values if v is not None and math.isfinite(v)]
    first, last = min(s["x"][0] for s in drawn), max(s["x"][-1] for s in drawn)
    if not any(s["x"][0] < s["x"][-1] for s in drawn):
        first, last = min(0, first), max(first, 1.25 * last)  # the dots stand left of the references' labels
    plane = Plane((first, last), (min(values), max(values)))
    parts = [plane.frame(x_label, y_label, duration if clock else short)]
    for y, label in reference:
        at = plane.py(y)
        parts.append(f'<line class="reference" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text class="reference" x="{WIDTH - RIGHT - 2}" y="{at - 4}" text-anchor="end">{escape(label)}</text>'
        )
    parts += [_drawn(s, plane) for s in drawn]
    hover = {
        "x0": plane.x0,
        "x1": plane.x1,
        "y0": plane.y0,
        "y1": plane.y1,
        "clock": clock,
        "x_label": x_label,
        "series": [{k: s.get(k) for k in ("name", "colour", "x", "middle", "low", "high")} for s in drawn],
    }
    return (
        f'<figure class="chart" data-chart="{escape(name)}"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(y_label or name)} by {escape(x_label)}">{"".join(parts)}'
        f'<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" hidden=""/></svg>'
        f'<script type="application/json">{embed(hover)}</script></figure>'
    )


def _drawn(s: Mapping[str, Any], plane: Plane) -> str:
    """A series: its runs, its band, and its line or single dot."""
    parts = [f'<g class="series s{s["colour"] % COLOURS}" data-name="{escape(s["name"])}">']
    for xs, ys in s.get("runs", ()):
        if len(xs) == 1:
            parts.append(f'<circle class="run" cx="{plane.px(xs[0])}" cy="{plane.py(ys[0])}" r="2"/>')
        else:
            parts.append(f'<path class="run" d="{plane.path(xs, ys)}"/>')
    if s["x"][0] == s["x"][-1]:
        return "".join([*parts, _dot(s, plane), "</g>"])
    if s.get("low"):
        there, back = plane.path(s["x"], s["high"]), plane.path(s["x"][::-1], s["low"][::-1])
        parts.append(f'<path class="band" d="{there}L{back[1:]}Z"/>')
    parts.append(f'<path class="middle"{dashes(s["colour"])} d="{plane.path(s["x"], s["middle"])}"/></g>')
    return "".join(parts)


def _dot(s: Mapping[str, Any], plane: Plane) -> str:
    """A series that is one point, with its interval as a whisker."""
    at, y = plane.px(s["x"][-1]), s["middle"][-1]
    whisker = ""
    if s.get("low"):
        low, high = plane.py(s["low"][-1]), plane.py(s["high"][-1])
        whisker = f'<path class="whisker" d="M{at - 3},{low}h6m-3,0V{high}m-3,0h6"/>'
    return f'{whisker}<circle class="dot" cx="{at}" cy="{plane.py(y)}" r="4"><title>{y:.6g}</title></circle>'


def strip_chart(rows: Sequence[Mapping[str, Any]], x_label: str) -> str:
    """Every run as a dot, the estimate and its interval below: rows of {"name", "colour", "scores", "failed" (bools),
    "seeds", "point", "interval"}."""
    rows = [r for r in rows if r["scores"]]
    if not rows:
        return '<p class="quiet">No run has finished.</p>'
    values = [v for r in rows for v in [*r["scores"], *(r["interval"] or ())]]
    height = 52
    low, high = min(values), max(values)
    air = 0.04 * (high - low) or 0.5 * abs(low) or 1.0
    plane = Plane((low - air, high + air), (0, 1))
    bottom = TOP + height * len(rows)
    parts = []
    for x in ticks(plane.x0, plane.x1):
        at = plane.px(x)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{at}" y="{bottom + 15}" text-anchor="middle">{short(x)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="label" x="{middle}" y="{bottom + 33}" text-anchor="middle">{escape(x_label)}</text>')
    for k, r in enumerate(rows):
        top = TOP + height * k
        parts.append(f'<g class="series s{r["colour"] % COLOURS}" data-name="{escape(r["name"])}">')
        parts.append(f'<text class="name" x="{LEFT}" y="{top + 11}">{escape(_clip(r["name"], 48))}</text>')
        for score, failed, seed, up in _stacked(r, plane):
            at, y = plane.px(score), top + 33 - 4 * up
            title = f"<title>seed {seed}: {'failed, counted as ' if failed else ''}{score:.6g}</title>"
            if failed:
                cross = f"M{at - 4},{y - 4}l8,8m0,-8l-8,8"
                parts.append(f'<path class="cross" d="{cross}">{title}</path>')
            else:
                parts.append(f'<circle class="dot" cx="{at}" cy="{y}" r="4">{title}</circle>')
        y = top + 43
        if r["interval"]:
            a, b = (plane.px(v) for v in r["interval"])
            parts.append(f'<path class="whisker" d="M{a},{y - 3}v6m0,-3H{b}m0,-3v6"/>')
        at = plane.px(r["point"])
        parts.append(
            f'<path class="point" d="M{at},{y - 5}l4,5l-4,5l-4,-5Z"><title>IQM {r["point"]:.6g}</title></path></g>'
        )
    return (
        f'<figure class="chart strip"><svg viewBox="0 0 {WIDTH} {bottom + 40}" role="img" '
        f'aria-label="{escape(x_label)}, every seed">{"".join(parts)}</svg></figure>'
    )


def _stacked(row: Mapping[str, Any], plane: Plane) -> list[tuple[float, bool, int, int]]:
    """(score, failed, seed, how many dots lie beneath it), so that equal scores do not hide each other."""
    heights: dict[int, int] = {}
    out = []
    for score, failed, seed in sorted(zip(row["scores"], row["failed"], row["seeds"], strict=True)):
        slot = round(plane.px(score) / 6)
        heights[slot] = heights.get(slot, -1) + 1
        out.append((score, failed, seed, min(heights[slot], 3)))
    return out


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def embed(value: Any) -> str:
    """JSON that may stand inside a <script> element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
