"""The page of a comparison or of a run: one HTML file that opens offline, and the same as Markdown.

A page is a list of blocks, each of which knows itself as HTML and as Markdown, so that the two cannot part ways.
"""

from __future__ import annotations

import base64
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import agents
from rl import statistics as st
from rl.errors import InputError
from rl.storage import read_json, write_atomic
from runs.analysis import analyse, budget, number, read_comparison, say, say_suits, share, short_commit
from runs.charts import COLOURS, dashes, duration, embed, line_chart, strip_chart
from runs.commands import quoted
from runs.folder import RECENT, read_jsonl
from runs.recipe import from_run_json

LIMIT = 3_000_000
"""Bytes of a page without its videos; curves are thinned to keep below."""
VIDEO_LIMIT = 30_000_000
"""Bytes of videos that are put into the page; beyond, the page links to the files."""


def report(folder: str | Path, *, track: str = "off", quiet: bool = True) -> dict[str, Any]:
    """Writes `report.html` and `report.md` into a comparison's or a run's folder.

    `track` sends a comparison's tables and page to W&B as well: auto, online or offline.

    Returns their paths and, of a comparison, the estimates and verdicts. Raises `InputError` for a folder that is
    neither, `RunError` where the disk is full; what was there before stays whole.
    """
    folder = Path(folder)
    found: dict[str, Any] = {}
    if (folder / "comparison.json").is_file():
        comparison = read_comparison(folder)
        found = analyse(comparison)
        page = comparison_page(comparison, found, folder)
    elif (folder / "run.json").is_file():
        page = run_page(folder)
    elif not folder.exists():
        raise InputError(f"there is no folder {folder}")
    else:
        raise InputError(f"{folder} is neither a comparison (no comparison.json) nor a run (no run.json)")
    paths = {"html": folder / "report.html", "markdown": folder / "report.md"}
    write_atomic(paths["html"], page.html().encode())
    write_atomic(paths["markdown"], page.markdown().encode())
    if found and track != "off":
        _send(comparison, found, paths["html"], track)
    if not quiet:
        print(f"{page.verdict}\n{paths['html']}")
    return {
        "schema": 1,
        **{name: str(path) for name, path in paths.items()},
        "verdict": page.verdict,
        "analysis": found,
    }


def _send(comparison: Mapping[str, Any], found: Mapping[str, Any], page: Path, mode: Any) -> None:
    from rl import tracking

    envs = [t["env"] for t in found["tasks"]]
    tracker = tracking.track(
        mode,
        folder=page.parent,
        env=envs[0] if len(envs) == 1 else f"{len(envs)} tasks",
        agent="comparison",
        seed=0,
        config={k: comparison.get(k) for k in ("tasks", "contenders", "commit", "machine", "versions")},
        command=shlex.split(_command(comparison.get("command", ""))),
        job_type="compare",
    )
    tracker.log_report(tables(found), page)
    tracker.finish()


def tables(analysis: Mapping[str, Any]) -> dict[str, tuple[list[str], list[list[Any]]]]:
    """Scores and verdicts as plain tables (columns, rows of numbers), for trackers and data frames."""
    scores = [
        [
            *(t["env"], c["name"], len(c["seeds"]), len(c["failed"]), c["mean"], c["median"], c["iqm"]),
            *(*(c["interval"] or [None, None]), c["steps_per_second"], c["seconds"], c["peak_memory"]),
        ]
        for t in analysis["tasks"]
        for c in t["contenders"]
    ]
    pairs = [
        [
            *(t["env"], p["a"], p["b"], p["difference"], *(p["interval"] or [None, None]), p["level"]),
            *(p["improvement"][0], p["verdict"], p["more_seeds"]),
        ]
        for t in analysis["tasks"]
        for p in t["pairs"]
    ]
    score_columns = "task contender seeds failed mean median iqm low high steps_per_second seconds peak_memory"
    pair_columns = "task a b difference low high level improvement verdict more_seeds"
    return {"scores": (score_columns.split(), scores), "verdicts": (pair_columns.split(), pairs)}


# Blocks


@dataclass(frozen=True)
class Cell:
    """One table cell; `colour` puts the contender's dot before it."""

    text: str
    css: str = ""
    colour: int | None = None


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _md(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2

    def html(self) -> str:
        return f"<h{self.level}>{escape(self.text)}</h{self.level}>"

    def markdown(self) -> str:
        return f"{'#' * self.level} {self.text}"


@dataclass(frozen=True)
class Text:
    text: str
    quiet: bool = False

    def html(self) -> str:
        return f"<p{_class('quiet' if self.quiet else '')}>{_codes(escape(self.text))}</p>"

    def markdown(self) -> str:
        return self.text


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""


def _codes(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


@dataclass(frozen=True)
class Items:
    """A list; `css` "warnings" makes it the box of warnings."""

    items: Sequence[str]
    css: str = ""

    def html(self) -> str:
        rows = "".join(f"<li>{_codes(escape(item))}</li>" for item in self.items)
        return f"<ul{_class(self.css)}>{rows}</ul>"

    def markdown(self) -> str:
        return "\n".join(f"{'> ' if self.css else ''}- {item}" for item in self.items)


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    caption: str = ""
    text_columns: frozenset[int] = frozenset({0})
    """Columns of words; the others are numbers and stand right."""

    def html(self) -> str:
        def css(k: int, cell: Cell | None = None) -> str:
            names = [] if k in self.text_columns else ["n"]
            names += ["differs"] if cell and cell.css == "differs" else []
            return _class(" ".join(names))

        def content(cell: Cell) -> str:
            dot = f'<span class="swatch s{cell.colour % COLOURS}"></span>' if cell.colour is not None else ""
            text = _codes(escape(cell.text))
            return dot + (
                f'<span class="word {cell.css}">{text}</span>' if cell.css and cell.css != "differs" else text
            )

        head = "".join(f"<th{css(k)}>{escape(c)}</th>" for k, c in enumerate(self.columns))
        body = "".join(
            "<tr>" + "".join(f"<td{css(k, _cell(c))}>{content(_cell(c))}</td>" for k, c in enumerate(row)) + "</tr>"
            for row in self.rows
        )
        caption = f'<p class="caption">{escape(self.caption)}</p>' if self.caption else ""
        head = f"<thead><tr>{head}</tr></thead>"
        return f'{caption}<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'

    def markdown(self) -> str:
        line = "|".join(":--" if k in self.text_columns else "--:" for k in range(len(self.columns)))
        rows = ["| " + " | ".join(_md(_cell(c).text) for c in row) + " |" for row in self.rows]
        caption = [f"{self.caption}", ""] if self.caption else []
        return "\n".join([*caption, "| " + " | ".join(map(_md, self.columns)) + " |", f"|{line}|", *rows])


@dataclass(frozen=True)
class Chart:
    """A drawing, and the table that stands for it in Markdown."""

    caption: str
    svg: str
    table: Table | None = None

    def html(self) -> str:
        return f'<div><p class="caption">{escape(self.caption)}</p>{self.svg}</div>'

    def markdown(self) -> str:
        return f"{self.caption}\n\n{self.table.markdown()}" if self.table else ""


@dataclass(frozen=True)
class Charts:
    charts: Sequence[Chart]

    def html(self) -> str:
        return f'<div class="charts">{"".join(chart.html() for chart in self.charts)}</div>'

    def markdown(self) -> str:
        return "\n\n".join(text for chart in self.charts if (text := chart.markdown()))


@dataclass(frozen=True)
class Legend:
    """Who has which colour, and which contenders are shown. In Markdown the tables name them."""

    names: Sequence[str]
    runs: bool = True

    def html(self) -> str:
        rows = []
        for k, name in enumerate(self.names):
            line = f'<svg viewBox="0 0 30 10"><path class="middle" d="M0,5H30"{dashes(k)}/></svg>'
            rows.append(
                f'<label class="series s{k % COLOURS}"><input type="checkbox" checked data-contender="{escape(name)}">'
                f"{line}{escape(name)}</label>"
            )
        if self.runs:
            rows.append('<label class="screen"><input type="checkbox" data-runs>every seed</label>')
        return f'<div class="legend">{"".join(rows)}</div>'

    def markdown(self) -> str:
        return ""


@dataclass(frozen=True)
class Code:
    text: str
    id: str = ""

    def html(self) -> str:
        copy = '<p class="buttons"><button id="copy" type="button">Copy</button></p>' if self.id else ""
        name = f' id="{self.id}"' if self.id else ""
        return f"<pre><code{name}>{escape(self.text)}</code></pre>{copy}"

    def markdown(self) -> str:
        return f"```\n{self.text}\n```"


@dataclass(frozen=True)
class Videos:
    """(caption, path) pairs, shown side by side; put into the page where they are small enough together."""

    films: Sequence[tuple[str, Path]]
    base: Path

    def html(self) -> str:
        inside = sum(path.stat().st_size for _, path in self.films) <= VIDEO_LIMIT
        return f'<div class="videos">{"".join(self._film(name, path, inside) for name, path in self.films)}</div>'

    def _film(self, name: str, path: Path, inside: bool) -> str:
        source = escape(path.relative_to(self.base).as_posix())
        if inside:
            kind = {".mp4": "video/mp4", ".gif": "image/gif"}.get(path.suffix, "video/webm")
            source = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
        shown = f"<figure><figcaption>{escape(name)}</figcaption>"
        if path.suffix == ".gif":
            return f'{shown}<img src="{source}" alt="{escape(name)}"></figure>'
        return f'{shown}<video src="{source}" controls muted loop playsinline preload="metadata"></video></figure>'

    def markdown(self) -> str:
        return "\n".join(f"- [{name}]({path.relative_to(self.base).as_posix()})" for name, path in self.films)


@dataclass(frozen=True)
class Details:
    summary: str
    blocks: Sequence[Any]

    def html(self) -> str:
        return f"<details><summary>{escape(self.summary)}</summary>{''.join(b.html() for b in self.blocks)}</details>"

    def markdown(self) -> str:
        return "\n\n".join(text for b in self.blocks if (text := b.markdown()))


@dataclass
class Page:
    title: str
    verdict: str
    data: Any
    """The raw data, embedded in the HTML."""
    blocks: list[Any] = field(default_factory=list)

    def html(self) -> str:
        assets = resources.files("runs") / "page"
        css, js = ((assets / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
        body = "".join(block.html() for block in self.blocks)
        csv = '<button id="save-csv" type="button">Data as CSV</button>' if "results" in self.data else ""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="data:,">'
            f"<title>{escape(self.title)}</title><style>{css}</style></head>\n<body><main>"
            f"<header><nav><h1>{escape(self.title)}</h1>"
            '<div class="buttons"><button id="save-json" type="button">Data as JSON</button>'
            f'{csv}<button id="theme" type="button">Light or dark</button></div></nav>'
            f'<p class="verdict">{escape(self.verdict)}</p></header>\n{body}</main>'
            f'<script type="application/json" id="data">{embed(self.data)}</script>'
            f"<script>{js}</script></body></html>\n"
        )

    def markdown(self) -> str:
        texts = [f"# {self.title}", f"**{self.verdict}**", *(block.markdown() for block in self.blocks)]
        return "\n\n".join(text for text in texts if text) + "\n"


# A comparison


def comparison_page(comparison: Mapping[str, Any], found: Mapping[str, Any], folder: Path) -> Page:
    names = [c["name"] for c in comparison["contenders"]]
    envs = [t["env"] for t in found["tasks"]]
    title = f"{' against '.join(names) if len(names) < 4 else f'{len(names)} contenders'} on " + (
        envs[0] if len(envs) == 1 else f"{len(envs)} tasks"
    )
    data = _slim(comparison)
    page = Page(comparison.get("title") or title, found["headline"], data)
    if found["warnings"]:
        page.blocks.append(Items(found["warnings"], "warnings"))
    page.blocks.append(Legend(names, runs=len(envs) <= 6))
    if found["suits"]:
        page.blocks += _suits_blocks(found, comparison)
    if found["aggregate"]:
        page.blocks += _aggregate_blocks(found["aggregate"], names)
    for task in found["tasks"]:
        page.blocks += _task_blocks(task, names, draw_runs=len(envs) <= 6)
    page.blocks += _hyperparameters(comparison)
    page.blocks += _videos(comparison, folder)
    page.blocks += _provenance(comparison)
    page.blocks += _method()
    return page


def _slim(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison with at most as many points a curve as leave the page below its limit, evenly taken."""
    data = json.loads(json.dumps(comparison, allow_nan=False))
    for points in (None, 200, 100, 50, 25):
        if points:
            data["thinned"] = f"curves thinned to {points} points; comparison.json has them all"
            for r in data["results"]:
                r["curve"] = _thin(r.get("curve") or [], points)
        if len(json.dumps(data)) < LIMIT // 3:
            break
    return dict(data)


def _thin(points: Sequence[Any], count: int) -> list[Any]:
    if len(points) <= count:
        return list(points)
    return [points[round(k * (len(points) - 1) / (count - 1))] for k in range(count)]


def _suits_blocks(found: Mapping[str, Any], comparison: Mapping[str, Any]) -> list[Any]:
    """Who leads where: a row for each task, a column for each contender, and the same in words."""
    names = [c["name"] for c in comparison["contenders"] if c["name"] != "random"]
    rows: list[list[str | Cell]] = []
    for task, lead in zip(found["tasks"], found["suits"], strict=True):
        css = {lead["best"]: "better", **dict.fromkeys(lead["worse"], "worse")}
        by_name = {c["name"]: c for c in task["contenders"]}
        cells = [Cell(_point(by_name[n]["iqm"], by_name[n]["interval"]), css.get(n, "")) for n in names]
        rows.append([f"{task['env']}, {budget(task)}", *cells])
    sides = [c.get("tasks", {}) for c in comparison["contenders"] if c["name"] in names]
    counts = {
        task["env"]: [side.get(task["env"], {}).get("config", {}).get("parameters") for side in sides]
        for task in found["tasks"]
    }
    blocks = [
        Heading("Which suits which task"),
        Items([say_suits(lead) for lead in found["suits"]]),
        Table(["", *names], rows, "IQM over seeds with its 95% interval; marked: the highest and those worse than it."),
    ]
    if all(isinstance(count, int) for row in counts.values() for count in row):
        sizes = [[env, *(f"{count:,}" for count in row)] for env, row in counts.items()]
        blocks.append(Table(["", *names], sizes, "Parameters of the whole network."))
    return blocks


def _aggregate_blocks(a: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    colour = {name: k for k, name in enumerate(names)}
    rows: list[list[str | Cell]] = [
        [
            *(Cell(c["name"], colour=colour[c["name"]]), str(c["runs"]), _point(c["iqm"], c["interval"], share)),
            *(_point(c["mean"], c["mean_interval"], share), share(c["median"]), share(c["optimality_gap"])),
        ]
        for c in a["contenders"]
    ]
    profiles = [{**p, "colour": colour[p["name"]]} for p in a["profiles"]]
    chart = line_chart(
        "profiles", profiles, "normalised score τ", "share of runs above τ", reference=[(0.5, "half of the runs")]
    )
    return [
        Heading("All tasks together"),
        Text(f"Scores are normalised, {a['scale']}. Intervals are 95% stratified bootstrap over seeds."),
        Table(["contender", "seeds", "IQM", "mean", "median", "optimality gap"], rows),
        _verdict_table(a["pairs"], share),
        Charts([Chart("Performance profiles", chart, _curve_table(profiles, "τ", share, share))]),
    ]


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
            f"{shown(p['interval'][0])} to {shown(p['interval'][1])}" if p["interval"] else "none from one seed",
            f"{100 * p['level']:.3g}%" if p["interval"] else "–",
            _chance(p["improvement"]) if p["interval"] else "–",
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
            blocks.append(Text("No curve by time: trainings shared the machine, or recorded no curve.", quiet=True))
    blocks.append(Charts(charts))
    blocks += _costs(task, colour)
    for c in task["contenders"]:
        if c["failed"]:
            blocks.append(Items([f"{c['name']} seed {f['seed']} failed: {f['error']}" for f in c["failed"]]))
    return blocks


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


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    if not isinstance(config, Mapping):
        return {prefix: config}
    out: dict[str, Any] = {}
    for key, value in config.items():
        out.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return out


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)) and all(isinstance(v, (int, float, str)) for v in value):
        return "×".join(map(_value, value))
    return str(value) if value is None or isinstance(value, (bool, int, str)) else json.dumps(value)


def _hyperparameters(comparison: Mapping[str, Any]) -> list[Any]:
    names = [c["name"] for c in comparison["contenders"]]
    blocks: list[Any] = [Heading("Hyperparameters")]
    several = len(comparison["tasks"]) > 1
    for task in comparison["tasks"]:
        sides = [c.get("tasks", {}).get(task["env"], {}) for c in comparison["contenders"]]
        configs = [flatten(side.get("config", {})) for side in sides]
        keys = list(dict.fromkeys(key for config in configs for key in config))
        if not keys:
            continue
        rows: list[list[str | Cell]] = []
        alone: list[list[str | Cell]] = []
        for key in keys:
            values = [_value(config[key]) if key in config else "" for config in configs]
            differs = len({v for v in values if v}) > 1
            row: list[str | Cell] = [f"`{key}`", *(Cell(v, "differs" if differs and v else "") for v in values)]
            (rows if sum(v != "" for v in values) > 1 or len(names) == 1 else alone).append(row)
        words = frozenset(range(len(names) + 1))
        shown: list[Any] = [Table(["", *names], rows, text_columns=words)] if rows else []
        if alone:
            shown.append(Details("Fields that only one of them has", [Table(["", *names], alone, "", words)]))
        notes = [f"{name}: {side['note']}" for name, side in zip(names, sides, strict=True) if side.get("note")]
        lost = [f"{name}: {line}" for name, side in zip(names, sides, strict=True) for line in side.get("unmapped", ())]
        inner: list[Any] = shown
        if notes:
            inner.append(Items(notes))
        if lost:
            inner += [Text("Could not be carried over:"), Items(lost)]
        blocks += [Details(task["env"], inner)] if several else inner
    return blocks if len(blocks) > 1 else []


def _videos(comparison: Mapping[str, Any], folder: Path) -> list[Any]:
    films = [
        (f"{v['contender']}, {v['task']}, seed {v['seed']}", path)
        for v in comparison.get("videos") or ()
        if (path := folder / v["file"]).is_file() and path.resolve().is_relative_to(folder.resolve())
    ]
    if not films:
        return []
    return [Heading("Rollouts"), Text("From the same start seed, side by side."), Videos(films, folder)]


def _provenance(comparison: Mapping[str, Any]) -> list[Any]:
    facts = [(key, comparison.get(key)) for key in ("created", "commit")]
    trained = {short_commit(r["commit"]) for r in comparison["results"] if r.get("commit")}
    facts += [("trained by", ", ".join(sorted(trained)) or None)]
    facts += [(f"machine: {k}", v) for k, v in (comparison.get("machine") or {}).items()]
    facts += [(f"{k}", v) for k, v in (comparison.get("versions") or {}).items()]
    rows = [[key, _value(value)] for key, value in facts if value is not None]
    blocks: list[Any] = [Heading("Make it again"), Code(_command(comparison.get("command", "")), "command")]
    return blocks + ([Table(["", ""], rows, text_columns=frozenset({0, 1}))] if rows else [])


def _command(command: Any) -> str:
    return command if isinstance(command, str) else quoted(command)


def _method() -> list[Any]:
    table = json.loads((resources.files("runs") / "page" / "coverage.json").read_text(encoding="utf-8"))
    rows = [
        [row["shape"], row["statistic"].upper() if row["statistic"] == "iqm" else row["statistic"], str(row["runs"])]
        + [f"{100 * row[name]:.1f}%" for name in ("interval", "difference")]
        for row in table["rows"]
    ]
    return [
        Heading("How to read this"),
        Items(
            [
                "A score is the mean undiscounted, unclipped return of whole games played by the final policy of one "
                "training; a seed is one training. No best checkpoint, no stopping early.",
                "IQM is the interquartile mean over seeds: the mean without the lowest and the highest quarter. It "
                "hides a rare collapse, so look at the dots as well.",
                "Intervals of one contender are stratified percentile bootstrap intervals, widened by Student's t for "
                "few seeds; they never reach beyond the scores that were seen. Intervals of a difference are Welch's t "
                "on bootstrap standard errors: both sides resampled independently, paired only for variants of one "
                "agent.",
                f"The margin of indifference is {100 * st.MARGIN:.0f}% of the way from the random policy to the best "
                "contender, or to the human where scores are human-normalised. Equivalent: the whole interval of the "
                "difference lies inside it. Better or worse: the interval excludes 0, and does not lie inside the "
                "margin. All else: not distinguishable with this many seeds. With one seed on either side there is no "
                "interval, and no verdict.",
                "On one task an interval of a difference is never narrower than the games played allow: few seeds may "
                "agree by chance. It takes scores to have no bounds: from few seeds it may reach beyond what a game "
                "can give.",
                "Over several pairs, Holm's correction widens the intervals so that all verdicts of a table together "
                "are wrong with a probability of about 5%.",
                "P(improvement): how likely a run of the first beats a run of the second, ties counted half. Where all "
                "runs of one beat all of the other it has no interval: resampling them says nothing of chance.",
                "Every statistic is tested against rliable (Agarwal et al. 2021).",
            ]
        ),
        Details(
            "How often these intervals hold the truth, measured",
            [
                Table(
                    ["scores", "statistic", "seeds", "interval of one", "interval of the difference"],
                    rows,
                    f"{table['trials']:,} simulated comparisons each; 95% is aimed at.",
                    frozenset({0, 1}),
                ),
                Items([f"{name}: {meaning}" for name, meaning in table["shapes"].items()]),
            ],
        ),
    ]


# A run


def run_page(folder: Path) -> Page:
    """The page of one run folder: its evaluations, training episodes, metrics and settings."""
    info = read_json(folder / "run.json")
    if not isinstance(info, Mapping) or not isinstance(info.get("recipe"), Mapping):
        raise InputError(f"{folder / 'run.json'} has no recipe: it is from another version")
    recipe = info["recipe"]
    metrics, episodes = read_jsonl(folder / "metrics.jsonl"), read_jsonl(folder / "episodes.jsonl")
    evaluations = [e for e in read_jsonl(folder / "evaluations.jsonl") if e.get("returns")]
    agent = _agent_title(folder, recipe)
    who = f"{agent} on {recipe['env']}, seed {recipe.get('seed', 0)}"
    if evaluations:
        last = evaluations[-1]
        verdict = (
            f"{agent} scored {number(float(np.mean(last['returns'])))} on {recipe['env']} after {last['step']:,} steps "
            f"(mean of {len(last['returns'])} games, {number(min(last['returns']))} to {number(max(last['returns']))}; "
            f"one seed)."
        )
    else:
        verdict = f"{agent} on {recipe['env']}: no evaluation yet, {len(episodes):,} training episodes."
    data = {
        "schema": 1,
        "kind": "run",
        "run": info,
        "evaluations": _thin(evaluations, 200),
        "episodes": _thin(episodes, 2000),
        "metrics": _thin(metrics, 500),
    }
    page = Page(who, verdict, data)
    page.blocks.append(
        Items(["One training: no interval can be claimed. `rl compare` trains several seeds."], "warnings")
    )
    charts = []
    if evaluations:
        charts.append(
            _run_chart("evaluations", evaluations, lambda e: float(np.mean(e["returns"])), "evaluation score")
        )
    lengths = [e for e in episodes if _number(e.get("return"))]
    if lengths:
        label = f"training return, mean of {_window(lengths)} games"
        charts.append(_run_chart("training", _moving(lengths), lambda e: e["return"], label))
    keys = sorted({k for line in metrics for k, v in line.items() if _number(v) and k not in ("step", "seconds")})
    for key in keys:
        lines = [line for line in metrics if _number(line.get(key))]
        if len(lines) > 1:
            label = f"{key}, mean of the last {RECENT} games" if key in ("train/return", "train/length") else key
            charts.append(_run_chart(key, _thin(lines, 300), lambda line, key=key: line[key], label))
    if charts:
        page.blocks += [Heading("Curves"), Charts(charts)]
    if evaluations:
        rows = [
            [
                *(f"{e['step']:,}", str(len(e["returns"])), number(float(np.mean(e["returns"])))),
                *(number(float(st.iqm(e["returns"]))), number(min(e["returns"])), number(max(e["returns"]))),
            ]
            for e in _thin(evaluations, 50)
        ]
        page.blocks += [
            Heading("Evaluations"),
            Table(["step", "games", "mean", "IQM", "lowest", "highest"], rows, text_columns=frozenset()),
        ]
    films = sorted(p for kind in ("webm", "mp4", "gif") for p in (folder / "videos").glob(f"*.{kind}"))
    if films:
        page.blocks += [Heading("Rollouts"), Videos([(p.stem, p) for p in films[-4:]], folder)]
    settings = [[f"`{key}`", _value(value)] for key, value in flatten(recipe).items()]
    page.blocks += [
        Heading("Settings"),
        Details("Every field", [Table(["field", "value"], settings, text_columns=frozenset({0, 1}))]),
        Heading("Make it again"),
        Code("\n".join(_commands(info)), "command"),
    ]
    facts = {**(info.get("choices") or {}), **(info.get("versions") or {}), "commit": info.get("commit")}
    rows = [[key, _value(value)] for key, value in facts.items() if value is not None]
    page.blocks.append(Table(["", ""], rows, text_columns=frozenset({0, 1})))
    return page


def _agent_title(folder: Path, recipe: Mapping[str, Any]) -> str:
    """What people call the agent of a run; one of another version goes by its plain name."""
    try:
        return str(agents.title(from_run_json(folder / "run.json").agent))
    except (InputError, ImportError):  # of another version, or of a module that is not here
        named = recipe["agent"] if isinstance(recipe.get("agent"), Mapping) else {}
        return str(named.get("name", "agent"))


def _commands(info: Mapping[str, Any]) -> list[str]:
    """What made a run: its training, and each resume that gave it more steps. Others changed nothing."""
    longer = [entry for entry in info.get("resumed", []) if "steps" in entry]
    return [_command(entry.get("command", "")) for entry in (info, *longer)]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _window(episodes: Sequence[Any]) -> int:
    """How many episodes a moving mean is of: about a fiftieth of all."""
    return max(1, len(episodes) // 50)


def _moving(episodes: Sequence[Mapping[str, Any]], count: int = 300) -> list[dict[str, Any]]:
    width = _window(episodes)
    returns = np.convolve([e["return"] for e in episodes], np.ones(width) / width, mode="valid")
    points = [{"step": e["step"], "return": float(r)} for e, r in zip(episodes[width - 1 :], returns, strict=True)]
    return _thin(points, count)


def _run_chart(name: str, lines: Iterable[Mapping[str, Any]], value: Any, label: str) -> Chart:
    points = [(line["step"], float(value(line))) for line in lines]
    series = [{"name": label, "colour": 0, "x": [p[0] for p in points], "middle": [p[1] for p in points]}]
    return Chart(label, line_chart(name, series, "steps", label), _curve_table(series, "steps", number))
