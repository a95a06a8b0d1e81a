"""The one door: an id and a config in, a stream of rows out."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import os
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec as GymSpec
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import VectorEnv

from envs import atari
from envs.config import EnvConfig
from envs.partial import NO_VELOCITY
from envs.spaces import action_cast, mask_of, observation_casts, random_actions
from envs.stream import Stream, first_seeds
from envs.vector.base import Vector
from envs.vector.native import Native
from envs.vector.serial import Serial
from envs.vector.single import Single, user_line
from envs.vector.workers import Workers
from rl.errors import InputError, RunError
from rl.imports import import_named
from rl.interface import EnvSpec


def make(
    id: str,
    *,
    num_envs: int = 1,
    seed: int = 0,
    stream: str = "train",
    config: EnvConfig | None = None,
    render: bool = False,
    games: int | None = None,
) -> Stream:
    """`num_envs` environments of `id` as one stream of rows (`rl.types.Env`).

    id: a Gymnasium id, `ALE/<Game>-v5`, `<Game>NoFrameskip-v4`, or `module:Id`, where Id is an id that the module
    registers or a class or factory in it. Episode k of environment i starts from `derive_seed(seed, stream, i, k)`.

    games: play the list of games 0 to games - 1 instead, for an evaluation: an environment that becomes free takes the
    next one, game j starts from `derive_seed(seed, "evaluate", j)` whoever plays it. `info["game"]` names the game of
    each environment; -1 where none is left: such rows are `first`.

    render: make pictures, for `render()`.

    Raises `InputError` in one line for an unknown id, a missing package or ROM, an option the environment does not
    take, and a space that has no columns.
    """
    config = config or EnvConfig()
    if num_envs < 1:
        raise InputError(f"num_envs must be at least 1, got {num_envs}")
    if games is not None and games < 1:
        raise InputError(f"games must be at least 1, got {games}")
    if config.no_velocity:
        if id not in NO_VELOCITY:
            raise InputError(f"no_velocity is known for {', '.join(NO_VELOCITY)}; got {id!r}")
        id = NO_VELOCITY[id]
    id = id.removeprefix("ale_py:")
    if atari.is_atari(id):
        vector, facts = _atari(id, num_envs, config, render)
    else:
        if config.protocol:
            raise InputError(f"protocol {config.protocol!r} is for Atari games, {id!r} is none: leave it empty")
        vector, facts = _gymnasium(id, num_envs, config, render, games)
    try:
        return _stream(id, vector, facts, config, seed, stream, games, render)
    except BaseException as error:
        vector.close()
        if isinstance(error, InputError | RunError) and not str(error).startswith(id):
            raise type(error)(f"{id}: {error}") from error.__cause__
        raise


def spec(id: str, config: EnvConfig | None = None) -> EnvSpec:
    """What an agent must know of environment `id`; builds one briefly."""
    with make(id, config=config) as env:
        return env.spec


def ids() -> list[str]:
    """Every id that `make` knows without a `module:`, sorted; Atari's where ale-py is installed."""
    names: set[str] = set()
    with contextlib.suppress(InputError):  # ale-py, once it is imported, registers each game many times
        names = {f"ALE/{title}-v5" for title in atari.games()}
    return sorted(names | {id for id, found in gymnasium.registry.items() if "ale_py" not in str(found.entry_point)})


@dataclass(frozen=True)
class _Facts:
    """What is known of an environment besides its spaces."""

    protocol: str = ""
    reward_threshold: float | None = None
    max_episode_steps: int | None = None
    action_meanings: tuple[str, ...] = ()
    life_loss: bool = False


def _stream(
    id: str,
    vector: Vector,
    facts: _Facts,
    config: EnvConfig,
    seed: int,
    stream: str,
    games: int | None,
    render: bool,
) -> Stream:
    """The first reset, by which it is known whether there is a mask, the spec and the stream."""
    if games is not None and not vector.seeded:
        raise InputError("its vector environment cannot start a game from a seed: evaluate with vector='sync'")
    if config.max_steps and not vector.capped and not vector.seeded:
        raise InputError("its vector environment resets by itself alone, not after max_steps: set vector='sync'")
    action, to_env = action_cast(vector.action_space)
    casts, mask_cast = observation_casts(vector.observation_space, action)
    info = vector.reset(first_seeds(vector.num_envs, seed, stream, games))
    chosen = {
        f.name: getattr(config, f.name) for f in fields(config) if f.name not in ("vector", "options", "no_velocity")
    }
    spec = EnvSpec(
        id=id,
        obs={cast.name: cast.leaf for cast in casts},
        action=action,
        masked=mask_cast is not None or (mask_of(info) is not None and bool(action.logits)),
        protocol=facts.protocol,
        reward_threshold=facts.reward_threshold,
        max_episode_steps=min(filter(None, (facts.max_episode_steps, config.max_steps)), default=None),
        action_meanings=facts.action_meanings,
        options={"vector": vector.name, **{k: v for k, v in chosen.items() if v}, **config.options},
    )
    return Stream(
        vector,
        spec,
        casts,
        mask_cast,
        to_env,
        seed=seed,
        stream=stream,
        games=games,
        cap=None if vector.capped else config.max_steps,
        life_loss=facts.life_loss if config.life_loss is None else config.life_loss,
        flicker=config.flicker,
        pictures=render,
        info=info,
    )


def _atari(id: str, num_envs: int, config: EnvConfig, render: bool) -> tuple[Vector, _Facts]:
    if config.vector in ("sync", "async"):
        raise InputError(f"vector={config.vector!r}: Atari games run in ALE's own vector environment; use 'auto'")
    protocol = atari.protocol_for(config)
    try:
        vector = atari.Ale(id, num_envs, protocol, render)
    except InputError as error:
        raise InputError(f"{id}: {error}") from None
    cap = protocol.frame_cap // protocol.frame_skip
    return vector, _Facts(protocol.name, None, cap, vector.action_meanings, protocol.life_loss)


def _gymnasium(id: str, num_envs: int, config: EnvConfig, render: bool, games: int | None) -> tuple[Vector, _Facts]:
    target = _target(id)
    builder = _Builder(id, target, config.options, config.max_steps, render)
    native = _native(target, id, num_envs, config, render)
    if native is not None and (native.seeded or games is None or not getattr(target, "entry_point", None)):
        return native, _facts(target, None)
    if native is not None:  # it starts no game from a seed; single environments do
        native.close()
        config = replace(config, vector="auto")
    first = builder()
    facts = _facts(target, first)
    if config.vector == "sync" or (config.vector == "auto" and num_envs == 1):
        return Serial([lambda: first, *[builder] * (num_envs - 1)], bool(config.life_loss)), facts
    how = _faster(first, num_envs) if config.vector == "auto" else config.vector
    Single(first, 0).close()
    return (Workers if how == "async" else Serial)([builder] * num_envs, bool(config.life_loss)), facts


def _native(target: GymSpec | Callable, id: str, num_envs: int, config: EnvConfig, render: bool) -> Native | None:
    """The environment's own vector class, where it is to be used: asked for, a factory of one, or the arcade's."""
    pictures = {"render_mode": "rgb_array"} if render else {}
    if not isinstance(target, GymSpec):
        if "num_envs" not in inspect.signature(target).parameters:
            if config.vector == "native":
                raise InputError(f"{id} is no vector environment: its factory takes no num_envs; use vector='auto'")
            return None
        vec = _built(id, lambda: target(num_envs=num_envs, **pictures, **config.options))
        if not isinstance(vec, VectorEnv):
            raise InputError(f"{id} takes num_envs but gives {type(vec).__name__}, not a gymnasium VectorEnv")
        return Native(vec, num_envs, id)
    if config.vector != "native" and not (config.vector == "auto" and target.namespace in ("Arcade", "Boards")):
        return None
    if target.vector_entry_point is None:
        raise InputError(f"{id} has no vector environment of its own: use vector='auto'")
    vec = _built(
        id,
        lambda: gymnasium.make_vec(id, num_envs, vectorization_mode="vector_entry_point", **pictures, **config.options),
    )
    return Native(vec, num_envs, id)


def _facts(target: GymSpec | Callable, env: gymnasium.Env | None) -> _Facts:
    gym_spec = target if isinstance(target, GymSpec) else getattr(env, "spec", None)
    meanings: tuple[str, ...] = ()
    if env is not None and hasattr(env.unwrapped, "get_action_meanings"):
        meanings = tuple(map(str, env.unwrapped.get_action_meanings()))
    if gym_spec is None:
        return _Facts(max_episode_steps=_time_limit(env), action_meanings=meanings)
    return _Facts("", gym_spec.reward_threshold, gym_spec.max_episode_steps or _time_limit(env), meanings)


def _time_limit(env: gymnasium.Env | None) -> int | None:
    """The smallest limit that wrappers of the user's own set."""
    limits = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            limits.append(int(env._max_episode_steps))
        env = env.env
    return min(limits, default=None)


@dataclass(frozen=True)
class _Builder:
    """Builds one environment; travels to worker processes as it is."""

    id: str
    target: GymSpec | Callable
    """What the id names; resolved already, since a worker process knows no id that the user's script registered."""
    options: dict[str, Any]
    max_steps: int | None
    render: bool

    def __call__(self) -> gymnasium.Env:
        env = _built(self.id, self._made)
        limit = self.target.max_episode_steps if isinstance(self.target, GymSpec) else None
        if not isinstance(env, gymnasium.Env):
            raise InputError(f"{self.id} gives {type(env).__name__}, not a gymnasium Env")
        for name in ("observation_space", "action_space"):
            if not isinstance(getattr(env, name, None), gymnasium.Space):
                raise InputError(f"{self.id} has no {name} of gymnasium.spaces: it must say what it shows and takes")
        _refuse_statistics(env, self.id)
        if self.max_steps is not None and (limit is None or self.max_steps < limit):
            env = gymnasium.wrappers.TimeLimit(env, self.max_steps)
        return env

    def _made(self) -> Any:
        target = self.target
        if isinstance(target, GymSpec):
            target = functools.partial(gymnasium.make, target, disable_env_checker=True)
        if self.render and _takes_render_mode(self.target):
            try:
                return target(**self.options, render_mode="rgb_array")
            except TypeError as error:  # one that passes on what it gets, to something that does not take this
                if "'render_mode'" not in str(error):
                    raise
        return target(**self.options)  # some know one way to draw themselves without being told


def _refuse_statistics(env: gymnasium.Env, id: str) -> None:
    """Raises InputError for Gymnasium's normalising wrappers, whose running moments no checkpoint holds.

    An evaluation would start from empty moments, and its score would depend on the games before.
    """
    fields = {"NormalizeObservation": "normalize_obs", "NormalizeReward": "normalize_return"}
    while isinstance(env, gymnasium.Wrapper):
        name = type(env).__name__
        if name in fields and isinstance(env, getattr(gymnasium.wrappers, name)):
            raise InputError(
                f"{id} is wrapped in {name}, whose statistics are not saved: leave the wrapper out and let the agent "
                f"normalise, --set {fields[name]}=true with ppo or a2c"
            )
        env = env.env


def _takes_render_mode(target: GymSpec | Callable) -> bool:
    """Whether what builds the environment has that parameter; a registered one is asked for anything it may pass on."""
    builds = target.entry_point if isinstance(target, GymSpec) else target
    if isinstance(builds, str):
        builds = load_env_creator(builds)
    if builds is None:  # made of a vector environment alone
        return True
    parameters = inspect.signature(builds).parameters.values()
    passes_on = isinstance(target, GymSpec) and any(p.kind is p.VAR_KEYWORD for p in parameters)
    return passes_on or any(p.name == "render_mode" for p in parameters)


def _target(id: str) -> GymSpec | Callable:
    """What the id names: a registered environment or a class or factory in the user's module."""
    module_name, _, name = id.rpartition(":")
    if module_name:
        module = _import(module_name, id)
        if name not in gymnasium.registry:
            found = getattr(module, name, None)
            if not callable(found):
                raise InputError(f"{id}: module {module_name!r} neither registers nor defines {name!r}")
            _require_factory(found, id)
            return found
    try:
        found = gymnasium.spec(name)
        if str(found.entry_point).startswith("ale_py"):
            title = atari.title_of(found.kwargs["game"])
            raise InputError(f"{name!r} is not played as it is, but under a named protocol: use 'ALE/{title}-v5'")
        return found
    except gymnasium.error.Error as error:
        near = difflib.get_close_matches(name, ids(), n=1, cutoff=0.5)
        mend = f"did you mean {near[0]!r}?" if near else "`rl list envs` shows those that are known"
        reason = "" if near else f" ({str(error).splitlines()[0]})"
        if "/" in name and not any(known.startswith(f"{name.partition('/')[0]}/") for known in ids()):
            mend, reason = f"is it a module of yours that registers it? Then name both, module:{name}", ""
        raise InputError(f"unknown environment {name!r}{reason}: {mend}") from None


def _require_factory(found: Any, id: str) -> None:
    """`InputError` unless `found` is an environment class or a user's function: nothing else is ever called."""
    if isinstance(found, type):
        if issubclass(found, gymnasium.Env | VectorEnv):
            return
        raise InputError(f"{id} is a class, but no subclass of gymnasium.Env or gymnasium.vector.VectorEnv")
    home = str(getattr(found, "__module__", "")).partition(".")[0]
    if not isinstance(found, types.FunctionType):
        raise InputError(f"{id} is neither an environment class nor a function that makes one: it is not called")
    if home in sys.stdlib_module_names:
        raise InputError(f"{id} is a function of Python's standard library, which makes no environments")


def _import(name: str, id: str) -> Any:
    """The user's module; one in the current folder is found too."""
    try:
        return import_named(name)
    except ImportError as error:
        where = f"{name.partition('.')[0]}.py lies in this folder or its package is installed"
        mend = f": an environment of yours is module:Id, where {where}" if error.name == name.partition(".")[0] else ""
        raise InputError(f"{id}: importing {name!r} failed ({error}){mend}") from None


def _built(id: str, build: Callable[[], Any]) -> Any:
    """Runs `build`; whatever fails while an environment is made is bad input, in one line."""
    try:
        return build()
    except InputError:
        raise
    except Exception as error:
        line = str(error).strip().splitlines()
        words = f"{line[0] if line else ''}{user_line(error)}"
        raise InputError(f"{id} cannot be made: {type(error).__name__}: {words}") from None


ASYNC_COST = 100e-6, 50e-6
"""Seconds a slot costs in worker processes: in all, and for each environment. Measured on two cores."""


def _faster(env: gymnasium.Env, num_envs: int) -> str:
    """The faster of sync and async, from the shortest of 20 steps of `env`, which a busy machine does not lengthen.

    The steps take allowed actions only.
    """
    cores = os.cpu_count() or 1
    if cores == 1:
        return "sync"
    single = Single(env, 0)
    rng = np.random.default_rng(0)
    try:
        spec, to_env = action_cast(env.action_space)
        mask_cast = observation_casts(env.observation_space, spec)[1]
        observation, info = single.reset(0)
        step = float("inf")
        for _ in range(20):
            mask = mask_of(info) if mask_cast is None else mask_cast.one(observation, 0)
            action = to_env(random_actions(spec, 1, [mask], rng))[0]
            begun = time.perf_counter()
            observation, _, terminated, truncated, info = single.step(action)
            step = min(step, time.perf_counter() - begun)
            if terminated or truncated:
                observation, info = single.reset(0)
    except (RunError, InputError):  # the training names the environment's own fault, with its index
        return "sync"
    rounds = -(-num_envs // cores)
    return "async" if 1.3 * (ASYNC_COST[0] + ASYNC_COST[1] * num_envs + rounds * step) < num_envs * step else "sync"
