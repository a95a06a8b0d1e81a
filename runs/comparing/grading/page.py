"""The leaderboard of a grading: a page, and a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from runs.reporting.charts import rating_chart
from runs.reporting.page import Chart, Page, Table
from runs.reporting.wording import number

CHARTED = 60
"""Most runs in the chart; the table has all."""
COLUMNS = ("rank", "name", "status", "agent", "steps", "iqm", "low", "high", "mean", "same_as", "reason")


def page(result: Mapping[str, Any]) -> Page:
    """The page of what `runs.comparing.grading.grade.grade` returns."""
    good = [row for row in result["rows"] if row["status"] == "ok"]
    bad = [row for row in result["rows"] if row["status"] != "ok"]
    board = _board(good)
    points = [{"name": row["name"], "point": row["iqm"], "interval": row["interval"]} for row in good[:CHARTED]]
    label = "IQM of the returns and its 95% interval"
    charts = [Chart(label, rating_chart(points, "return of a game"), board)] if board else []
    failed = Table(["name", "reason"], [[row["name"], row["reason"]] for row in bad], words=2) if bad else None
    values = {"charts": charts, "board": board, "failed": failed, "task": result}
    title = f"{len(result['rows'])} runs on {result['env']}"
    return Page(title, verdict(result["rows"]), {"kind": "grading", **result}, "grade.jinja", values)


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    good = [row for row in rows if row["status"] == "ok"]
    failed = f"{len(rows) - len(good)} of {len(rows)} could not be graded."
    if not good:
        return failed
    first = sum(row["rank"] == 1 for row in good)
    low, high = good[0]["interval"]
    shared = f"; {first} runs share the first rank, because no interval lies wholly above theirs" if first > 1 else ""
    best = f"{good[0]['name']} has the highest IQM, {number(good[0]['iqm'])} ({number(low)} to {number(high)}){shared}."
    return best if len(good) == len(rows) else f"{best} {failed}"


def _board(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    columns = ["rank", "name", "agent", "steps", "IQM", "95% interval", "mean", "lowest", "highest", "same weights as"]
    shown = []
    for row in rows:
        low, high = row["interval"]
        cells = [str(row["rank"]), row["name"], row["agent"], f"{row['steps']:,}", number(row["iqm"])]
        cells += [f"{number(low)} to {number(high)}", number(row["mean"])]
        shown.append([*cells, number(min(row["returns"])), number(max(row["returns"])), row["same_as"] or ""])
    return Table(columns, shown, words=3) if shown else None


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with the columns `COLUMNS`. A text that a spreadsheet would read as a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        low, high = row["interval"] or (None, None)
        values = {**row, "low": low, "high": high}
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
