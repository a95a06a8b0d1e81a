"""What a comparison trains: tasks and contenders from the words of the command line, as jobs that are plain JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agents
import envs
from envs import EnvConfig
from rl.errors import InputError, unknown
from rl.storage import read_json
from rl.types import EnvSpec
from runs import peers
from runs.contenders import Contender, parse_contenders
from runs.listing import recipe_names
from runs.recipe import Run, agent_name, default_run, describe, doubt, stretched
from runs.recipe import resolve as resolve_recipe
from runs.settings import apply_settings, from_json, to_json
from runs.trust import Trust, check

SUITES: dict[str, tuple[str, ...]] = {
    "classic": ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3"),
    "arcade": tuple(f"Arcade/{g}-v1" for g in ("Breakout", "Asterix", "Freeway", "Seaquest", "SpaceInvaders")),
    # Aitchison et al. 2023: five games that predict the median of 57
    "atari5": tuple(f"ALE/{g}-v5" for g in ("BattleZone", "DoubleDunk", "NameThisGame", "Phoenix", "Qbert")),
    # Kaiser et al. 2020
    "atari26": tuple(
        f"ALE/{g}-v5"
        for g in (
            *("Alien", "Amidar", "Assault", "Asterix", "BankHeist", "BattleZone", "Boxing", "Breakout"),
            *("ChopperCommand", "CrazyClimber", "DemonAttack", "Freeway", "Frostbite", "Gopher", "Hero", "Jamesbond"),
            *("Kangaroo", "Krull", "KungFuMaster", "MsPacman", "Pong", "PrivateEye", "Qbert", "RoadRunner"),
            *("Seaquest", "UpNDown"),
        )
    ),
}
EVALUATIONS, ATARI_EVALUATIONS = 20, 10
"""Evaluations in a curve, unless the command says."""
RANDOM_GAMES = 100


@dataclass(frozen=True)
class Task:
    """One environment with what is the same for every contender."""

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
        """Twelve hexadecimal digits of everything that the training and its evaluation depend on, but the seed."""
        return hashlib.sha256(json.dumps(_without_later(self.job), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def place(self) -> str:
        """Where its results lie in the comparison's folder."""
        return f"results/{slug(self.contender.text)}/{slug(self.task.env)}/{self.fingerprint}"


LATER = {"cuda_graph": "auto"}
"""Fields that came after comparisons had been recorded, and their defaults, which leave the results what they were."""


def _without_later(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: _without_later(v) for k, v in value.items() if k not in LATER or v != LATER[k]}


@dataclass(frozen=True)
class Plan:
    tasks: list[Task]
    contenders: list[Contender]
    sides: list[Side]
    paired: list[tuple[str, str]]


def manner(eval_sample: bool, eval_epsilon: float) -> str:
    """How actions are chosen in evaluation, in words."""
    if eval_sample:
        return "sampled"
    return f"greedy with {eval_epsilon:.3g} of the actions random" if eval_epsilon else "greedy"


def slug(text: str) -> str:
    """`text` as a file name: characters outside [A-Za-z0-9.-] replaced, 48 kept, a hash added where that changes it.

    Windows takes paths of 260 characters in all.
    """
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", text)[:48]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


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
            path = _run_folder(c)[0] / "run.json"
            check(read_json(path), path, trust)
    named = isinstance(recipe, Run) or (recipe is not None and not envs_id(str(recipe)))
    wanted = _tasks(tasks) if tasks else [(base.env, None, None)] if base is not None else []
    if not wanted:
        raise InputError("compare: name a recipe, an environment or --tasks")
    if steps and all(budget for *_, budget in wanted):
        raise InputError(f"--steps {steps:,} has no effect: every task names its own budget, give --tasks with others")
    plan = Plan([], parsed, [], [])
    for env, given, budget in wanted:
        own = given or (base if named and base is not None and base.env == env else None)
        task = _task(env, parsed, own, budget or steps, evaluations)
        plan.tasks.append(task)
        like = None
        for c in parsed:
            side = _side(c, task, own, like if match_parameters else None)
            plan.sides.append(side)
            like = like or side.config.get("parameters")
    ours = [c for c in parsed if c.source == "ours" and c.name != "random"]
    plan.paired.extend((a.text, b.text) for k, a in enumerate(ours) for b in ours[k + 1 :] if a.name == b.name)
    return plan


def envs_id(text: str) -> bool:
    """Whether a recipe argument is an environment id, not a recipe."""
    return text not in recipe_names() and not text.endswith((".py", ".json")) and not Path(text).is_dir()


def _tasks(tasks: str | Sequence[str]) -> list[tuple[str, Run | None, int | None]]:
    """(environment, recipe, budget) of each task, the latter two where they are given; each environment once."""
    words = [t.strip() for t in tasks.split(",")] if isinstance(tasks, str) else list(tasks)
    found: dict[str, tuple[str, Run | None, int | None]] = {}
    for word in words:
        name, at, number = word.partition("@")
        steps = int(number) if number.isdecimal() else 0
        if at and steps < 1:
            raise InputError(f"--tasks {word}: write the budget as a whole number of steps, such as {name}@50000")
        own = resolve_recipe(name) if name in recipe_names() or name.endswith(".py") else None
        if own is None and name not in SUITES and "/" not in name and "-v" not in name and ":" not in name:
            raise unknown("task or suite", name, [*SUITES, *recipe_names(), *envs.ids()])
        for env in SUITES.get(name, (own.env if own else name,)):
            task = (env, own, steps or None)
            if found.setdefault(env, task) != task:
                raise InputError(
                    f"--tasks {word}: {env} is a task already, with another recipe or budget: name it once"
                )
    return list(found.values())


def _task(
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

    Each kind goes by its own first recipe, since only policies can be sampled and only value learners have an epsilon.
    Without one Atari's policies are sampled, as the Zoo does it, and its protocol names the epsilon; others are greedy.
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
    recipes = [_run_folder(c)[2] for c in contenders if c.source == "run"]
    return [from_json(Run, recipe) for recipe in recipes if recipe.get("env") == env]


def _zoo_budget(contenders: Sequence[Contender], spec: EnvSpec) -> int:
    for c in contenders if not peers.is_atari(spec) else ():
        values = peers.zoo().get(c.name, {}).get(peers.zoo_key(spec))
        if values is not None:
            return int(values["n_timesteps"])
    return 100_000


def recipe_for(agent: str, env: str, own: Run | None = None) -> Run | None:
    """The recipe that a bare contender stands for: the one that was named, else the first of this agent and task.

    A preset's recipes are those that end in its name. One whose options make another environment of it, such as the
    continuous LunarLander, stands behind the others.
    """
    if own is not None and _is_for(agent, own):
        return own
    recipes = [(resolve_recipe(name), name) for name in recipe_names()]
    fitting = [run for run, name in recipes if run.env == env and _is_for(agent, run, name)]
    return min(fitting, key=lambda run: bool(run.env_config.options), default=None)


def _is_for(agent: str, run: Run, recipe: str = "") -> bool:
    """Whether the recipe, called so, is one of `agent`, which may be a preset such as rainbow.

    One without a name, such as the user's own file, is a preset's where it has the same parts switched on.
    """
    if agent not in agents.PRESETS:
        return agent_name(run.agent) == agent
    preset = agents.config(agent)
    if agent_name(run.agent) != agent_name(preset):
        return False
    if recipe or (recipe := _recipe_name(run)) != "given":
        return recipe.endswith(f"_{agent}")
    switches = [f.name for f in dataclasses.fields(preset) if isinstance(getattr(preset, f.name), bool)]
    return all(getattr(run.agent, name) == getattr(preset, name) for name in switches)


def _side(c: Contender, task: Task, own: Run | None, parameters: int | None = None) -> Side:
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
        if c.source == "zoo" and task.spec.protocol:
            note += f"; Atari by protocol {task.spec.protocol!r}, not by the Zoo's own wrappers"
        _refuse_idle(c, peers.ours_like(peer, task.steps)[0], peer.n_envs, task.steps)
        config = {"evaluation": manner(**acting)} | peers.full_config(peer, task.steps)
        return Side(c, task, job, config, note)
    run, note, unmapped = _ours(c, task, own)
    _refuse_idle(c, describe(run)["agent"], run.num_envs, task.steps)
    count = _parameters(c, run, task.spec)
    if parameters:
        run, count = _matched(c, run, task.spec, count, parameters)
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


_FLAT = "; SB3's policy reads the board as one flat vector"


def _ours(c: Contender, task: Task, own: Run | None) -> tuple[Run, str, list[str]]:
    """Our run for a contender: recipe, defaults, or a peer's hyperparameters."""
    unmapped: list[str] = []
    found = recipe_for(c.name, task.env, own) if not c.preset else None
    if found is not None:
        run, note = found, f"recipe {_recipe_name(found)}"
    elif c.preset in ("", "default"):
        run = default_run(task.env, c.name)
        note = f"{c.name}'s defaults" + ("" if c.preset else f": no recipe for {c.name} on {task.env}")
    elif c.preset in ("sb3", "zoo"):
        algorithm = _algorithm(c, task.spec)
        peer = peers.build_peer(c.preset, algorithm, task.spec)  # type: ignore[arg-type]
        fields, changes, unmapped = peers.ours_like(peer, task.steps)
        config, missing = peers.apply_fields(agents.config(c.name), fields)
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
    notes = [note, line] if (line := doubt(changed)) else [note]
    return stretched(changed, usual), "; ".join(notes), unmapped


_OF_THE_TASK = ("env", "seed", "eval_every", "eval_episodes", "eval_sample", "eval_max_steps", "threads")


def _refuse_other_task(c: Contender, changed: Run, run: Run, steps: int) -> None:
    """Raises InputError where a contender's own settings change what is the same for everybody."""
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


def _recipe_name(run: Run) -> str:
    return next((name for name in recipe_names() if resolve_recipe(name) == run), "given")


def _algorithm(c: Contender, spec: EnvSpec) -> str:
    """SB3's algorithm whose values our agent takes; PPO's with a memory where the Zoo has only that."""
    if c.name not in peers.ALGORITHMS:
        raise InputError(f"{c.text}: SB3 has no {c.name}; its values are for {', '.join(peers.ALGORITHMS)}")
    key, zoo = peers.zoo_key(spec), peers.zoo()
    if c.preset == "zoo" and c.name == "ppo" and key not in zoo["ppo"] and key in zoo["recurrent_ppo"]:
        return "recurrent_ppo"
    return c.name


def _parameters(c: Contender, run: Run, spec: EnvSpec) -> int:
    """How many the agent's network has. It is built, so that what does not fit is said before hours of training."""
    try:
        agent = agents.build(run.agent, spec, num_envs=run.num_envs, seed=0)
    except InputError as error:
        raise InputError(f"contender {c.text!r}: {error}") from None
    return sum(p.numel() for p in agent.network.parameters())


TOLERANCE = 0.1
"""Share of the parameters by which networks that are called matched may differ."""


def _matched(c: Contender, run: Run, spec: EnvSpec, count: int, target: int) -> tuple[Run, int]:
    """The run whose layers and core are all wider or narrower by one factor, such that it has about `target`."""
    net = getattr(run.agent, "net", None)
    if net is None or net.hidden is None:
        raise InputError(f"contender {c.text!r}: to match its parameters its widths must be said: net.hidden=64x64")
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
        found[factor] = _parameters(c, _scaled(run, factor), spec)
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


def _run_folder(c: Contender) -> tuple[Path, int, dict[str, Any], bytes]:
    """Where a trained run lies, the step it came to, its recipe, and what its checkpoint says of its files."""
    from runs.folder import resolve as locate

    found = locate(c.name)
    if found.run is None or found.checkpoint.samefile(c.name):
        raise InputError(f"{c.text}: name the run's folder, not one checkpoint")
    manifest = (found.checkpoint / "manifest.json").read_bytes()
    return found.run, int(found.manifest["step"]), dict(read_json(found.run / "run.json").get("recipe", {})), manifest


def _run_side(c: Contender, task: Task, shared: dict[str, Any]) -> Side:
    """A trained run's folder: it is evaluated, not trained."""
    folder, steps, recipe, manifest = _run_folder(c)
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
