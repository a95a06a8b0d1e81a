"""Recorded results that a comparison may use instead of training again."""

from __future__ import annotations

import dataclasses
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
    """A result that `rl record` kept for the same recipe, failed ones included: both evaluate on the same games.

    Its times count only if it was recorded on this machine while no other work shared it.
    """
    name = _recipe_of(side)
    if name is None:
        return None
    mark = fingerprint(resolve_recipe(name))
    for r in read_results(places.RESULTS, name):
        if (r["fingerprint"], r["seed"]) != (mark, seed):
            continue
        where, others = r.get("machine", {}), r.get("others")
        here = all(where.get(k) == v for k, v in machine().items() if k != "python")
        alone = here and where.get("jobs") == 1 and others is not None and others < SHARED
        origin = {
            "fingerprint": side.fingerprint,
            "machine": r.get("machine"),
            "versions": r.get("versions"),
            "commit": r.get("commit"),
            "recorded": f"{r['recipe']}.jsonl",
        }
        who = {"contender": side.contender.text, "env": side.task.env, "seed": seed}
        if r["status"] != "ok":
            return failed(who, r["error"]) | origin
        return {
            "contender": side.contender.text,
            "task": side.task.env,
            "seed": seed,
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
    return None


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
