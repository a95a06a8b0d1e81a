"""Recorded results that a comparison may use instead of training again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from runs.comparing.plan import Side
from runs.comparing.senders import failed
from runs.folder import places
from runs.folder.provenance import machine
from runs.recipe import Run, recipe_names
from runs.recipe import resolve as resolve_recipe
from runs.recording.results import OBSERVES_ONLY, fingerprint, read_results
from runs.reporting.comparison_file import SHARED
from runs.settings.plain import from_json


def recorded_result(side: Side, seed: int) -> dict[str, Any] | None:
    """A result that `rl record` kept for the same recipe, failed ones included: both evaluate on the same games."""
    name = _recipe_of(side)
    if name is None:
        return None
    mark = fingerprint(resolve_recipe(name))
    for r in read_results(places.RESULTS, name):
        if (r["fingerprint"], r["seed"]) != (mark, seed):
            continue
        return as_result(r, side.contender.text, side.task.env) | {"fingerprint": side.fingerprint}
    return None


def as_result(r: Mapping[str, Any], contender: str, env: str) -> dict[str, Any]:
    """A line of a recipe's results as a result of a comparison, without its fingerprint.

    Its times count only if it was recorded on this machine while no other work shared it.
    """
    where, others = r.get("machine", {}), r.get("others")
    here = all(where.get(k) == v for k, v in machine().items() if k != "python")
    alone = here and where.get("jobs") == 1 and others is not None and others < SHARED
    origin = {
        "machine": r.get("machine"),
        "versions": r.get("versions"),
        "commit": r.get("commit"),
        "recorded": f"{r['recipe']}.jsonl",
    }
    if r["status"] != "ok":
        return failed({"contender": contender, "env": env, "seed": r["seed"]}, r["error"]) | origin
    return {
        "contender": contender,
        "task": env,
        "seed": r["seed"],
        "status": "ok",
        "error": None,
        "score": r["score"]["mean"],
        "returns": r["score"]["returns"],
        **{name: r["score"][name] for name in ("exact",) if name in r["score"]},
        "curve": [[step, None, score] for step, score in r.get("evaluations", [])],
        "steps": r["steps"],
        "seconds": r["seconds"] if alone else None,
        "cpu_seconds": None,
        "steps_per_second": r["steps_per_second"] if alone else None,
        "peak_memory": r.get("peak_memory_bytes") if alone else None,
        "alone": alone,
        "others": others,
        "jobs": where.get("jobs"),
        **origin,
    }


def _recipe_of(side: Side) -> str | None:
    """The name of the recipe that a side trains, apart from the seed and how often it logs, saves and evaluates."""
    if side.job["kind"] != "ours":
        return None
    run = from_json(Run, {**side.job["run"], "seed": 0})
    for name in recipe_names():
        recipe = resolve_recipe(name)
        if dataclasses.replace(run, **{k: getattr(recipe, k) for k in OBSERVES_ONLY}) == recipe:
            return name
    return None
