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
from runs.folder.provenance import quoted
from runs.folder.run_folder import RECENT
from runs.recipe import from_run_json
from runs.reporting.charts import line_chart
from runs.reporting.page import Chart, Page, Table, films
from runs.reporting.task_tables import curve_table, thin
from runs.reporting.wording import flatten, number, setting

METRICS = {
    "train/return": f"training return, mean of the last {RECENT} games",
    "train/length": f"episode length in steps, mean of the last {RECENT} games",
    "train/episodes": "finished training episodes",
    "train/loss": "loss",
    "train/grad_norm": "norm of the gradient, before clipping",
    "train/lr": "learning rate",
    "train/epsilon": "share of random actions (epsilon)",
    "train/importance": "exponent of the importance weights",
    "train/q_mean": "mean action value of the sampled actions",
    "train/entropy": "entropy of the policy, in nats",
    "train/kl": "KL divergence from the policy before the update, in nats",
    "train/clip_fraction": "share of samples that PPO clipped",
    "train/explained_variance": "share of the returns' variance that the value explains",
    "train/policy_loss": "policy loss",
    "train/value_loss": "value loss",
    "time/sps": "training speed, in steps per second",
}
"""Metric -> what it is called on the page. The others keep their names."""


def run_page(folder: Path) -> Page:
    """The page of one run folder: its evaluations, training episodes, metrics and settings."""
    info = read_json(folder / "run.json")
    if not isinstance(info, Mapping) or not isinstance(info.get("recipe"), Mapping):
        raise InputError(f"{folder / 'run.json'} has no recipe: it is from another version")
    recipe = info["recipe"]
    metrics, episodes = read_jsonl(folder / "metrics.jsonl"), read_jsonl(folder / "episodes.jsonl")
    evaluations = [e for e in read_jsonl(folder / "evaluations.jsonl") if e.get("returns")]
    agent = _agent_title(folder, recipe)
    data = {
        "schema": 1,
        "kind": "run",
        "run": info,
        "evaluations": thin(evaluations, 200),
        "episodes": thin(episodes, 2000),
        "metrics": thin(metrics, 500),
    }
    title = f"{agent} on {recipe['env']}, seed {recipe.get('seed', 0)}"
    videos = sorted(p for kind in ("webm", "mp4", "gif") for p in (folder / "videos").glob(f"*.{kind}"))
    facts = {**(info.get("choices") or {}), **(info.get("versions") or {}), "commit": info.get("commit")}
    values = {
        "charts": _run_charts(evaluations, episodes, metrics),
        "evaluations": _evaluation_table(evaluations),
        "films": films([(p.stem, p) for p in videos[-4:]], folder),
        "settings": _facts(["field", "value"], {f"`{name}`": value for name, value in flatten(recipe).items()}),
        "command": "\n".join(_commands(info)),
        "facts": _facts(["", ""], {name: value for name, value in facts.items() if value is not None}),
    }
    verdict = _run_verdict(agent, recipe["env"], evaluations, episodes)
    return Page(title, verdict, data, "run.jinja", values)


def _facts(columns: Sequence[str], facts: Mapping[str, Any]) -> Table:
    return Table(columns, [[name, setting(value)] for name, value in facts.items()], words=2)


def _run_verdict(agent: str, env: str, evaluations: Sequence[Mapping[str, Any]], episodes: Sequence[Any]) -> str:
    if not evaluations:
        return f"{agent} on {env}: no evaluation yet, {len(episodes):,} training episodes."
    last = evaluations[-1]
    returns = last["returns"]
    return (
        f"{agent} scored {number(float(np.mean(returns)))} on {env} after {last['step']:,} steps "
        f"(mean of {len(returns)} games, {number(min(returns))} to {number(max(returns))}; one seed)."
    )


def _run_charts(
    evaluations: Sequence[Mapping[str, Any]],
    episodes: Sequence[Mapping[str, Any]],
    metrics: Sequence[Mapping[str, Any]],
) -> list[Chart]:
    """One chart each for the evaluations, the training episodes and every metric that has two values or more."""
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
            charts.append(_run_chart(key, thin(lines, 300), lambda line, key=key: line[key], METRICS.get(key, key)))
    return charts


def _evaluation_table(evaluations: Sequence[Mapping[str, Any]]) -> Table | None:
    rows = [
        [
            *(f"{e['step']:,}", str(len(e["returns"])), number(float(np.mean(e["returns"])))),
            *(number(float(st.iqm(e["returns"]))), number(min(e["returns"])), number(max(e["returns"]))),
        ]
        for e in thin(evaluations, 50)
    ]
    return Table(["step", "games", "mean", "IQM", "lowest", "highest"], rows, words=0) if rows else None


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
    return [quoted(entry.get("command", "")) for entry in (info, *longer)]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _window(episodes: Sequence[Any]) -> int:
    """How many episodes a moving mean is of: about a fiftieth of all."""
    return max(1, len(episodes) // 50)


def _moving(episodes: Sequence[Mapping[str, Any]], count: int = 300) -> list[dict[str, Any]]:
    width = _window(episodes)
    returns = np.convolve([e["return"] for e in episodes], np.ones(width) / width, mode="valid")
    points = [{"step": e["step"], "return": float(r)} for e, r in zip(episodes[width - 1 :], returns, strict=True)]
    return thin(points, count)


def _run_chart(name: str, lines: Iterable[Mapping[str, Any]], value: Any, label: str) -> Chart:
    points = [(line["step"], float(value(line))) for line in lines]
    series = [{"name": label, "colour": 0, "x": [p[0] for p in points], "middle": [p[1] for p in points]}]
    return Chart(label, line_chart(name, series, "steps", ""), curve_table(series, "steps", number))
