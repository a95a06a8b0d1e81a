"""The page of a suite's recorded results: `rl record SUITE` writes it into runs/out/record_SUITE.

It is the page of a comparison whose contenders are the recipes. Nothing is trained for it: a contender has the seeds
that were recorded, and the random policy's score is the published one or that of an earlier comparison.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import write_json
from runs.comparing import references
from runs.comparing.comparison import random_side
from runs.comparing.plan import make_plan
from runs.comparing.recorded import as_result
from runs.comparing.suites import SUITES
from runs.folder.places import OUT
from runs.folder.provenance import git_commit, machine, quoted, versions
from runs.recipe import agent_name, describe
from runs.recipe import resolve as resolve_recipe
from runs.recording.results import fingerprint, read_results
from runs.reporting.comparison_file import SCHEMA


def write(suite: str, recipes: Sequence[str], results: Path | None = None, out: Path | None = None) -> dict[str, Any]:
    """Writes the page; returns its path as `report`, the `headline`, and the scores as `rl compare --json` has them."""
    from runs.folder import places
    from runs.reporting.report import report

    tasks: dict[str, dict[str, Any]] = {}
    contenders: dict[str, dict[str, Any]] = {}
    lines: list[dict[str, Any]] = []
    for name in recipes:
        run = resolve_recipe(name)
        if references.changed(run.env_config) and name not in SUITES[suite]:  # continuous, self-play: another game
            continue
        mark = fingerprint(run)
        found = [r for r in read_results(results or places.RESULTS, name) if r["fingerprint"] == mark]
        if not found:
            continue
        who = _short(name, agent_name(run.agent))
        task = tasks.setdefault(run.env, _task(run.env))
        task["steps"] = max(task["steps"], run.steps)
        side = contenders.setdefault(who, {"name": who, "source": "ours", "tasks": {}})
        if run.env in side["tasks"]:  # two recipes of one agent and environment
            who = name
            side = contenders.setdefault(who, {"name": who, "source": "ours", "tasks": {}})
        config = describe(run)["agent"]
        side["tasks"][run.env] = {"config": config, "unmapped": [], "note": f"recipe {name}", "fingerprint": mark}
        lines += [as_result(r, who, run.env) | {"fingerprint": mark} for r in found]
    if not lines:
        raise InputError(f"no recipe of {suite} has a recorded result: give --seeds 1 or more")
    folder = (out or OUT) / f"record_{suite}"
    folder.mkdir(parents=True, exist_ok=True)
    comparison = {"schema": SCHEMA, "kind": "comparison", "title": f"Recorded results of {suite}"}
    comparison |= {
        "command": quoted(["rl", "record", suite]),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    comparison |= {"commit": git_commit(), "machine": machine(), "versions": versions(), "tasks": list(tasks.values())}
    comparison |= {"contenders": list(contenders.values()), "paired": [], "results": lines, "videos": []}
    write_json(folder / "comparison.json", comparison)
    page = report(folder)
    from runs.reporting.analysis import flat

    return {"report": page["html"], **flat(page["analysis"])}


def _task(env: str) -> dict[str, Any]:
    """A task of the page, with the random policy's score if that is known without playing."""
    task = make_plan(None, ["random"], tasks=[env]).tasks[0]
    score = references.published(task)
    random = references.kept(random_side(task)) if score is None else score
    source = {"random_from": references.PUBLISHED} if score is not None else {}
    return {
        "env": env,
        "steps": 0,
        "random": random,
        **source,
        "protocol": task.spec.protocol,
        "evaluation": "the final policy on the games of each recipe's own evaluation",
        "threshold": task.spec.reward_threshold,
        **({} if task.optimum is None else {"optimum": task.optimum}),
    }


def _short(recipe: str, agent: str) -> str:
    """`ppo_10m` of arcade_breakout_ppo_10m; the last word if the name does not hold the agent's, as of a preset."""
    where = recipe.rfind(f"_{agent}")
    return recipe[(where if where >= 0 else recipe.rfind("_")) + 1 :]
