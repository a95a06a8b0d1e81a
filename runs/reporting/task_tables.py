"""The tables and charts of a comparison's page about one task: scores, verdicts, curves and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from runs.reporting.charts import duration, line_chart, strip_chart
from runs.reporting.page import Cell, Chart, Row, Table
from runs.reporting.wording import ENOUGH, budget, number, say, share, shows_interval, to_optimum_words

Shown = Callable[[float | None], str]
"""How a figure is written: `number` or `share`."""


def task_values(task: Mapping[str, Any], names: Sequence[str], draw_runs: bool) -> dict[str, Any]:
    """What `page/comparison.jinja` shows of one task of an analysis."""
    colour = {name: k for k, name in enumerate(names)}
    return {
        "found": task,
        "budget": budget(task),
        "scores": _score_table(task["contenders"], colour, task.get("optimum")),
        "verdicts": verdict_table(task["pairs"]),
        "sentences": [say(pair) for pair in task["pairs"]],
        "charts": _task_charts(task, colour, draw_runs),
        "costs": _cost_table(task, colour),
        "failures": [
            [f"{c['name']} seed {f['seed']} failed: {f['error']}" for f in c["failed"]] for c in task["contenders"]
        ],
    }


def _score_table(contenders: Sequence[Mapping[str, Any]], colour: Mapping[str, int], optimum: float | None) -> Table:
    columns = ["contender", "seeds", "IQM", "mean", "median", "std", "of random to best"]
    human = any(c["human"] is not None for c in contenders)
    rows: list[Row] = []
    for c in contenders:
        failed = f" ({len(c['failed'])} failed)" if c["failed"] else ""
        row: list[str | Cell] = [Cell(c["name"], colour=colour[c["name"]]), f"{len(c['seeds'])}{failed}"]
        row += [point(c["iqm"], c["interval"]), point(c["mean"], c["mean_interval"])]
        row += [number(c["median"]), number(c["std"]), share(c["normalised"])]
        row += [share(c["human"])] if human else []
        rows.append(row + ([] if optimum is None else list(to_optimum_words(c))))
    columns += ["human-normalised"] if human else []
    columns += [] if optimum is None else ["exact return", f"below the optimum of {optimum:.5g}"]
    return Table(columns, rows)


def thin(points: Sequence[Any], count: int) -> list[Any]:
    if len(points) <= count:
        return list(points)
    return [points[round(k * (len(points) - 1) / (count - 1))] for k in range(count)]


def point(estimate: float | None, interval: Sequence[float] | None, shown: Shown = number) -> str:
    """An estimate with its interval in brackets."""
    return shown(estimate) + (f" [{shown(interval[0])}, {shown(interval[1])}]" if interval else "")


def verdict_table(pairs: Sequence[Mapping[str, Any]], shown: Shown = number) -> Table | None:
    if not pairs:
        return None
    rows: list[Row] = [
        [
            f"{p['a']} − {p['b']}",
            Cell(p["verdict"], p["verdict"].split()[0]),
            shown(p["difference"]),
            _interval(p, shown),
            f"{100 * p['level']:.3g}%" if shows_interval(p) else "–",
            _chance(p["improvement"]) if shows_interval(p) else "–",
            {None: "–", -1: "over 1,000"}.get(p["more_seeds"], str(p["more_seeds"])),
        ]
        for p in pairs
    ]
    several = sum(p["interval"] is not None for p in pairs)
    caption = f"Margin of indifference {shown(pairs[0]['margin'])}" + (
        f"; interval levels by Holm's correction over the {several} pairs." if several > 1 else "."
    )
    paired = [f"{p['a']} and {p['b']}" for p in pairs if p["paired"]]
    if paired:
        caption += f" Paired by seed: {'; '.join(paired)}."
    columns = ["pair", "verdict", "difference of IQM", "interval", "level", "P(improvement)", "more seeds to settle"]
    return Table(columns, rows, caption, words=2)


def _interval(pair: Mapping[str, Any], shown: Shown) -> str:
    if not shows_interval(pair):
        return f"needs {ENOUGH} seeds" if pair["interval"] else "none from one seed"
    return f"{shown(pair['interval'][0])} to {shown(pair['interval'][1])}"


def _chance(estimate: Sequence[float | None]) -> str:
    point, low, high = estimate
    text = f"{point:.2f}"
    return f"{text} [{low:.2f}, {high:.2f}]" if low is not None and high is not None else text


def _task_charts(task: Mapping[str, Any], colour: Mapping[str, int], draw_runs: bool) -> list[Chart]:
    """Every seed's score, then the curves by steps and by time as far as they are known."""
    contenders = task["contenders"]
    strips = [
        {
            **{key: c[key] for key in ("name", "scores", "seeds", "interval")},
            "colour": colour[c["name"]],
            "point": c["iqm"],
            "failed": [seed in _failed_seeds(c) for seed in c["seeds"]],
        }
        for c in contenders
        if c["iqm"] is not None
    ]
    seeds = Table(["contender", "final score of each seed"], [[c["name"], _seeds(c)] for c in contenders], words=2)
    caption = "Every seed's final score; the diamond is the IQM with its interval"
    charts = [Chart(caption, strip_chart(strips, "score"), seeds)]
    lines = [(task[line], line) for line in ("random", "goal") if task[line] is not None]
    if series := [_series(c, "curve", "steps", colour, draw_runs) for c in contenders if c["curve"]]:
        svg = line_chart(f"curve {task['env']}", series, "steps", "score", lines)
        between = "Interpolated linearly between evaluations."
        table = _measured_table(contenders) or curve_table(series, "steps", number, caption=between)
        charts.append(Chart("Score by environment steps, IQM over seeds", svg, table))
    if series := [_series(c, "clock", "seconds", colour, draw_runs) for c in contenders if c["clock"]]:
        svg = line_chart(f"clock {task['env']}", series, "training time", "score", lines, clock=True)
        table = curve_table(series, "training time", duration, caption="At each time, the newest evaluation so far.")
        charts.append(Chart("Score by training time, IQM over seeds", svg, table))
    return charts


def _failed_seeds(c: Mapping[str, Any]) -> set[int]:
    return {f["seed"] for f in c["failed"]}


def _seeds(c: Mapping[str, Any]) -> str:
    failed = _failed_seeds(c)
    return ", ".join(number(x) + " (failed)" * (k in failed) for k, x in zip(c["seeds"], c["scores"], strict=True))


def _series(c: Mapping[str, Any], curve: str, x: str, colour: Mapping[str, int], draw_runs: bool) -> dict[str, Any]:
    runs = [(thin(r[x], 60), thin(r["scores"], 60)) for r in c["runs"] if r[x]] if draw_runs else []
    return {"name": c["name"], "colour": colour[c["name"]], **c[curve], "runs": runs}


def _measured_table(contenders: Sequence[Mapping[str, Any]], most: int = 6) -> Table | None:
    """The scores at up to `most` of the steps at which all contenders were evaluated, and the final scores of those
    that were evaluated at their end only. None if the others share fewer than three steps.
    """
    known = [(c["name"], dict(c["measured"])) for c in contenders if c["runs"]]
    courses = [
        {step for step, _ in c["measured"]} for c in contenders if any(len(run["steps"]) > 1 for run in c["runs"])
    ]
    shared = sorted(set.intersection(*courses)) if courses else []
    if courses and len(shared) < 3:
        return None
    chosen = {shared[k] for k in np.linspace(0, len(shared) - 1, most).round().astype(int)} if courses else set()
    places = sorted(chosen | {step for _, scores in known if len(scores) == 1 for step in scores})
    rows = [[name, *(number(scores.get(step)) for step in places)] for name, scores in known]
    return Table(["steps", *map(number, places)], rows)


def curve_table(
    series: Sequence[Mapping[str, Any]],
    label: str,
    place: Callable[[float], str],
    value: Shown = number,
    caption: str = "",
) -> Table:
    """The values of curves at five places and at each curve that is a single point, for readers of the Markdown."""
    end = max(s["x"][-1] for s in series)
    points = {s["x"][0] for s in series if s["x"][0] == s["x"][-1]}
    lines = any(s["x"][0] < s["x"][-1] for s in series)
    places = sorted(points | ({end * k / 5 for k in range(1, 6)} if lines else set()))
    rows = []
    for s in series:
        inside = [s["x"][0] <= p <= s["x"][-1] * (1 + 1e-9) for p in places]
        values = [float(np.interp(p, s["x"], s["middle"])) if ok else None for p, ok in zip(places, inside)]
        rows.append([s["name"], *map(value, values)])
    return Table([label, *map(place, places)], rows, caption)


def _cost_table(task: Mapping[str, Any], colour: Mapping[str, int]) -> Table | None:
    """Times, memory and the way to the goal, without columns that are empty; None if all are."""
    columns = ["contender", "steps/s", "training", "CPU in all", "peak memory"]
    columns += ["reached goal", "steps to goal", "time to goal"]
    rows: list[Row] = []
    for c in task["contenders"]:
        some = f" ({c['timed']} of {len(c['seeds'])} seeds)" if 0 < c["timed"] < len(c["seeds"]) else ""
        row: list[str | Cell] = [
            Cell(c["name"], colour=colour[c["name"]]),
            number(c["steps_per_second"]) + some if c["steps_per_second"] else "",
            *(duration(c[key]) if c[key] else "" for key in ("seconds", "cpu_seconds")),
            f"{c['peak_memory'] / 2**20:,.0f} MiB" if c["peak_memory"] else "",
        ]
        if reach := c["reach"]:
            row += [f"{reach['runs']} of {reach['of']}", number(reach["steps"])]
            row += [duration(reach["seconds"]) if reach["seconds"] else ""]
        rows.append([*row, *[""] * (len(columns) - len(row))])
    filled = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    if filled == [0]:
        return None
    memory = " (memory: the largest)" if 4 in filled else ""
    goal = f"the goal of {number(task['goal'])}" if task["goal"] is not None else "the goal"
    caption = (
        f"Medians over seeds{memory}; CPU in all: of the whole process, evaluations and film too; reached: seeds "
        f"that reached {goal} at any evaluation."
    )
    return Table([columns[k] for k in filled], [[row[k] for k in filled] for row in rows], caption)
