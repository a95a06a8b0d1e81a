"""Contenders of this suite: recipe, defaults, or the hyperparameters of Stable-Baselines3 or its Zoo."""

from __future__ import annotations

import dataclasses

import agents
from rl.errors import InputError, unknown
from rl.interface import EnvSpec
from runs.comparing.contenders import Contender
from runs.comparing.peers import peer as peers
from runs.comparing.peers.translate import apply_fields, ours_like
from runs.comparing.tasks import Task, learns_values
from runs.recipe import Run, agent_name, default_run, recipe_for, recipe_name, settings_warning, stretched
from runs.settings.apply import apply_settings
from runs.settings.plain import to_json


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
    notes = [note, line] if (line := settings_warning(changed)) else [note]
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


def _algorithm(c: Contender, spec: EnvSpec) -> str:
    """SB3's algorithm whose values our agent takes; PPO's with a memory where the Zoo has only that."""
    if c.name not in peers.ALGORITHMS:
        raise InputError(f"{c.text}: SB3 has no {c.name}; its values are for {', '.join(peers.ALGORITHMS)}")
    key, zoo = peers.zoo_key(spec), peers.zoo()
    if c.preset == "zoo" and c.name == "ppo" and key not in zoo["ppo"] and key in zoo["recurrent_ppo"]:
        return "recurrent_ppo"
    return c.name


def parameter_count(c: Contender, run: Run, spec: EnvSpec) -> int:
    """How many the agent's network has. It is built, so that what does not fit is said before hours of training."""
    try:
        agent = agents.build(run.agent, spec, num_envs=run.num_envs, seed=0)
    except InputError as error:
        raise InputError(f"contender {c.text!r}: {error}") from None
    return sum(p.numel() for p in agent.network.parameters())


TOLERANCE = 0.1
"""Share of the parameters by which networks that are called matched may differ."""


def matched(c: Contender, run: Run, spec: EnvSpec, count: int, target: int) -> tuple[Run, int]:
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
