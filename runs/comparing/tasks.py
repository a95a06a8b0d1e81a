"""The tasks of a comparison: environment, budget and evaluation protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import envs
from envs import EnvConfig
from rl.errors import InputError, unknown
from rl.interface import EnvSpec
from rl.storage import read_json
from runs.comparing.contenders import Contender
from runs.comparing.peers import peer as peers
from runs.comparing.suites import SUITES as SUITES
from runs.recipe import Run, recipe_file, recipe_for, recipe_names
from runs.recipe import resolve as resolve_recipe
from runs.settings.plain import from_json

EVALUATIONS, ATARI_EVALUATIONS = 20, 10
"""Evaluations in a curve, unless the command names a number."""


@dataclass(frozen=True)
class Task:
    """One environment and everything that is the same for every contender."""

    env: str
    steps: int
    env_config: EnvConfig
    spec: EnvSpec
    eval_every: int
    eval_episodes: int
    eval_max_steps: int | None
    threads: int
    eval_sample: bool = False
    """Whether policies draw their actions when they are evaluated, ours and the peers' alike."""
    eval_epsilon: float = 0.0
    """Share of random actions when value learners are evaluated, ours and the peers' alike."""

    @cached_property
    def optimum(self) -> float | None:
        """The best expected return of a game, if the environment has an exact model."""
        if self.spec.model is None:
            return None
        from runs.training.evaluation import ENDLESS

        horizon = min(filter(None, (self.spec.max_episode_steps, self.eval_max_steps)), default=ENDLESS)
        return float(self.spec.model.table.optimum(horizon))

    @property
    def evaluation(self) -> str:
        return (
            f"{self.eval_episodes} whole games a seed, start seeds the same for every contender; "
            f"policies {manner(self.eval_sample, 0.0)}, value learners {manner(False, self.eval_epsilon)}; "
            f"curves from {self.eval_episodes} games every {self.eval_every:,} steps."
        )

    def acting(self, learns_values: bool) -> dict[str, Any]:
        """How a contender of this kind acts when it is evaluated, for its job."""
        return {
            "eval_sample": self.eval_sample and not learns_values,
            "eval_epsilon": self.eval_epsilon if learns_values else 0.0,
        }


def manner(eval_sample: bool, eval_epsilon: float) -> str:
    """How actions are chosen in evaluation, in words."""
    if eval_sample:
        return "sampled"
    return f"greedy with {eval_epsilon:.3g} of the actions random" if eval_epsilon else "greedy"


def parse_tasks(tasks: str | Sequence[str]) -> list[tuple[str, Run | None, int | None]]:
    """(environment, recipe, budget) of each task, the latter two if given; each environment once."""
    words = [t.strip() for t in tasks.split(",")] if isinstance(tasks, str) else list(tasks)
    found: dict[str, tuple[str, Run | None, int | None]] = {}
    for word in words:
        name, at, number = word.partition("@")
        steps = int(number) if number.isdecimal() else 0
        if at and steps < 1:
            raise InputError(f"--tasks {word}: write the budget as a whole number of steps, such as {name}@50000")
        for entry in SUITES.get(name, (name,)):
            own = resolve_recipe(entry) if entry in recipe_names() or recipe_file(entry) else None
            if own is None and "/" not in entry and "-v" not in entry and ":" not in entry:
                raise unknown("task or suite", entry, [*SUITES, *recipe_names(), *envs.ids()])
            env = own.env if own else entry
            task = (env, own, steps or None)
            if found.setdefault(env, task) != task:
                raise InputError(
                    f"--tasks {word}: {env} is a task already, with another recipe or budget: name it once"
                )
    return list(found.values())


def make_task(
    env: str, contenders: Sequence[Contender], own: Run | None, steps: int | None, evaluations: int | None
) -> Task:
    runs = [r for c in contenders if c.source == "ours" if (r := recipe_for(c.name, env, own))]
    first = own if own is not None else runs[0] if runs else None
    config = first.env_config if first is not None else EnvConfig()
    spec = envs.spec(env, config)
    if steps is None:
        steps = first.steps if first is not None else _zoo_budget(contenders, spec)
    named = [own] if own is not None else []
    eval_sample, eval_epsilon = _evaluation(spec, [*named, *runs, *_trained(contenders, env)])
    return Task(
        env=env,
        steps=steps,
        env_config=config,
        spec=spec,
        eval_every=max(1, steps // (evaluations or (ATARI_EVALUATIONS if spec.protocol else EVALUATIONS))),
        eval_episodes=first.eval_episodes if first is not None else 20,
        eval_max_steps=first.eval_max_steps if first is not None else None,
        threads=first.threads if first is not None else 1,
        eval_sample=eval_sample,
        eval_epsilon=eval_epsilon,
    )


def _evaluation(spec: EnvSpec, runs: Sequence[Run]) -> tuple[bool, float]:
    """Whether policies are evaluated sampled, and value learners' share of random actions.

    Each kind takes the values of its own first recipe: only policies can be sampled, only value learners have an
    epsilon. Without a recipe, Atari samples policies, as the Zoo does, and takes the protocol's epsilon; all other play
    is greedy.
    """
    atari = envs.PROTOCOLS.get(spec.protocol)
    sample, epsilon = atari is not None, atari.eval_epsilon if atari is not None else 0.0
    for run in reversed(runs):  # the first has the last word
        if not learns_values(run):
            sample = run.eval_sample
        elif run.eval_sample:  # a value learner's sampled play takes the epsilon that training ends with
            epsilon = getattr(run.agent.epsilon, "end", run.agent.epsilon)
        else:
            epsilon = run.agent.eval_epsilon
    return sample, epsilon


def learns_values(run: Run) -> bool:
    """Whether the agent plays by values, with an epsilon, and not by a policy."""
    return hasattr(run.agent, "eval_epsilon")


def _trained(contenders: Sequence[Contender], env: str) -> list[Run]:
    """The recipes of the trained runs of this environment."""
    recipes = [trained_run(c)[2] for c in contenders if c.source == "run"]
    return [from_json(Run, recipe) for recipe in recipes if recipe.get("env") == env]


def _zoo_budget(contenders: Sequence[Contender], spec: EnvSpec) -> int:
    for c in contenders if not peers.is_atari(spec) else ():
        values = peers.zoo().get(c.name, {}).get(peers.zoo_key(spec))
        if values is not None:
            return int(values["n_timesteps"])
    return 100_000


def trained_run(c: Contender) -> tuple[Path, int, dict[str, Any], bytes]:
    """A trained run's folder, its last step, its recipe, and the manifest of its checkpoint."""
    from runs.folder.run_folder import resolve as locate

    found = locate(c.name)
    if found.run is None or found.checkpoint.samefile(c.name):
        raise InputError(f"{c.text}: name the run's folder, not one checkpoint")
    manifest = (found.checkpoint / "manifest.json").read_bytes()
    return found.run, int(found.manifest["step"]), dict(read_json(found.run / "run.json").get("recipe", {})), manifest
