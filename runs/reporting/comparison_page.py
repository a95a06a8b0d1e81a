"""The report of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from rl import stats as st
from runs.folder.provenance import quoted
from runs.reporting.charts import dashes, line_chart
from runs.reporting.comparison_file import short_commit
from runs.reporting.page import Cell, Chart, Page, Row, Table, films
from runs.reporting.task_tables import curve_table, point, task_values, thin, verdict_table
from runs.reporting.wording import budget, flatten, say_suits, setting, share

LIMIT = 3_000_000
"""Bytes of a page without its videos; curves are thinned to keep below."""


def comparison_page(comparison: Mapping[str, Any], found: Mapping[str, Any], folder: Path) -> Page:
    """The page of a comparison and its analysis `found`; videos are read from `folder`."""
    names = [c["name"] for c in comparison["contenders"]]
    envs = [t["env"] for t in found["tasks"]]
    who = " against ".join(names) if len(names) < 4 else f"{len(names)} contenders"
    title = comparison.get("title") or f"{who} on {envs[0] if len(envs) == 1 else f'{len(envs)} tasks'}"
    draw_runs = len(envs) <= 6
    values = {
        "found": found,
        "legend": [(name, dashes(k)) for k, name in enumerate(names)],
        "draw_runs": draw_runs,
        "suits": _suits(found, comparison) if found["suits"] else None,
        "overall": _overall(found["aggregate"], names) if found["aggregate"] else None,
        "tasks": [task_values(task, names, draw_runs) for task in found["tasks"]],
        "settings_by_task": _settings_by_task(comparison),
        "films": _films(comparison, folder),
        "command": quoted(comparison.get("command", "")),
        "facts": _facts(comparison),
        "margin": f"{100 * st.MARGIN:.0f}%",
        "coverage": _coverage(),
    }
    return Page(title, found["headline"], _slim(comparison), "comparison.jinja", values)


def _slim(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison with at most as many points a curve as leave the page below its limit, evenly taken."""
    data = json.loads(json.dumps(comparison, allow_nan=False))
    for points in (None, 200, 100, 50, 25):
        if points:
            data["thinned"] = f"curves thinned to {points} points; comparison.json has them all"
            for r in data["results"]:
                r["curve"] = thin(r.get("curve") or [], points)
        if len(json.dumps(data)) < LIMIT // 3:
            break
    return dict(data)


def _suits(found: Mapping[str, Any], comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Which contender leads on which task: in sentences, and as tables of scores and of network sizes."""
    names = [c["name"] for c in comparison["contenders"] if c["name"] != "random"]
    rows: list[Row] = []
    for task, lead in zip(found["tasks"], found["suits"], strict=True):
        css = {lead["best"]: "better", **dict.fromkeys(lead["worse"], "worse")}
        by_name = {c["name"]: c for c in task["contenders"]}
        cells = [Cell(point(by_name[n]["iqm"], by_name[n]["interval"]), css.get(n, "")) for n in names]
        rows.append([f"{task['env']}, {budget(task)}", *cells])
    sides = [c.get("tasks", {}) for c in comparison["contenders"] if c["name"] in names]
    counts = {
        task["env"]: [side.get(task["env"], {}).get("config", {}).get("parameters") for side in sides]
        for task in found["tasks"]
    }
    sizes = None
    if all(isinstance(count, int) for row in counts.values() for count in row):
        sized = [[env, *(f"{count:,}" for count in row)] for env, row in counts.items()]
        sizes = Table(["", *names], sized, "Parameters of the whole network.")
    caption = "IQM over seeds with its 95% interval; marked: the highest and those worse than it."
    return {
        "sentences": [say_suits(lead) for lead in found["suits"]],
        "scores": Table(["", *names], rows, caption),
        "sizes": sizes,
    }


_ATARI5 = (
    "Atari-5 (Aitchison et al. 2023) estimates the median human-normalised score of 57 games from these five: "
    "10^(sum of weights times log10(1 + score in %)) - 1."
)


def _overall(aggregate: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The scores, verdicts and performance profiles over all tasks."""
    colour = {name: k for k, name in enumerate(names)}
    rows: list[Row] = [
        [
            *(Cell(c["name"], colour=colour[c["name"]]), str(c["runs"]), point(c["iqm"], c["interval"], share)),
            *(point(c["mean"], c["mean_interval"], share), share(c["median"]), share(c["optimality_gap"])),
        ]
        for c in aggregate["contenders"]
    ]
    profiles = [{**p, "colour": colour[p["name"]]} for p in aggregate["profiles"]]
    half = [(0.5, "half of the runs")]
    chart = line_chart("profiles", profiles, "normalised score τ", "share of runs above τ", half)
    columns = ["contender", "seeds", "IQM", "mean", "median", "optimality gap"]
    five = [c for c in aggregate["contenders"] if "atari5" in c]
    if five:
        columns.append("Atari-5: median of 57, estimated")
        rows = [[*row, point(c["atari5"], c["atari5_interval"], share)] for row, c in zip(rows, five, strict=True)]
    return {
        "scores": Table(columns, rows, _ATARI5 if five else ""),
        "verdicts": verdict_table(aggregate["pairs"], share),
        "profiles": Chart("Performance profiles", chart, curve_table(profiles, "τ", share, share)),
    }


def _settings_by_task(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hyperparameters of all contenders on each task that has any, and what could not be carried over."""
    names = [c["name"] for c in comparison["contenders"]]
    columns = ["", *names]
    found = []
    for task in comparison["tasks"]:
        sides = [c.get("tasks", {}).get(task["env"], {}) for c in comparison["contenders"]]
        configs = [flatten(side.get("config", {})) for side in sides]
        shared: list[Row] = []
        alone: list[Row] = []
        for key in dict.fromkeys(key for config in configs for key in config):
            values = [setting(config[key]) if key in config else "" for config in configs]
            differs = len({v for v in values if v}) > 1
            several = sum(v != "" for v in values) > 1 or len(names) == 1
            row: Row = [f"`{key}`", *(Cell(v, "differs" if differs and v else "") for v in values)]
            (shared if several else alone).append(row)
        if shared or alone:
            named = list(zip(names, sides, strict=True))
            found.append(
                {
                    "env": task["env"],
                    "shared": Table(columns, shared, words=len(columns)) if shared else None,
                    "alone": Table(columns, alone, words=len(columns)) if alone else None,
                    "notes": [f"{name}: {side['note']}" for name, side in named if side.get("note")],
                    "unmapped": [f"{name}: {line}" for name, side in named for line in side.get("unmapped", ())],
                }
            )
    return found


def _films(comparison: Mapping[str, Any], folder: Path) -> list[dict[str, str]]:
    """The videos that lie in the folder; a path that leads out of it is left out."""
    named = [
        (f"{v['contender']}, {v['task']}, seed {v['seed']}", path)
        for v in comparison.get("videos") or ()
        if (path := folder / v["file"]).is_file() and path.resolve().is_relative_to(folder.resolve())
    ]
    return films(named, folder)


def _facts(comparison: Mapping[str, Any]) -> Table | None:
    """When, by which commits, on which machine and with which versions it was made."""
    trained = {short_commit(r["commit"]) for r in comparison["results"] if r.get("commit")}
    facts = {
        "created": comparison.get("created"),
        "commit": comparison.get("commit"),
        "trained by": ", ".join(sorted(trained)) or None,
        **{f"machine: {key}": value for key, value in (comparison.get("machine") or {}).items()},
        **(comparison.get("versions") or {}),
    }
    rows = [[key, setting(value)] for key, value in facts.items() if value is not None]
    return Table(["", ""], rows, words=2) if rows else None


def _coverage() -> dict[str, Any]:
    """How often the intervals hold the truth, as tests/rl/measure_coverage.py measured it."""
    measured = json.loads((resources.files("runs.reporting") / "page" / "coverage.json").read_text(encoding="utf-8"))
    columns = ["scores", "statistic", "seeds", "interval of one", "interval of the difference"]
    rows = [
        [row["shape"], row["statistic"].replace("iqm", "IQM"), str(row["runs"])]
        + [f"{100 * row[name]:.1f}%" for name in ("interval", "difference")]
        for row in measured["rows"]
    ]
    caption = f"{measured['trials']:,} simulated comparisons each; 95% is aimed at."
    shapes = [f"{name}: {meaning}" for name, meaning in measured["shapes"].items()]
    return {"table": Table(columns, rows, caption, words=2), "shapes": shapes}
