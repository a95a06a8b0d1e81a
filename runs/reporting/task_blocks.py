"""The part of a comparison's page about one task: verdicts, curves, scores by seed and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runs.reporting.blocks import Cell, Chart, Charts, Heading, Items, Table, Text, _cell
from runs.reporting.charts import duration, line_chart, strip_chart
from runs.reporting.wording import ENOUGH, budget, number, say, share, shows_interval


def _thin(points: Sequence[Any], count: int) -> list[Any]:
    if len(points) <= count:
        return list(points)
    return [points[round(k * (len(points) - 1) / (count - 1))] for k in range(count)]


def _point(point: float | None, interval: Sequence[float] | None, shown: Any = number) -> str:
    return str(shown(point)) + (f" [{shown(interval[0])}, {shown(interval[1])}]" if interval else "")


def _verdict_table(pairs: Sequence[Mapping[str, Any]], shown: Any = number) -> Any:
    if not pairs:
        return Text("There is no pair to compare yet.", quiet=True)
    rows: list[list[str | Cell]] = [
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
    return Table(columns, rows, caption, frozenset({0, 1}))


def _interval(pair: Mapping[str, Any], shown: Any) -> str:
    if not shows_interval(pair):
        return f"needs {ENOUGH} seeds" if pair["interval"] else "none from one seed"
    return f"{shown(pair['interval'][0])} to {shown(pair['interval'][1])}"


def _sentences(pairs: Sequence[Mapping[str, Any]]) -> Any:
    if len(pairs) > 1 and not any(pair["interval"] for pair in pairs):
        return Text("No pair has an interval or a verdict: each has a side with one seed.")
    return Items([say(pair) for pair in pairs])


def _chance(estimate: Sequence[float | None]) -> str:
    point, low, high = estimate
    text = f"{point:.2f}"
    return f"{text} [{low:.2f}, {high:.2f}]" if low is not None and high is not None else text


def _task_blocks(task: Mapping[str, Any], names: Sequence[str], draw_runs: bool) -> list[Any]:
    colour = {name: k for k, name in enumerate(names)}
    human = any(c["human"] is not None for c in task["contenders"])
    rows = []
    for c in task["contenders"]:
        failed = f"{len(c['seeds'])} ({len(c['failed'])} failed)" if c["failed"] else str(len(c["seeds"]))
        row: list[str | Cell] = [Cell(c["name"], colour=colour[c["name"]]), failed, _point(c["iqm"], c["interval"])]
        row += [_point(c["mean"], c["mean_interval"]), number(c["median"]), number(c["std"]), share(c["normalised"])]
        rows.append(row + ([share(c["human"])] if human else []))
    columns = ["contender", "seeds", "IQM", "mean", "median", "std", "of random to best"]
    reference = f" The random policy scores {number(task['random'])}." if task["random"] is not None else ""
    protocol = f" Protocol: {task['protocol']}." if task["protocol"] else ""
    evaluation = f" {task['evaluation']}" if task["evaluation"] else ""
    blocks: list[Any] = [
        Heading(f"{task['env']} after {budget(task)}"),
        Text(f"Return of whole games, final policy, in brackets the 95% interval.{reference}{protocol}{evaluation}"),
        Table(columns + (["human-normalised"] if human else []), rows),
        _verdict_table(task["pairs"]),
        _sentences(task["pairs"]),
    ]
    charts, remarks = _task_charts(task, colour, draw_runs)
    blocks += [*remarks, Charts(charts)]
    blocks += _costs(task, colour)
    for c in task["contenders"]:
        if c["failed"]:
            blocks.append(Items([f"{c['name']} seed {f['seed']} failed: {f['error']}" for f in c["failed"]]))
    return blocks


def _task_charts(task: Mapping[str, Any], colour: Mapping[str, int], draw_runs: bool) -> tuple[list[Chart], list[Any]]:
    """Every seed's score, the curves by steps and by time; and what to say about a curve that is missing."""
    strips = [
        {
            "name": c["name"],
            "colour": colour[c["name"]],
            "scores": c["scores"],
            "failed": [seed in {f["seed"] for f in c["failed"]} for seed in c["seeds"]],
            "seeds": c["seeds"],
            "point": c["iqm"],
            "interval": c["interval"],
        }
        for c in task["contenders"]
        if c["iqm"] is not None
    ]
    seeds = Table(
        ["contender", "final score of each seed"],
        [[c["name"], _seeds(c)] for c in task["contenders"]],
        text_columns=frozenset({0, 1}),
    )
    remarks: list[Any] = []
    charts = [
        Chart("Every seed's final score; the diamond is the IQM with its interval", strip_chart(strips, "score"), seeds)
    ]
    for axis, caption, label in (
        ("curve", "Score by environment steps, IQM over seeds", "steps"),
        ("clock", "Score by training time, IQM over seeds", "training time"),
    ):
        series = [_series(c, axis, colour[c["name"]], draw_runs) for c in task["contenders"] if c[axis]]
        if series:
            lines = [(task["random"], "random")] if task["random"] is not None else []
            lines += [(task["goal"], "goal")] if task["goal"] is not None else []
            svg = line_chart(f"{axis} {task['env']}", series, label, "score", lines, clock=axis == "clock")
            if axis == "clock":
                table = _curve_table(series, label, duration, caption="At each time the newest evaluation by then.")
            else:
                table = _measured_table(task["contenders"], label) or _curve_table(
                    series, label, number, caption="Between two evaluations: on the straight line that joins them."
                )
            charts.append(Chart(caption, svg, table))
        elif axis == "clock":
            remarks.append(Text("No curve by time: trainings shared the machine, or recorded no curve.", quiet=True))
    return charts, remarks


def _seeds(c: Mapping[str, Any]) -> str:
    failed = {f["seed"] for f in c["failed"]}
    return ", ".join(
        f"{number(score)}{' (failed)' if seed in failed else ''}"
        for seed, score in zip(c["seeds"], c["scores"], strict=True)
    )


def _series(c: Mapping[str, Any], axis: str, colour: int, draw_runs: bool) -> dict[str, Any]:
    x = "seconds" if axis == "clock" else "steps"
    runs = [(_thin(r[x], 60), _thin(r["scores"], 60)) for r in c["runs"] if r[x]] if draw_runs else []
    return {"name": c["name"], "colour": colour, **c[axis], "runs": runs}


def _measured_table(contenders: Sequence[Mapping[str, Any]], label: str, most: int = 6) -> Table | None:
    """What was measured at up to `most` of the steps at which all were evaluated, and at the ends of those evaluated
    at their end only; None where the others share too few.
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
    return Table([label, *(number(step) for step in places)], rows)


def _curve_table(
    series: Sequence[Mapping[str, Any]],
    label: str,
    place: Any,
    value: Any = number,
    caption: str = "",
) -> Table:
    """A curve's values at five places, and where one has a single point, for readers without the drawing."""
    end = max(s["x"][-1] for s in series)
    points = {s["x"][0] for s in series if s["x"][0] == s["x"][-1]}
    lines = any(s["x"][0] < s["x"][-1] for s in series)
    places = sorted(points | ({end * k / 5 for k in range(1, 6)} if lines else set()))
    rows = []
    for s in series:
        inside = [p <= s["x"][-1] * (1 + 1e-9) and p >= s["x"][0] for p in places]
        values = [np.interp(p, s["x"], s["middle"]) if ok else None for p, ok in zip(places, inside, strict=True)]
        rows.append([s["name"], *(value(None if v is None else float(v)) for v in values)])
    return Table([label, *(place(p) for p in places)], rows, caption)


def _costs(task: Mapping[str, Any], colour: Mapping[str, int]) -> list[Any]:
    rows = []
    for c in task["contenders"]:
        reach = c["reach"]
        timed = [c["seconds"], c["cpu_seconds"]]
        some = f" ({c['timed']} of {len(c['seeds'])} seeds)" if 0 < c["timed"] < len(c["seeds"]) else ""
        memory = f"{c['peak_memory'] / 2**20:,.0f} MiB" if c["peak_memory"] else ""
        row: list[str | Cell] = [Cell(c["name"], colour=colour[c["name"]])]
        row += [
            number(c["steps_per_second"]) + some if c["steps_per_second"] else "",
            *(duration(s) if s else "" for s in timed),
        ]
        row.append(memory)
        if reach:
            row += [f"{reach['runs']} of {reach['of']}", number(reach["steps"])]
            row.append(duration(reach["seconds"]) if reach["seconds"] else "")
        else:
            row += ["", "", ""]
        rows.append(row)
    goal = f"the goal of {number(task['goal'])}" if task["goal"] is not None else "the goal"
    columns = [
        "contender",
        "steps/s",
        "training",
        "CPU in all",
        "peak memory",
        "reached goal",
        "steps to goal",
        "time to goal",
    ]
    filled = [k for k in range(len(columns)) if any(_cell(row[k]).text for row in rows)]
    if filled == [0]:
        return []
    memory = " (memory: the largest)" if 4 in filled else ""
    return [
        Heading("Cost", 3),
        Table(
            [columns[k] for k in filled],
            [[row[k] for k in filled] for row in rows],
            f"Medians over seeds{memory}; CPU in all: of the whole process, evaluations and film too; reached: seeds "
            f"that came to {goal} at any evaluation.",
        ),
    ]
