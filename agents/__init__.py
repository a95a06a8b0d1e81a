"""The agents. A new one is one file, one line here, one recipe and one hand-computed loss test.

A user's own agent needs no line: `--agent module:Class`, or an entry point in the group `ludo_rl.agents`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
from typing import Any

from rl import imports
from rl.errors import InputError, unknown

REGISTRY: dict[str, str] = {
    "a2c": "agents.a2c:A2C",
    "alphazero": "agents.alphazero:AlphaZero",
    "bandit": "agents.tabular.bandit:Bandit",
    "c51": "agents.c51:C51",
    "double_q_learning": "agents.tabular.double_q_learning:DoubleQLearning",
    "dqn": "agents.dqn:DQN",
    "dyna_q": "agents.tabular.dyna_q:DynaQ",
    "expected_sarsa": "agents.tabular.expected_sarsa:ExpectedSarsa",
    "iqn": "agents.iqn:IQN",
    "mcts": "agents.mcts:MCTS",
    "monte_carlo": "agents.tabular.monte_carlo:MonteCarlo",
    "ntuple": "agents.ntuple:NTuple",
    "policy_iteration": "agents.tabular.policy_iteration:PolicyIteration",
    "ppo": "agents.ppo:PPO",
    "pqn": "agents.pqn:PQN",
    "prioritized_sweeping": "agents.tabular.prioritized_sweeping:PrioritizedSweeping",
    "q_learning": "agents.tabular.q_learning:QLearning",
    "qrdqn": "agents.qrdqn:QRDQN",
    "r2d2": "agents.r2d2:R2D2",
    "reinforce": "agents.reinforce:Reinforce",
    "sac": "agents.sac:SAC",
    "sarsa": "agents.tabular.sarsa:Sarsa",
    "td3": "agents.td3:TD3",
    "td_lambda": "agents.tabular.td_lambda:TDLambda",
    "value_iteration": "agents.tabular.value_iteration:ValueIteration",
}
"""The place of each agent's class. The class has `name: str` and `Config`, the frozen dataclass it is built from."""

GROUP = "ludo_rl.agents"
"""The entry points by which installed packages offer agents."""

PRESETS: dict[str, str] = {
    "btr_lite": "agents.presets:btr_lite",
    "crossq": "agents.presets:crossq",
    "droq": "agents.presets:droq",
    "drqn": "agents.presets:drqn",
    "rainbow": "agents.presets:rainbow",
    "tqc": "agents.presets:tqc",
}
"""Functions that return a config under a name of its own."""


def names() -> list[str]:
    """The agents that can be trained by name: ours, then those of installed packages."""
    return [*REGISTRY, *PRESETS, *(name for name in _entry_points() if name not in REGISTRY)]


def load(name: str) -> Any:
    """The agent class called `name`, or `module:Class`. Raises `InputError` if there is none."""
    if not isinstance(name, str):
        raise InputError(f"agent {name!r}: its name must be text")
    head, _, fields = name.partition(":")
    if "=" in fields and head in names():
        raise InputError(f"agent {name!r}: fields stand apart from the name {head!r}, as --set {fields.split(':')[0]}")
    where = REGISTRY.get(name) or (name if ":" in name else _entry_points().get(name))
    if where is None:
        raise unknown("agent", name, names(), own=True)
    module, _, attribute = where.partition(":")
    try:
        found = imports.import_named(module)
    except ImportError as error:
        what = f"there is no module {error.name!r} to import"
        what = what if isinstance(error, ModuleNotFoundError) else f"importing {module!r} failed: {error}"
        raise InputError(f"agent {name!r}: {what}") from error
    try:
        agent = getattr(found, attribute)
    except AttributeError as error:
        raise InputError(f"agent {name!r}: module {module!r} has no {attribute!r}") from error
    if not isinstance(agent, type) or not hasattr(agent, "Config"):
        raise InputError(f"agent {name!r}: {attribute} is no agent, it has no Config: name a subclass of one of ours")
    return agent


def config(name: str) -> Any:
    """The default config of the agent, or of the preset, called `name`."""
    if name in PRESETS:
        module, _, attribute = PRESETS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)()
    if name not in REGISTRY and ":" not in name and name not in _entry_points():
        raise unknown("agent", name, names(), own=True)
    return load(name).Config()


def name_of(config: Any) -> str:
    """The name of the agent that a config belongs to, as `load` takes it."""
    return str(config.name)


def title(settings: Any) -> str:
    """A config's usual name: the preset that has the same switches, such as rainbow, else its agent's name.

    Switches are the bool fields except those of normalisation, whether n_step and quantiles are above 1 and dropout
    above 0, and the encoder if the preset chooses one.
    """
    for preset in PRESETS:
        known = config(preset)
        same = type(known) is type(settings) and _switches(known) == _switches(settings)
        if same and known.net.encoder in ("auto", settings.net.encoder):
            return preset
    return name_of(settings)


def _switches(config: Any) -> dict[str, bool]:
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    switches = {k: v for k, v in values.items() if isinstance(v, bool) and not k.startswith("normalize")}
    return switches | {
        "n_step": values.get("n_step", 1) > 1,
        "quantiles": values.get("quantiles", 1) > 1,
        "dropout": values.get("dropout", 0.0) > 0,
    }


def build(config: Any, spec: Any, *, num_envs: int, seed: int, device: str = "cpu") -> Any:
    """The agent of `config` for an environment's spec. Raises `InputError` if they do not fit."""
    return load(name_of(config))(spec, config, num_envs=num_envs, seed=seed, device=device)


def lies_here(name: str) -> bool:
    """Whether an agent's name is an entry point of a package that lies in the current folder, not installed."""
    if name in REGISTRY or name in PRESETS:
        return False
    points = importlib.metadata.entry_points(group=GROUP, name=name)
    return any(point.dist is None or imports.lies_here(str(point.dist.locate_file(""))) for point in points)


def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}
