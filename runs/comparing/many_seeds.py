"""`rl train RECIPE|SUITE --seeds K --jobs N`: one agent with several seeds, in one folder with one page.

    seed-0/ seed-1/ ...                   run folders, for `rl watch`, `rl evaluate` and `rl resume`
    TASK/seed-0/ ...                      of a suite
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
from runs.comparing.plan import Plan, Side, make_plan, slug
from runs.comparing.senders import sender
from runs.comparing.suites import in_suite, is_suite
from runs.folder.places import OUT
from runs.folder.provenance import command, quoted
from runs.folder.trust import Trust
from runs.recipe import Run, agent_name
from runs.recipe import resolve as resolve_recipe
from runs.reporting.analysis import analyse, flat
from runs.reporting.comparison_file import SCHEMA
from runs.reporting.task_tables import point
from runs.reporting.wording import number, share
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
            place = self.folder if len(self.plan.tasks) == 1 else self.folder / slug(side.task.env)
            job |= {"folder": str((place / f"seed-{seed}").absolute())}
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
    on: str | None = None,
    out: str | Path | None = None,
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Trains a recipe with the seeds 0 .. seeds-1, `jobs` at a time; each learns what `train` with that seed does.

    Of a suite's name, the agent `agent` on each of its environments, by its recipe there or its defaults. Evaluations
    on the way are a comparison's: 20 points of a curve (Atari: 10), `eval_episodes` games each. `on` "ray" sends each
    training to the Ray cluster; its run folder stays on its node, unless all nodes share the disk.

    Returns the contender's scores by seed, `iqm` and `interval`, `failed`, `report` and `out`; of a suite a list of
    these as `tasks`, and the `aggregate`. Raises InputError before anything is started; a training that fails is a
    failed result.
    """
    if isinstance(recipe, str) and is_suite(recipe):
        plan = _suite_plan(recipe, agent, steps, num_envs, settings)
    else:
        run = resolve_recipe(recipe, agent=agent, steps=steps, num_envs=num_envs, settings=settings, trust=trust)
        name = agent_name(run.agent)
        plan = make_plan(dataclasses.replace(run, seed=0), [f"{slug(name)}={name}"])
    send, marks = sender(on, plan), {side.fingerprint for side in plan.sides}
    folder = Path(out) if out is not None else OUT / _default_name(recipe, plan)
    with entered(folder):
        found = ManySeeds(plan, folder, seeds, videos=False)
        found.device = device
        before = {on.get("fingerprint") for c in found.before.get("contenders", ()) for on in c["tasks"].values()}
        if before - marks:
            raise InputError(f"{folder} holds other trainings, of another recipe or settings: name a new --out")
        found.write()
        left = [seed for side, seed in found.missing() if side in plan.sides]
        if not quiet:
            print(f"{len(left)} of {seeds * len(plan.tasks)} trainings to come, in {folder}", file=sys.stderr)
        try:
            found.fill(jobs, send, quiet)
        except KeyboardInterrupt as stop:
            stop.args = ("interrupted; the same command continues it",)
            raise
        finally:
            found.write()
        result = flat(analyse(read_json(folder / "comparison.json")))
        from runs.reporting.report import report

        page = report(folder)
    each = [{k: one[k] for k in KEYS} for one in result["contenders"]]
    scores = each[0] if len(each) == 1 else {"tasks": each, "aggregate": result.get("aggregate")}
    return {"schema": SCHEMA, **scores, "report": page["html"], "out": str(folder)}


KEYS = ("task", "name", "seeds", "scores", "failed", "iqm", "interval", "mean", "median", "std", "human")
"""Of a contender's analysis, what `train_seeds` returns."""


def _default_name(recipe: Any, plan: Plan) -> str:
    one = len(plan.sides) == 1
    mark = digest(plan.sides[0].job if one else [side.job for side in plan.sides])[:8]
    return f"{slug(plan.tasks[0].env) if one else recipe}_{slug(plan.contenders[0].text)}_{mark}_seeds"


def _suite_plan(
    suite: str, agent: str | None, steps: int | None, num_envs: int | None, settings: Sequence[str]
) -> Plan:
    """One agent on every environment of a suite."""
    if agent is None:
        known = sorted({agent_name(resolve_recipe(name).agent) for name in in_suite(suite)})
        raise InputError(f"rl train {suite} needs --agent, which has recipes here for {', '.join(known)}")
    fields = [*settings, *([f"num_envs={num_envs}"] if num_envs else [])]
    return make_plan(None, [":".join([f"{slug(agent)}={agent}", *fields])], tasks=suite, steps=steps)


def summary(found: dict[str, Any]) -> str:
    """The result in one line, of a suite in one line a task and one for all."""
    if "tasks" in found:
        lines = [_line(task) for task in found["tasks"]]
        return "\n".join([*lines, *map(all_tasks, (found["aggregate"] or {}).get("contenders", ())), found["report"]])
    return f"{_line(found)}; {found['report']}"


def all_tasks(c: dict[str, Any]) -> str:
    """A contender's score over all tasks of a suite, with Atari-5's estimate."""
    line = f"all tasks, {c['name']}: normalised IQM {point(c['iqm'], c['interval'], share)}"
    if "atari5" in c:
        line += f"; Atari-5 estimates a median of 57 of {point(c['atari5'], c['atari5_interval'], share)}"
    return line


def _line(found: dict[str, Any]) -> str:
    seeds = f"{len(found['seeds'])} seed{'s' * (len(found['seeds']) != 1)}"
    failed = f", {len(found['failed'])} failed" if found["failed"] else ""
    score = point(found["iqm"], found["interval"], number)
    human = f", human-normalised {share(found['human'])}" if found["human"] is not None else ""
    return f"{found['task']} {found['name']}: IQM {score}, {seeds}{failed}{human}"
