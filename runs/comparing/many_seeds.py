"""`rl train RECIPE --seeds K --jobs N`: one recipe with several seeds, in one folder with one page.

    seed-0/ seed-1/ ...                   run folders, for `rl watch`, `rl evaluate` and `rl resume`
    comparison.json, results/, report.html, report.md         as `rl compare` writes them

The same command continues: it trains what has no result yet.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import read_json
from runs.comparing.compare import entered
from runs.comparing.comparison import Comparison
from runs.comparing.plan import Side, make_plan, slug
from runs.comparing.senders import run_job
from runs.folder.places import OUT
from runs.folder.provenance import command, quoted
from runs.folder.trust import Trust
from runs.recipe import Run, agent_name
from runs.recipe import resolve as resolve_recipe
from runs.reporting.analysis import analyse, flat
from runs.reporting.comparison_file import SCHEMA
from runs.reporting.task_tables import point
from runs.reporting.wording import number
from runs.settings.plain import digest


class ManySeeds(Comparison):
    """A comparison of one contender, whose runs lie directly in the folder and may be resumed."""

    device: str | None = None

    def read(self, side: Side, seed: int) -> dict[str, Any] | None:
        """Only what was trained here: a result that was recorded elsewhere has no folder to watch."""
        return self.kept.get(self._key(side, seed))

    def job(self, side: Side, seed: int, jobs: int) -> dict[str, Any]:
        job = super().job(side, seed, jobs) | {"resumable": True}
        if side.job["kind"] == "ours":
            job |= {"folder": str((self.folder / f"seed-{seed}").absolute())}
        return job | ({"device": self.device} if self.device else {})

    @property
    def command(self) -> str:
        return quoted(command())


def train_seeds(
    recipe: str | Path | Run | Callable[..., Any],
    *,
    seeds: int,
    jobs: int = 1,
    agent: str | None = None,
    steps: int | None = None,
    num_envs: int | None = None,
    settings: Sequence[str] = (),
    device: str | None = None,
    out: str | Path | None = None,
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Trains a recipe with the seeds 0 .. seeds-1, `jobs` at a time; each learns what `train` with that seed does.

    Evaluations on the way are a comparison's: 20 points of a curve (Atari: 10), `eval_episodes` games each.

    Returns the contender's scores by seed, `iqm` and `interval`, `failed`, `report` and `out`. Raises InputError before
    anything is started; a training that fails is a failed result.
    """
    run = resolve_recipe(recipe, agent=agent, steps=steps, num_envs=num_envs, settings=settings, trust=trust)
    run = dataclasses.replace(run, seed=0)
    name = agent_name(run.agent)
    plan = make_plan(run, [f"{slug(name)}={name}"])
    mark = digest(plan.sides[0].job)
    folder = Path(out) if out is not None else OUT / f"{slug(run.env)}_{slug(name)}_{mark[:8]}_seeds"
    with entered(folder):
        found = ManySeeds(plan, folder, seeds, videos=False)
        found.device = device
        before = {on.get("fingerprint") for c in found.before.get("contenders", ()) for on in c["tasks"].values()}
        if before - {plan.sides[0].fingerprint}:
            raise InputError(f"{folder} holds other trainings, of another recipe or settings: name a new --out")
        found.write()
        left = [seed for side, seed in found.missing() if side in plan.sides]
        if not quiet:
            print(f"{len(left)} of {seeds} seeds to train, in {folder}; random play is the reference", file=sys.stderr)
        try:
            found.fill(jobs, run_job, quiet)
        except KeyboardInterrupt as stop:
            stop.args = ("interrupted; the same command continues it",)
            raise
        finally:
            found.write()
        result = flat(analyse(read_json(folder / "comparison.json")))
        from runs.reporting.report import report

        page = report(folder)
    one = result["contenders"][0]
    keys = ("task", "name", "seeds", "scores", "failed", "iqm", "interval", "mean", "median", "std")
    return {"schema": SCHEMA, **{k: one[k] for k in keys}, "report": page["html"], "out": str(folder)}


def summary(found: dict[str, Any]) -> str:
    """The result in one line."""
    seeds = f"{len(found['seeds'])} seed{'s' * (len(found['seeds']) != 1)}"
    failed = f", {len(found['failed'])} failed" if found["failed"] else ""
    score = point(found["iqm"], found["interval"], number)
    return f"{found['task']} {found['name']}: IQM {score}, {seeds}{failed}; {found['report']}"
