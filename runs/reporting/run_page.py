"""The report of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from runs.reporting.comparison_file import finite
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
    "train/approx_kl": "KL divergence from the policy before the update, in nats",
    "train/clip_fraction": "share of samples that PPO clipped",
    "train/explained_variance": "share of the returns' variance that the value explains",
    "train/policy_loss": "policy loss",
    "train/value_loss": "value loss",
    "train/regret": "regret so far, mean of the bandit problems that are played",
    "train/optimal": "share of pulls of the best arm",
    "time/sps": "training speed, in steps per second",
}
"""The names of metrics on the page. Other metrics keep their own."""


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
    longer = [entry for entry in info.get("resumed", []) if "steps" in entry]  # other resumes changed nothing
    values = {
        "charts": _run_charts(evaluations, episodes, metrics),
        "evaluations": _evaluation_table(evaluations),
        "films": films([(p.stem, p) for p in videos[-4:]], folder),
        "settings": _facts(["field", "value"], {f"`{name}`": value for name, value in flatten(recipe).items()}),
        "command": "\n".join(quoted(entry.get("command", "")) for entry in (info, *longer)),
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
        means = [(e["step"], float(np.mean(e["returns"]))) for e in evaluations]
        charts.append(_run_chart("evaluations", "evaluation score", means))
    if len(exact := [(e["step"], e["exact"]) for e in evaluations if finite(e.get("exact"))]) > 1:
        charts.append(_run_chart("exact", "exact expected return", exact))
    finished = [(e["step"], e["return"]) for e in episodes if finite(e.get("return"))]
    if finished:
        window = max(1, len(finished) // 50)
        moving = np.convolve([value for _, value in finished], np.ones(window) / window, mode="valid").tolist()
        steps = [step for step, _ in finished[window - 1 :]]
        label = f"training return, mean of {window} games"
        charts.append(_run_chart("training", label, list(zip(steps, moving, strict=True))))
    for key in sorted({key for line in metrics for key in line} - {"step", "seconds"}):
        points = [(line["step"], line[key]) for line in metrics if finite(line.get(key))]
        if len(points) > 1:
            charts.append(_run_chart(key, METRICS.get(key, key), points))
    return charts


def _run_chart(name: str, label: str, points: Sequence[tuple[int, float]]) -> Chart:
    steps, values = zip(*thin(points, 300))
    series = [{"name": label, "colour": 0, "x": steps, "middle": values}]
    return Chart(label, line_chart(name, series, "steps", ""), curve_table(series, "steps", number))


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
    """The title of a run's agent, or its plain name if this version or machine does not know it."""
    try:
        return str(agents.title(from_run_json(folder / "run.json").agent))
    except (InputError, ImportError):  # of another version, or of a module that is not here
        named = recipe["agent"] if isinstance(recipe.get("agent"), Mapping) else {}
        return str(named.get("name", "agent"))
