"""What a comparison trains: the contenders of the command line on every task, as jobs that are plain JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agents
from envs import EnvConfig
from rl.device import in_precision
from rl.errors import InputError, unknown
from rl.interface import EnvSpec
from rl.storage import read_json
from runs.comparing.contenders import Contender, parse_contenders
from runs.comparing.peers import peer as peers
from runs.comparing.peers.translate import apply_fields, full_config, ours_like
from runs.comparing.tasks import Task, learns_values, make_task, manner, parse_tasks, trained_run
from runs.folder.trust import Trust, check
from runs.recipe import (
    Run,
    agent_name,
    default_run,
    describe,
    is_env_id,
    recipe_for,
    recipe_name,
    settings_warning,
    stretched,
)
from runs.recipe import resolve as resolve_recipe
from runs.settings.apply import apply_settings
from runs.settings.plain import digest, from_json, to_json

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
    """Everything that is to be trained. Raises `InputError` for what cannot be trained, before anything starts.

    A task is an environment, a recipe (its environment, and what a contender of that agent trains with) or a suite,
    each with its own budget if it ends in `@STEPS`. A curve has `evaluations` points. `match_parameters` gives
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
        """The path of its run folders below `runs` in the comparison's folder."""
        return f"{slug(self.contender.text)}/{slug(self.task.env)}/{self.fingerprint}"


LATER = {
    "cuda_graph": "auto",
    "reset_options": {},
    "drop": [],
    "normalize_obs": False,
    "normalize_return": False,
    "overlap": False,
}
"""Fields added after comparisons were recorded, and their defaults, which fingerprints leave out."""
OBSERVES = "snapshots"
"""A field added later that changes nothing that a `Run` learns: fingerprints leave it out at any value."""


def _without_later(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    policy_learner = "normalize_advantage" in value  # these always had the two other fields of normalisation
    kept = ("normalize_obs", "normalize_return") if policy_learner else ()
    told = {k: v for k, v in value.items() if k != OBSERVES and (k not in LATER or k in kept or v != LATER[k])}
    return {k: _without_later(v) for k, v in told.items()}


def slug(text: str) -> str:
    """`text` as a file name: characters outside [A-Za-z0-9.-] replaced, 48 kept, a hash added if that changes it.

    Windows takes paths of 260 characters in all, and no file named like a device.
    """
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", text)[:48]
    device = re.fullmatch(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?", text.lower())
    return plain if plain == text and not device else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def make_side(c: Contender, task: Task, own: Run | None, parameters: int | None = None) -> Side:
    """What `c` does on `task`. If `parameters` is given, a network of ours is scaled to that many."""
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
        acting = task.acting(c.name in peers.VALUE_LEARNERS)
        job = {"kind": "peer", **shared, "peer": dataclasses.asdict(peer), **acting}
        if peer.n_envs > task.steps:
            raise InputError(f"{c.text}: {peer.n_envs} environments are more than the {task.steps} steps of the budget")
        note = f"values from {peers.zoo_source()}" if c.source == "zoo" else "the algorithm's defaults"
        note += _FLAT if peers.reads_flat(task.spec) else ""
        if task.spec.masked:
            note += _MASKS if peer.algorithm == peers.MASKABLE else _NO_MASKS
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
    """Raises InputError if the budget ends before the first update. `fields` are an agent's, under our names."""
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


_MASKS = "; sb3-contrib's MaskablePPO, which gets the same action masks as our agents"
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


def our_run(c: Contender, task: Task, own: Run | None) -> tuple[Run, str, list[str]]:
    """Our run for a contender: recipe, defaults, or a peer's hyperparameters."""
    unmapped: list[str] = []
    found = recipe_for(c.name, task.env, own) if not c.preset else None
    if found is not None:
        run, note = found, f"recipe {recipe_name(found)}"
    elif c.preset in ("", "default"):
        run = default_run(task.env, c.name)
        note = f"{c.name}'s defaults" + ("" if c.preset else f": no recipe for {c.name} on {task.env}")
    elif c.preset in ("sb3", "zoo"):
        algorithm = _algorithm(c, task.spec)
        peer = peers.build_peer(c.preset, algorithm, task.spec)  # type: ignore[arg-type]
        fields, changes, unmapped = ours_like(peer, task.steps)
        config, missing = apply_fields(agents.config(c.name), fields)
        long = max(task.steps, fields.get("learning_starts", 0) + 1)  # the contender's own settings may lower that
        run = Run(env=task.env, agent=config, steps=long, num_envs=changes["num_envs"])
        unmapped = unmapped + missing
        note = f"the hyperparameters of {c.preset}:{algorithm}"
        note += "; as SB3's, its network reads the board as one flat vector" if peers.reads_flat(task.spec) else ""
    else:
        if c.preset not in agents.PRESETS:
            raise unknown(f"preset of {c.name}", c.preset, ["default", "sb3", "zoo", *agents.PRESETS])
        run, note = default_run(task.env, c.preset), f"preset {c.preset}"
        if c.name not in (c.preset, agent_name(run.agent)):
            raise InputError(f"{c.text}: {c.preset} is a preset of {agent_name(run.agent)}: name it {c.preset}")
    acting = task.acting(learns_values(run))
    agent, usual = run.agent, run
    if learns_values(run):
        agent = dataclasses.replace(agent, eval_epsilon=acting["eval_epsilon"])
    run = dataclasses.replace(
        run,
        agent=agent,
        env=task.env,
        env_config=task.env_config,
        steps=max(run.steps, task.steps),
        seed=0,
        eval_every=task.eval_every,
        eval_episodes=task.eval_episodes,
        eval_max_steps=task.eval_max_steps,
        eval_sample=acting["eval_sample"],
        threads=task.threads,
        save_every=0,
        video_every=0,
    )
    note += f"; {', '.join(c.settings)}" if c.settings else ""
    try:
        changed = apply_settings(run, [f"steps={task.steps}", *c.settings])
    except InputError as error:
        raise InputError(f"contender {c.text!r}: {error}") from None
    _refuse_other_task(c, changed, run, task.steps)
    if changed.overlap:
        raise InputError(
            f"contender {c.text!r}: overlap=true acts one burst of updates behind, so that equal hyperparameters are "
            "another algorithm: leave it out"
        )
    notes = [note, line] if (line := settings_warning(changed)) else [note]
    return stretched(changed, usual), "; ".join(notes), unmapped


_OF_THE_TASK = ("env", "seed", "eval_every", "eval_episodes", "eval_sample", "eval_max_steps", "threads")


def _refuse_other_task(c: Contender, changed: Run, run: Run, steps: int) -> None:
    """Raises InputError if a contender's own settings change what is the same for all contenders."""
    config, own = to_json(run.env_config), to_json(changed.env_config)
    pairs = {"steps": (changed.steps, steps)}
    pairs |= {name: (getattr(changed, name), getattr(run, name)) for name in _OF_THE_TASK}
    pairs |= {name: (own[name], config[name]) for name in config if name != "vector"}  # which changes only the speed
    if learns_values(run) and learns_values(changed):
        pairs["eval_epsilon"] = changed.agent.eval_epsilon, run.agent.eval_epsilon
    for name, (its, everybodys) in pairs.items():
        if its != everybodys:
            raise InputError(
                f"contender {c.text!r}: {name}={its} would make it another task, which is the same for every "
                f"contender, {name}={everybodys}: leave it out, or put it into a recipe that all are compared on"
            )


def _algorithm(c: Contender, spec: EnvSpec) -> str:
    """SB3's algorithm whose values our agent takes; recurrent PPO's if the Zoo has only that."""
    if c.name not in peers.ALGORITHMS:
        raise InputError(f"{c.text}: SB3 has no {c.name}; its values are for {', '.join(peers.ALGORITHMS)}")
    key, zoo = peers.zoo_key(spec), peers.zoo()
    if c.preset == "zoo" and c.name == "ppo" and key not in zoo["ppo"] and key in zoo["recurrent_ppo"]:
        return "recurrent_ppo"
    return c.name


def parameter_count(c: Contender, run: Run, spec: EnvSpec) -> int:
    """The number of the network's parameters. Builds the agent: a misfit is found before any training."""
    try:
        agent = agents.build(in_precision(run.agent, "fp32"), spec, num_envs=run.num_envs, seed=0)  # auto would measure
    except InputError as error:
        raise InputError(f"contender {c.text!r}: {error}") from None
    return sum(p.numel() for p in agent.network.parameters())


TOLERANCE = 0.1
"""Share of the parameters by which networks that are called matched may differ."""


def matched(c: Contender, run: Run, spec: EnvSpec, count: int, target: int) -> tuple[Run, int]:
    """The run whose layers and core are all wider or narrower by one factor, such that it has about `target`."""
    net = getattr(run.agent, "net", None)
    if net is None or net.hidden is None:
        raise InputError(f"contender {c.text!r}: give its widths to match its parameters, such as net.hidden=64x64")
    found, low, high = {1.0: count}, 0.0, 0.0  # factors known to be too small, and too large
    factor = 1.0
    for _ in range(20):
        if abs(found[factor] - target) < target / 100:
            break
        if found[factor] < target:
            low = factor
        else:
            high = factor
        factor = (low + high) / 2 if high else 2 * low
        found[factor] = parameter_count(c, _scaled(run, factor), spec)
    best = min(found, key=lambda f: abs(found[f] - target))
    if abs(found[best] - target) > TOLERANCE * target:
        raise InputError(
            f"contender {c.text!r}: on {spec.id} no width has about {target:,} parameters, the nearest has "
            f"{found[best]:,}: make the first contender's larger"
        )
    return _scaled(run, best), found[best]


def _scaled(run: Run, factor: float) -> Run:
    net = run.agent.net
    hidden = tuple(max(1, round(factor * width)) for width in net.hidden)
    core = {"core_size": max(1, round(factor * net.core_size))} if net.core != "none" else {}
    net = dataclasses.replace(net, hidden=hidden, **core)
    return dataclasses.replace(run, agent=dataclasses.replace(run.agent, net=net))
