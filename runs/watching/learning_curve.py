"""The learning curve of a run folder as a .png."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rl.errors import InputError
from rl.storage import read_json, rename
from runs.folder.jsonl import read_jsonl

INK, PANEL, EDGE, TEXT, MUTED = "#0a0e1c", "#131a30", "#2a365c", "#eaeffa", "#8a96b8"

CYAN, YELLOW = "#4cc9f0", "#ffd54a"

MIDDLE = "evaluation, middle half of the games"


def learning_curve(folder: Path | str, path: Path | str | None = None) -> Path:
    """Draws training episodes, their running mean and the evaluations of a run over its steps.

    Reads episodes.jsonl and evaluations.jsonl while they may still be growing. Returns the file, by default
    learning-curve.png in the folder. Raises `InputError` if there is nothing to draw yet.
    """
    from matplotlib.figure import Figure  # not pyplot, which would choose a window system

    folder = Path(folder)
    path = folder / "learning-curve.png" if path is None else Path(path)
    episodes, evaluations = read_jsonl(folder / "episodes.jsonl"), read_jsonl(folder / "evaluations.jsonl")
    if not episodes and not evaluations:
        raise InputError(f"{folder} has no finished episode yet: there is no learning curve to draw")
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained", facecolor=INK)
    axes = figure.subplots()
    if episodes:
        steps, returns = _columns(episodes, "return")
        axes.plot(steps, returns, ".", markersize=3, alpha=0.30, color=CYAN, label="training episode", rasterized=True)
        width = max(1, min(100, len(returns) // 10))
        axes.plot(*smoothed(steps, returns, width), color=CYAN, linewidth=1.6, label=f"mean of {width}")
    if evaluations:
        steps, means = _columns(evaluations, "mean")
        spread = [np.percentile(line["returns"], (25, 75)) for line in evaluations if line.get("returns")]
        if len(spread) == len(steps):
            low, high = np.array(spread).T
            if len(steps) > 1:
                axes.fill_between(steps, low, high, color=YELLOW, alpha=0.18, linewidth=0, label=MIDDLE)
            else:  # an area of no width would not be seen
                axes.vlines(steps, low, high, color=YELLOW, alpha=0.5, linewidth=3, label=MIDDLE)
        axes.plot(steps, means, "o-", markersize=4, color=YELLOW, label="evaluation, mean of the games")
    axes.set_facecolor(PANEL)
    axes.set_title(_title(folder), color=TEXT, loc="left")
    axes.set_xlabel("environment steps", color=MUTED)
    axes.set_ylabel("return of a game", color=MUTED)
    axes.tick_params(colors=MUTED)
    axes.xaxis.set_major_formatter(
        lambda x, _: f"{x / 1e6:g}M" if x >= 1e6 else f"{x / 1e3:g}k" if x >= 1e3 else f"{x:g}"
    )
    axes.grid(color=EDGE, linewidth=0.6)
    for side in axes.spines.values():
        side.set_color(EDGE)
    legend = axes.legend(loc="best", facecolor=PANEL, edgecolor=EDGE, labelcolor=TEXT, framealpha=0.85)
    legend.set_zorder(5)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    figure.savefig(part)
    rename(part, path)
    return path


def smoothed(steps: np.ndarray, values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of `width` neighbours, each at the last one's step."""
    if len(values) < width:
        return steps, values
    sums = np.cumsum(np.concatenate([[0.0], values]))
    return steps[width - 1 :], (sums[width:] - sums[:-width]) / width


def _columns(lines: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    good = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
    steps, values = np.array(good, dtype=float).reshape(-1, 2).T
    return steps, values


def _title(folder: Path) -> str:
    """Environment, agent and seed, as far as run.json holds them."""
    try:
        recipe = read_json(folder / "run.json").get("recipe", {})
    except InputError:
        return folder.name
    agent = recipe.get("agent", {})
    agent = agent.get("name", "") if isinstance(agent, dict) else agent
    words = [str(recipe.get("env", folder.name)), str(agent), f"seed {recipe['seed']}" if "seed" in recipe else ""]
    return "   ".join(word for word in words if word)
