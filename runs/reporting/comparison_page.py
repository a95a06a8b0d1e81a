"""The report of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from rl import stats as st
from runs.folder.provenance import quoted
from runs.reporting.blocks import Cell, Chart, Charts, Code, Details, Heading, Items, Legend, Page, Table, Text, Videos
from runs.reporting.charts import line_chart
from runs.reporting.comparison_file import short_commit
from runs.reporting.task_blocks import _curve_table, _point, _task_blocks, _thin, _verdict_table
from runs.reporting.wording import budget, say_suits, share

LIMIT = 3_000_000
"""Bytes of a page without its videos; curves are thinned to keep below."""


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
    table = json.loads((resources.files("runs.reporting") / "page" / "coverage.json").read_text(encoding="utf-8"))
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
