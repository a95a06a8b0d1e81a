"""Recorded results: one JSON-lines file a recipe, one line a seed, with the fingerprint of the recipe's values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from runs.folder.jsonl import read_jsonl, write_line
from runs.folder.places import RESULTS
from runs.recipe import Run
from runs.settings.plain import digest, to_json

CURVE_POINTS = 60

OBSERVES_ONLY = ("seed", "save_every", "snapshots", "log_every", "video_every", "eval_every")
"""Fields of a `Run` that leave unchanged what it learns, beside its seed."""

DEFAULTS = 1
"""Counts how often the default of a field has changed."""


def fingerprint(run: Run) -> str:
    """Twelve hexadecimal digits of everything that the recipe chooses, except the seed and what only observes.

    Fields at their default are left out, so that a new field does not make old results stale. A change of a default
    must increase `DEFAULTS`.
    """
    return digest([DEFAULTS, {k: v for k, v in chosen(run).items() if k not in OBSERVES_ONLY}])


def chosen(config: Any) -> dict[str, Any]:
    """The fields of a config that differ from their defaults, as plain JSON, and the agent's name."""
    out: dict[str, Any] = {"name": config.name} if hasattr(config, "name") else {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        if value != default:
            out[f.name] = chosen(value) if dataclasses.is_dataclass(value) else to_json(value)
    return out


def thin(points: list[Any], count: int = CURVE_POINTS) -> list[Any]:
    """At most `count` of the points, evenly spread, the last one among them."""
    if len(points) <= count:
        return points
    return [points[i] for i in np.linspace(0, len(points) - 1, count).round().astype(int)]


def read_results(results: Path = RESULTS, recipe: str = "*") -> list[dict[str, Any]]:
    """Every recorded result, or those of one recipe, stale ones too, sorted by recipe, fingerprint and seed."""
    found = [line for path in results.glob(f"{recipe}.jsonl") for line in read_jsonl(path)]
    return sorted(found, key=lambda r: (r["recipe"], r["fingerprint"], r["seed"]))


def write_result(result: dict[str, Any], results: Path = RESULTS) -> None:
    """Adds one seed's result to its recipe's file, in place of an older one of the same fingerprint and seed."""
    write_line(results / f"{result['recipe']}.jsonl", result, ("fingerprint", "seed"))


def recorded_line(results: list[dict[str, Any]]) -> str:
    """The scores of all seeds of one recipe in one sentence: each score up to five seeds, else their range."""
    ok = [r for r in results if r["status"] == "ok"]
    scores = [r["score"]["mean"] for r in ok]
    text = ", ".join(f"{score:.1f}" for score in scores)
    if len(scores) > 5:
        text = f"{min(scores):.1f} to {max(scores):.1f}, median {float(np.median(scores)):.1f}"
    text += exact_scores(ok)
    if failed := len(results) - len(scores):
        text += f"{', ' if scores else ''}{failed} failed"
    minutes = median_minutes(ok)
    took = f"; {minutes} minutes of one core" if minutes != "-" and results[0]["run"]["threads"] == 1 else ""
    return f"Recorded with {len(results)} seed{'s' * (len(results) > 1)}: {text}{took}."


def exact_scores(results: list[dict[str, Any]]) -> str:
    """The exact expected returns of all seeds and the optimum, in brackets; "" if they are not known."""
    if not results or any("exact" not in r["score"] for r in results):
        return ""
    values = ", ".join(f"{r['score']['exact']:.4f}" for r in results)
    return f" (exactly {values}; optimum {results[0]['score']['optimum']:.4f})"


def median_minutes(results: list[dict[str, Any]]) -> str:
    """The median of the trainings' minutes, "-" if none is known."""
    seconds = [r["seconds"] for r in results if r["seconds"] is not None]
    return f"{float(np.median(seconds)) / 60:.1f}" if seconds else "-"


def newest(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of one recipe that share the fingerprint that was recorded last."""
    last = max(results, key=lambda r: str(r.get("recorded")), default={"fingerprint": None})
    return [r for r in results if r["fingerprint"] == last["fingerprint"]]
