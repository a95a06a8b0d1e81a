"""The page of a league: ratings as a chart and a table, and the score of each player against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runs.reporting.charts import rating_chart
from runs.reporting.page import Chart, Page, Table


def page(result: Mapping[str, Any]) -> Page:
    """The page of what `runs.comparing.league.league.rate` returns."""
    rows = result["players"]
    table = _ratings(rows)
    named = [{"name": row["name"], "point": row["elo"], "interval": row["interval"]} for row in rows]
    chart = Chart("Elo rating and its 95% interval", rating_chart(named, "Elo, random play = 0"), table)
    values = {"chart": chart, "ratings": table, "cross": _cross(result), "league": result}
    title = f"League of {len(rows)} players, {result['game']}"
    return Page(title, verdict(result), {"schema": 1, "kind": "league", **result}, "league.jinja", values)


FEW = 10
"""Openings below which the intervals are too narrow: a bootstrap over one opening has none."""


def caution(result: Mapping[str, Any]) -> str:
    """What to know about intervals from few openings; empty if there are enough."""
    openings = result["games"] // 2
    if openings >= FEW:
        return ""
    return f"Intervals need at least {FEW} openings, here {openings}: set --games {2 * FEW}"


def verdict(result: Mapping[str, Any]) -> str:
    best, second = result["players"][:2]
    low, high = best["interval"]
    sure = "" if low > second["elo"] else f"; its interval includes the rating of {second['name']}"
    few = f" {said}." if (said := caution(result)) else ""
    return (
        f"{best['name']} is rated highest on {result['game']}: Elo {best['elo']:.0f} ({low:.0f} to {high:.0f}), "
        f"random play 0{sure}.{few}"
    )


def _ratings(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["", "player", "Elo", "95% interval", "score", "first", "second", "won", "drawn", "lost", "ms a move"]
    shown = []
    for place, row in enumerate(rows, 1):
        low, high = row["interval"]
        score = (row["wins"] + row["draws"] / 2) / row["games"]
        cells = [str(place), row["name"], f"{row['elo']:.0f}", f"{low:.0f} to {high:.0f}"]
        cells += [f"{share:.1%}" for share in (score, row["first"], row["second"])]
        cells += [str(row[name]) for name in ("wins", "draws", "losses")]
        shown.append([*cells, f"{1000 * row['seconds_per_move']:.3g}"])
    return Table(columns, shown, words=2)


def _cross(result: Mapping[str, Any]) -> Table:
    """The points of the row's player against the column's, in percent."""
    rows = result["players"]
    numbers = [str(place) for place in range(1, len(rows) + 1)]
    shown = [
        [number, row["name"], *("" if x is None else f"{100 * x:.0f}" for x in scores)]
        for number, row, scores in zip(numbers, rows, result["scores"], strict=True)
    ]
    return Table(["", "player", *numbers], shown, words=2)
