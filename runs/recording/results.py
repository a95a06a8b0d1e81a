"""Result files and the fingerprint that ties them to a recipe."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from runs.folder.places import RESULTS
from runs.recipe import Run
from runs.settings.plain import to_json

CURVE_POINTS = 60


def fingerprint(run: Run) -> str:
    """Twelve hexadecimal digits of everything that the recipe chooses, without the seed and what only looks on.

    What a recipe leaves at its default is not part of it: a new field does not make old results stale. Whoever changes
    a default changes `DEFAULTS`.
    """
    looks_on = ("seed", "save_every", "log_every", "video_every", "eval_every")
    fixed = {k: v for k, v in chosen(run).items() if k not in looks_on}
    return hashlib.sha256(json.dumps([DEFAULTS, fixed], sort_keys=True).encode()).hexdigest()[:12]


DEFAULTS = 1
"""Counts the times that the default of a field was changed."""


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


def read_results(results: Path = RESULTS) -> list[dict[str, Any]]:
    """Every recorded result, sorted by recipe, fingerprint and seed."""
    found = [json.loads(p.read_text()) for p in results.glob("*/*/seed-*.json")]
    return sorted(found, key=lambda r: (r["recipe"], r["fingerprint"], r["seed"]))
