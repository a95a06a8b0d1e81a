"""What a comparison trains: tasks and contenders from the words of the command line, as jobs that are plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl.errors import InputError
from rl.storage import read_json
from runs.comparing.contenders import Contender, parse_contenders
from runs.comparing.sides import Side, make_side
from runs.comparing.tasks import Task, make_task, parse_tasks, trained_run
from runs.folder.trust import Trust, check
from runs.recipe import Run, is_env_id
from runs.recipe import resolve as resolve_recipe

RANDOM_GAMES = 100


@dataclass(frozen=True)
class Plan:
    tasks: list[Task]
    contenders: list[Contender]
    sides: list[Side]
    paired: list[tuple[str, str]]


def make_plan(
    recipe: str | Path | Run | None,
    contenders: str | Sequence[str],
    tasks: str | Sequence[str] | None = None,
    steps: int | None = None,
    match_parameters: bool = False,
    evaluations: int | None = None,
    trust: Trust = False,
) -> Plan:
    """Everything that is to be trained. Raises `InputError` for whatever cannot be, before anything starts.

    A task is an environment, a recipe (its environment, and what a contender of that agent trains with) or a suite,
    each with a budget of its own where it ends in `@STEPS`. A curve has `evaluations` points. `match_parameters` gives
    the networks of all our contenders but the first the widths at which they have as many parameters as that one's.
    """
    parsed = parse_contenders(contenders if isinstance(contenders, str) else ",".join(contenders))
    twice = {c.text for c in parsed if sum(d.text == c.text for d in parsed) > 1}
    if twice:
        raise InputError(f"contender {sorted(twice)[0]!r} is named twice in --agents")
    base = resolve_recipe(recipe, trust=trust) if recipe is not None else None
    for c in parsed:
        if c.source == "run":
            path = trained_run(c)[0] / "run.json"
            check(read_json(path), path, trust)
    named = isinstance(recipe, Run) or (recipe is not None and not is_env_id(str(recipe)))
    wanted = parse_tasks(tasks) if tasks else [(base.env, None, None)] if base is not None else []
    if not wanted:
        raise InputError("compare: name a recipe, an environment or --tasks")
    if steps and all(budget for *_, budget in wanted):
        raise InputError(f"--steps {steps:,} has no effect: every task names its own budget, give --tasks with others")
    plan = Plan([], parsed, [], [])
    for env, given, budget in wanted:
        own = given or (base if named and base is not None and base.env == env else None)
        task = make_task(env, parsed, own, budget or steps, evaluations)
        plan.tasks.append(task)
        like = None
        for c in parsed:
            side = make_side(c, task, own, like if match_parameters else None)
            plan.sides.append(side)
            like = like or side.config.get("parameters")
    ours = [c for c in parsed if c.source == "ours" and c.name != "random"]
    plan.paired.extend((a.text, b.text) for k, a in enumerate(ours) for b in ours[k + 1 :] if a.name == b.name)
    return plan
