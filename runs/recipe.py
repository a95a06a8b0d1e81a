"""What a run is: an environment, an agent's config, a budget. A recipe is a named one in a file of `runs/recipes`."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agents
import envs
from envs import EnvConfig
from rl.errors import InputError, unknown
from rl.schedules import Ramp
from rl.storage import read_json
from runs.folder.places import ROOT, STUDIES
from runs.folder.trust import Trust, check
from runs.recipes import shipped
from runs.settings.apply import apply_settings
from runs.settings.plain import from_json, to_json
from runs.settings.text import written


def recipe_names() -> list[str]:
    """The recipes that come with the suite."""
    return list(shipped())


def recipe_file(recipe: str) -> tuple[Path, str] | None:
    """(file, name in it) of `FILE.py` or `FILE.py:NAME`, the name "" if none is given; None for any other word."""
    before, mark, name = recipe.rpartition(".py")
    if not mark or (name and not name.startswith(":")):
        return None
    return Path(f"{before}.py"), name[1:]


@dataclass(frozen=True)
class Run:
    """A recipe, resolved or not. The budget is fixed: no stopping or selection depends on evaluation returns."""

    env: str
    """Environment id, as `envs.make` takes it."""
    agent: Any
    """The agent's config; its class names the agent."""
    steps: int
    """Budget in counted steps, over all environments."""
    num_envs: int = 1
    """Environments in the training stream."""
    seed: int = 0
    """Every generator of the run is derived from it."""
    env_config: EnvConfig = field(default_factory=EnvConfig)
    """How the environment is made."""
    eval_every: int | None = None
    """Steps between evaluations during training. 0: only the final one. none: about ten evaluations of up to five
    games, in at most a tenth of the training's time."""
    eval_episodes: int = 20
    """Whole games in an evaluation."""
    eval_sample: bool = False
    """Evaluate the sampled policy instead of the greedy one."""
    eval_max_steps: int | None = None
    """Step cap of an evaluation game; none: the environment's own, or 27,000 if it has none."""
    save_every: int | None = None
    """Steps between checkpoints. 0: only the final one. none: about every minute and after each evaluation, in at
    most a fiftieth of the training's time."""
    snapshots: int = 0
    """Checkpoints, evenly spread over the training, that stay on the disk beside the newest two, for `rl explain`."""
    log_every: int = 1_000
    """Steps between lines of metrics.jsonl."""
    video_every: int = 0
    """Steps between evaluation videos; 0 makes none."""
    threads: int = 1
    """PyTorch's threads: 1 is fastest for small networks and makes a run repeatable; 0 takes all cores."""
    overlap: bool = False
    """Learners from a replay: act with the weights of before the newest burst of updates while a thread makes it. The
    actions are one burst behind, and two cores share the work."""

    def __post_init__(self) -> None:
        for name in ("steps", "num_envs", "eval_episodes", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seed", "eval_every", "save_every", "snapshots", "video_every", "threads"):
            if (getattr(self, name) or 0) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.eval_max_steps is not None and self.eval_max_steps < 1:
            raise InputError(f"eval_max_steps must be at least 1 or none, got {self.eval_max_steps}")
        starts = getattr(self.agent, "learning_starts", 0)
        if starts >= self.steps:
            raise InputError(
                f"learning_starts {starts} is not below the budget of {self.steps} steps, so that nothing is learned: "
                f"give more --steps, or --set learning_starts={self.steps // 10}"
            )


def resolve(
    recipe: str | Path | Run | Callable[..., Any],
    *,
    agent: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    num_envs: int | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    trust: Trust = False,
) -> Run:
    """The run of a recipe's name, a .py file, a run.json or an environment id, with the given changes.

    `recipe` may also be an environment's class or a function that makes one, defined at the top of its module.
    `settings` are FIELD=VALUE as on the command line, one or several of them, or a dict of fields and values.
    A schedule that lasts for the recipe's budget is stretched to the new one, unless `recipe` is a Run.
    `trust`: whether a run.json may name code that is neither registered nor signed here (`runs.folder.trust`).
    Raises InputError for an unknown name (with the nearest one), field or value.
    """
    if agent is not None and agent.partition(":")[0] in ("sb3", "zoo"):
        raise InputError(f"agent {agent!r} is Stable-Baselines3's: `rl compare --agents {agent}` trains it beside ours")
    if isinstance(settings, str):
        settings = [settings]
    elif isinstance(settings, Mapping):
        settings = [f"{name}={written(value)}" for name, value in settings.items()]
    if isinstance(recipe, type | types.FunctionType):
        recipe = f"{recipe.__module__}:{recipe.__qualname__}"
    run = recipe if isinstance(recipe, Run) else _find(str(recipe), agent, trust, settings)
    changes = {"steps": steps, "seed": seed, "num_envs": num_envs}
    for word in settings:
        name, _, value = word.partition("=")
        if changes.get(name.removeprefix("run.")) is not None:
            option = name.removeprefix("run.").replace("_", "-")
            raise InputError(f"--{option} and --set {name}={value} set the same field twice: leave one out")
    # all at once: fields that constrain each other may change together
    words = [*(f"{k}={v}" for k, v in changes.items() if v is not None), *settings]
    if agent is not None and agent_name(run.agent) != agent:
        enough = dataclasses.replace(run, steps=max(run.steps, 10**9))  # for what the new agent starts with
        return apply_settings(_with_agent(enough, agents.config(agent)), [f"steps={run.steps}", *words])
    changed = apply_settings(run, words)
    typed = {word.partition("=")[0].removeprefix("agent.").partition(".")[0] for word in words}
    return changed if isinstance(recipe, Run) else stretched(changed, run, typed)


def stretched(changed: Run, run: Run, typed: Collection[str] = ()) -> Run:
    """`changed`, with the agent's schedules that last for all of `run` stretched to the new budget.

    A learning rate that falls to zero over the recipe's budget would otherwise stay zero for the rest of a longer one.
    The schedules of `typed` fields keep their length.
    """
    if changed.steps == run.steps:
        return changed
    ramps = {
        f.name: dataclasses.replace(value, steps=changed.steps)
        for f in dataclasses.fields(run.agent)
        if f.name not in typed
        and isinstance(value := getattr(run.agent, f.name), Ramp)
        and value.steps == run.steps
        and getattr(changed.agent, f.name, None) == value
    }
    return dataclasses.replace(changed, agent=dataclasses.replace(changed.agent, **ramps))


def _with_agent(run: Run, config: Any) -> Run:
    """`run` with another agent. On Atari, four frames and the protocol's clipped rewards and evaluation apply.

    They replace only fields of `config` that are at their default.
    """
    learns_values = hasattr(config, "eval_epsilon")
    sample = run.eval_sample and not learns_values
    spec = envs.spec(run.env, run.env_config)
    if spec.protocol in envs.PROTOCOLS:
        protocol = envs.PROTOCOLS[spec.protocol]
        clip = 1.0 if protocol.reward_clip else None
        usual = {"stack": 4, "reward_clip": clip, "eval_epsilon": protocol.eval_epsilon}
        free = {f.name for f in dataclasses.fields(config) if getattr(config, f.name) == f.default}
        config = dataclasses.replace(config, **{k: v for k, v in usual.items() if k in free})
        sample = not learns_values
    return dataclasses.replace(run, agent=config, eval_sample=sample)


def _find(recipe: str, agent: str | None, trust: Trust, settings: Sequence[str] = ()) -> Run:
    path = Path(recipe)
    if (file := recipe_file(recipe)) is not None:
        return _from_file(*file)
    if path.suffix == ".json" or (path.is_dir() and (path / "run.json").exists()):
        return from_run_json(path if path.suffix == ".json" else path / "run.json", trust)
    if recipe in shipped():
        run = getattr(importlib.import_module(shipped()[recipe].module), recipe)
        assert isinstance(run, Run)
        return run
    if not any(mark in recipe for mark in (":", "/", "NoFrameskip-v4")) and recipe not in envs.ids():
        raise unknown("recipe or environment", recipe, [*recipe_names(), *envs.ids()], own=True)
    return default_run(recipe, agent, _env_config(settings))


def _env_config(settings: Sequence[str]) -> EnvConfig:
    """The settings of the environment, some of which may be required to make it."""
    own = [word.partition(".")[2] for word in settings if word.startswith(("env_config.", "env."))]
    return apply_settings(EnvConfig(), own)


def default_run(env: str, agent: str | None = None, config: EnvConfig | None = None) -> Run:
    """A run of an environment without a recipe: the agent's defaults, 100,000 steps or ten times `learning_starts`.

    Without a name the agent is DQN for discrete actions, else PPO. Atari's protocol applies as in `_with_agent`.
    """
    config = config or EnvConfig()
    spec = envs.spec(env, config)
    if agent is None:
        agent = "dqn" if spec.action.kind == "discrete" else "ppo"
    learner = agents.config(agent)
    steps = max(100_000, 10 * getattr(learner, "learning_starts", 0))
    return _with_agent(Run(env=env, agent=learner, steps=steps, env_config=config), learner)


def _from_file(path: Path, name: str) -> Run:
    """The `Run` called `name` in a user's file; without a name `run`, or the only one."""
    if not path.exists() and path.parts[:2] == ("runs", "studies"):
        path = STUDIES.joinpath(*path.parts[2:])
    if not path.exists() and path.parts[:1] == ("runs",):
        path = ROOT / path  # a recipe of ours, named from another folder
    if not path.exists():
        raise InputError(f"there is no recipe file {path}")
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    assert spec and spec.loader
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a recipe may import its neighbours
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    runs = {key: value for key, value in vars(module).items() if isinstance(value, Run) and not key.startswith("_")}
    if not name:
        name = next(iter(runs)) if len(runs) == 1 else "run"
    if name in runs:
        return runs[name]
    if not runs:
        raise InputError(f"{path} has no `run = Run(...)`")
    raise InputError(f"{path} has no run {name!r}: write one of {', '.join(f'{path}:{key}' for key in runs)}")


def from_run_json(path: Path, trust: Trust = False) -> Run:
    """The run that a run.json describes. Raises `InputError` if it names code that nobody has allowed."""
    if not path.exists():
        raise InputError(f"there is no file {path}")
    try:
        document = read_json(path)  # UTF-8, with or without a mark at its beginning
    except InputError as error:
        raise InputError(f"{path} is not a run.json: {error}") from error
    return from_document(document, path, trust)


def from_document(document: Mapping[str, Any], source: Path, trust: Trust) -> Run:
    """The run of `document["recipe"]`, read from `source`. No other function turns a file's recipe into a `Run`."""
    check(document, source, trust)
    return from_json(Run, document["recipe"])


def recipe_for(agent: str, env: str, own: Run | None = None) -> Run | None:
    """The recipe that a bare contender stands for: `own` if it is of this agent, else the first of agent and task.

    A preset's recipes are those that end in its name. A recipe with other options of the environment than `own`, such
    as the continuous LunarLander, comes after the others.
    """
    if own is not None and _is_for(agent, own):
        return own
    recipes = [(resolve(name), name) for name in recipe_names()]
    fitting = [run for run, name in recipes if run.env == env and _is_for(agent, run, name)]
    options = own.env_config.options if own is not None else {}
    return min(fitting, key=lambda run: run.env_config.options != options, default=None)


def _is_for(agent: str, run: Run, recipe: str = "") -> bool:
    """Whether `run`, a recipe of this name, trains `agent`, which may be a preset such as rainbow.

    A run without a name, such as one from a user's file, trains a preset if it has the same parts switched on.
    """
    if agent not in agents.PRESETS:
        return agent_name(run.agent) == agent
    preset = agents.config(agent)
    if agent_name(run.agent) != agent_name(preset):
        return False
    if recipe or (recipe := recipe_name(run)) != "given":
        return recipe.endswith(f"_{agent}")
    switches = [f.name for f in dataclasses.fields(preset) if isinstance(getattr(preset, f.name), bool)]
    return all(getattr(run.agent, name) == getattr(preset, name) for name in switches)


def recipe_name(run: Run) -> str:
    """The name of the shipped recipe that equals `run`, or "given"."""
    return next((name for name in recipe_names() if resolve(name) == run), "given")


def is_env_id(recipe: str) -> bool:
    """Whether a RECIPE argument is an environment's id, not a recipe's name or file."""
    is_file = recipe_file(recipe) is not None or recipe.endswith(".json") or Path(recipe).is_dir()
    return recipe not in shipped() and not is_file


def values_taken(recipe: str, agent: str | None, run: Run) -> str:
    """Whose values `run` starts from: the recipe's, or its agent's defaults, and then the recipe with tuned values.

    `recipe` and `agent` are the arguments that `resolve` made `run` from.
    """
    if not is_env_id(recipe) and agent in (None, agent_name(resolve(recipe, trust=True).agent)):
        return f"values of {recipe}"
    name = agent or agent_name(run.agent)
    tuned = recipe_for(name, run.env)
    if tuned is None or tuned.env_config.options != run.env_config.options:
        return f"default values of {name}"
    return f"default values of {name}; `rl train {recipe_name(tuned)}` takes tuned ones"


def require_updates(run: Run) -> None:
    """Raises InputError if the replay ratio is so small that the whole run makes no update."""
    ratio, starts = getattr(run.agent, "replay_ratio", None), getattr(run.agent, "learning_starts", 0)
    if ratio is not None and ratio * (run.steps - starts) < 1:
        raise InputError(
            f"replay_ratio {ratio:g} makes no update in {run.steps} steps, of which the first {starts} only explore: "
            "set a larger one or give more --steps"
        )


def settings_warning(run: Run) -> str:
    """Warns in one line about settings that are valid but probably a mistake; "" if there are none."""
    epsilon = getattr(run.agent, "epsilon", None)
    if epsilon is None or getattr(run.agent, "noisy", False):
        return ""
    highest = max(epsilon.start, epsilon.end) if isinstance(epsilon, Ramp) else epsilon
    return "" if highest else "epsilon 0 without noisy layers never explores: set epsilon, such as 1.0:0.05:10000"


def agent_name(config: Any) -> str:
    """The name of a config's agent."""
    return str(agents.name_of(config))


def describe(run: Run) -> dict[str, Any]:
    """The run as plain JSON; `from_run_json` reads it back."""
    return dict(to_json(run))
