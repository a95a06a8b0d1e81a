"""A contender on a task: everything that one training of the comparison needs."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import agents
from envs import EnvConfig
from rl.errors import InputError
from runs.comparing.contenders import Contender
from runs.comparing.ours import matched, our_run, parameter_count
from runs.comparing.peers import peer as peers
from runs.comparing.peers.translate import full_config, ours_like
from runs.comparing.tasks import Task, manner, trained_run
from runs.recipe import Run, describe
from runs.settings.plain import digest, from_json, to_json


@dataclass(frozen=True)
class Side:
    """One contender on one task."""

    contender: Contender
    task: Task
    job: dict[str, Any]
    """What a worker needs, without the seed; plain JSON, the same for the same training."""
    config: dict[str, Any]
    """For the table of hyperparameters."""
    note: str = ""
    unmapped: list[str] = field(default_factory=list)
    seed: int | None = None
    """The only seed there is, of a trained run."""

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of everything that the training and its evaluation depend on, except the seed."""
        return digest(_without_later(self.job))

    @property
    def place(self) -> str:
        """Where its run folders lie below `runs` in the comparison's folder."""
        return f"{slug(self.contender.text)}/{slug(self.task.env)}/{self.fingerprint}"


LATER = {"cuda_graph": "auto"}
"""Fields added after comparisons were recorded, and their defaults, which fingerprints leave out."""


def _without_later(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: _without_later(v) for k, v in value.items() if k not in LATER or v != LATER[k]}


def slug(text: str) -> str:
    """`text` as a file name: characters outside [A-Za-z0-9.-] replaced, 48 kept, a hash added where that changes it.

    Windows takes paths of 260 characters in all.
    """
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", text)[:48]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def make_side(c: Contender, task: Task, own: Run | None, parameters: int | None = None) -> Side:
    """What `c` does on `task`; a network of ours gets as many `parameters` where that is given."""
    shared = {
        "steps": task.steps,
        "env": task.env,
        "env_config": to_json(task.env_config),
        "eval_every": task.eval_every,
        "eval_episodes": task.eval_episodes,
        "eval_max_steps": task.eval_max_steps,
        "threads": task.threads,
        "device": "auto" if any(peers.is_image(leaf) for leaf in task.spec.obs.values()) else "cpu",
    }
    if c.source == "run":
        return _run_side(c, task, shared)
    if c.name == "random" and c.source == "ours":
        return Side(c, task, {"kind": "random", **shared}, {"policy": "uniformly random"})
    if c.source in ("sb3", "zoo"):
        peer = peers.build_peer(c.source, c.name, task.spec, c.settings)  # type: ignore[arg-type]
        acting = task.acting(c.name in peers.OFF_POLICY)
        job = {"kind": "peer", **shared, "peer": dataclasses.asdict(peer), **acting}
        if peer.n_envs > task.steps:
            raise InputError(f"{c.text}: {peer.n_envs} environments are more than the {task.steps} steps of the budget")
        note = f"values from {peers.zoo_source()}" if c.source == "zoo" else "the algorithm's defaults"
        note += _FLAT if peers.reads_flat(task.spec) else ""
        note += _NO_MASKS if task.spec.masked else ""
        if c.source == "zoo" and task.spec.protocol:
            note += f"; Atari by protocol {task.spec.protocol!r}, not by the Zoo's own wrappers"
        _refuse_idle(c, ours_like(peer, task.steps)[0], peer.n_envs, task.steps)
        config = {"evaluation": manner(**acting)} | full_config(peer, task.steps)
        return Side(c, task, job, config, note)
    run, note, unmapped = our_run(c, task, own)
    _refuse_idle(c, describe(run)["agent"], run.num_envs, task.steps)
    count = parameter_count(c, run, task.spec)
    if parameters:
        run, count = matched(c, run, task.spec, count, parameters)
    job = {"kind": "ours", **shared, "run": {k: v for k, v in describe(run).items() if k != "seed"}}
    mode = manner(run.eval_sample, getattr(run.agent, "eval_epsilon", 0.0))
    own_fields = {"parameters": count, "num_envs": run.num_envs, "evaluation": mode}
    fields = describe(run)["agent"]
    if c.name in agents.PRESETS:
        fields["name"] = f"{c.name} ({fields['name']})"
    return Side(c, task, job, own_fields | fields, note, unmapped)


def _refuse_idle(c: Contender, fields: Mapping[str, Any], num_envs: int, steps: int) -> None:
    """Raises InputError where the budget ends before the first update. `fields` are an agent's, by our names."""
    rows = fields.get("rollout", 0) * num_envs
    if rows > steps and "episodes" not in fields:  # an update after whole episodes need not wait for the rollout
        raise InputError(
            f"contender {c.text!r} learns nothing within {steps:,} steps, its rollout takes {rows:,}: give more --steps"
        )
    starts, every = fields.get("learning_starts", 0), fields.get("update_every", 1)
    first = (starts // every + 1) * every
    if first > steps:
        raise InputError(
            f"contender {c.text!r} learns nothing within {steps:,} steps, its first update is due at {first:,} "
            f"(learning_starts {starts:,}, every {every:,}): give more --steps"
        )


_NO_MASKS = "; SB3's algorithm gets no action masks: the environment has some, and our agents use them"
_FLAT = "; SB3's policy reads the board as one flat vector"


def _run_side(c: Contender, task: Task, shared: dict[str, Any]) -> Side:
    """A trained run's folder: it is evaluated, not trained."""
    folder, steps, recipe, manifest = trained_run(c)
    if recipe.get("env") != task.env:
        raise InputError(f"{c.text} was trained on {recipe.get('env')}, this task is {task.env}")
    own, here = (  # `vector` changes only the speed
        {**to_json(config), "vector": "auto", "protocol": config.protocol or "nature"}
        for config in (from_json(EnvConfig, recipe.get("env_config", {})), task.env_config)
    )
    for name in own:
        if own[name] != here[name]:
            raise InputError(f"{c.text} was trained with env_config.{name}={own[name]}, this task has {here[name]}")
    acting = task.acting("eval_epsilon" in recipe.get("agent", {}))
    job = {"kind": "run", **shared, "folder": str(folder.resolve()), "checkpoint": steps, **acting}
    job["weights"] = hashlib.sha256(manifest).hexdigest()[:12]  # a folder may be trained again
    seed = int(recipe.get("seed", 0))
    instead = "" if steps == task.steps else f" instead of {task.steps:,}"
    note = f"trained before, {steps:,} steps{instead}; plays the start seeds of its own seed {seed}"
    config = {"evaluation": manner(**acting)} | dict(recipe.get("agent", {}))
    return Side(c, task, job, config, note, [], seed)
