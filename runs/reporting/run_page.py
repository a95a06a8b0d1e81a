"""The report of one run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import agents
from rl import stats as st
from rl.errors import InputError
from rl.storage import read_json
from runs.folder.jsonl import read_jsonl
from runs.folder.run_folder import RECENT
from runs.recipe import from_run_json
from runs.reporting.blocks import Chart, Charts, Code, Details, Heading, Items, Page, Table, Videos
from runs.reporting.charts import line_chart
from runs.reporting.comparison_page import _command, _value, flatten
from runs.reporting.task_blocks import _curve_table, _thin
from runs.reporting.wording import number


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
