"""Makes N environments of an id as one stream of rows."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec as GymSpec
from gymnasium.vector import VectorEnv

from envs import atari
from envs.config import EnvConfig
from envs.exact import CLASSIC, known_model
from envs.headless import choose_renderer
from envs.partial import NO_VELOCITY
from envs.simulators import simulator_of
from envs.spaces import action_cast, mask_of, observation_casts
from envs.stream import Stream, first_seeds
from envs.target import Builder, Target, built, target_of
from envs.trial import RESTART_PATIENCE, ROW_COST, WORKER_COST, faster, repeats, require_affordable
from envs.vector.base import MakeEnv, Vector
from envs.vector.native import Native
from envs.vector.serial import Serial
from envs.vector.single import Single
from envs.vector.workers import Workers
from rl.errors import InputError, RunError
from rl.interface import EnvSpec

log = logging.getLogger(__name__)


def make(
    id: str,
    *,
    num_envs: int = 1,
    seed: int = 0,
    stream: str = "train",
    config: EnvConfig | None = None,
    render: bool = False,
    games: int | None = None,
    first: int = 0,
) -> Stream:
    """`num_envs` environments of `id` as one stream of rows (`rl.types.Env`).

    id: a Gymnasium id, `ALE/<Game>-v5`, `<Game>NoFrameskip-v4`, or `module:Id`, where Id is an id that the module
    registers or a class or factory in it. Episode k of environment i starts from `derive_seed(seed, stream, i, k)`.

    games: play a list of so many games instead, from game `first` on, for an evaluation. An environment that becomes
    free takes the next game; game j starts from `derive_seed(seed, "evaluate", j)` in every environment.
    `info["game"]` names the game of each environment, -1 if no game is left; rows with -1 are `first`.

    render: make pictures, for `render()`.

    first: the number of the first environment among those of a training that several processes share; of the first
    game, if they share an evaluation.

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
    if stream not in ("train", "spec"):  # games that count, or that people see, have an opponent
        options = {k: v for k, v in config.options.items() if k not in ("self_play", "opening", "eval_opening")}
        if stream == "evaluate" and "eval_opening" in config.options:
            options["opening"] = config.options["eval_opening"]
        config = replace(config, options=options)
    id = id.removeprefix("ale_py:")
    if atari.is_atari(id):
        vector, facts = _atari(id, num_envs, config, render)
    else:
        if config.protocol:
            raise InputError(f"protocol {config.protocol!r} is for Atari games, {id!r} is none: leave it empty")
        vector, facts = _gymnasium(id, num_envs, config, render, games)
    try:
        with _naming(id):
            return _stream(id, vector, facts, config, seed, stream, games, render, first)
    except BaseException:
        vector.close()
        raise


@contextmanager
def _naming(id: str) -> Iterator[None]:
    """Puts the id in front of an error's line."""
    try:
        yield
    except (InputError, RunError) as error:
        if str(error).startswith(id):
            raise
        raise type(error)(f"{id}: {error}") from error.__cause__


def spec(id: str, config: EnvConfig | None = None, *, tried: bool = False) -> EnvSpec:
    """What an agent must know of environment `id`; builds one briefly, in this process.

    tried: play a few steps, and log one line if a seed gives another episode after other games were played.
    """
    config = config or EnvConfig()
    if config.vector == "async" and not atari.is_atari(id):
        config = replace(config, vector="sync")
    begun = time.perf_counter()
    with make(id, config=config, stream="spec") as env:
        quick = time.perf_counter() - begun < QUICK and env.spec.options["vector"] == "sync"
        if tried and quick and not repeats(env):
            log.warning(UNREPEATABLE, id)
        return env.spec


SINGLE = "set vector='sync' if it has single environments, else let its reset honour options['reset_mask']"

QUICK = 1.0
"""Seconds within which an environment must be built to be tried."""

UNREPEATABLE = (
    "%s: the same seed gives another episode after other games: a wrapper or the environment keeps a state of its own "
    "or draws without the seed. Scores depend on the games before, and no checkpoint holds that state"
)


@dataclass(frozen=True)
class _Facts:
    """Facts about an environment beside its spaces."""

    protocol: str = ""
    reward_threshold: float | None = None
    max_episode_steps: int | None = None
    action_meanings: tuple[str, ...] = ()
    life_loss: bool = False
    model: Any = None
    simulator: Any = None


def _stream(
    id: str,
    vector: Vector,
    facts: _Facts,
    config: EnvConfig,
    seed: int,
    stream: str,
    games: int | None,
    render: bool,
    first: int,
) -> Stream:
    """The stream after its first reset, which shows whether there is a mask."""
    if games is not None and not vector.seeded:
        raise InputError(f"its vector environment cannot start a game from a seed: {SINGLE}")
    if config.max_steps and not vector.capped and not vector.seeded:
        raise InputError(f"its vector environment cannot be reset after max_steps: {SINGLE}")
    action, to_env = action_cast(vector.action_space)
    casts, mask_cast = observation_casts(vector.observation_space, action)
    info = vector.reset(first_seeds(vector.num_envs, seed, stream, games, first))
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
        simulator=facts.simulator,
        alternating=bool(getattr(facts.simulator, "players", 1) == 2 and config.options.get("self_play")),
        options={"vector": vector.name, **{k: v for k, v in chosen.items() if v}, **config.options},
        model=None if config.drop or config.reset_options else facts.model,
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
        first=first,
        cap=None if vector.capped else config.max_steps,
        life_loss=facts.life_loss if config.life_loss is None else config.life_loss,
        flicker=config.flicker,
        pictures=render,
        info=info,
    )


def _atari(id: str, num_envs: int, config: EnvConfig, render: bool) -> tuple[Vector, _Facts]:
    for name in ("reset_options", "drop"):
        if getattr(config, name):
            raise InputError(f"{name} is not for Atari games: leave it empty")
    if config.vector in ("sync", "async"):
        raise InputError(f"vector={config.vector!r}: Atari games run in ALE's own vector environment; use 'auto'")
    protocol = atari.protocol_for(config)
    require_affordable(id, lambda: atari.Ale(id, 1, protocol, render), num_envs)
    with _naming(id):
        vector = atari.Ale(id, num_envs, protocol, render)
    cap = protocol.frame_cap // protocol.frame_skip
    return vector, _Facts(protocol.name, None, cap, vector.action_meanings, protocol.life_loss)


def _gymnasium(id: str, num_envs: int, config: EnvConfig, render: bool, games: int | None) -> tuple[Vector, _Facts]:
    target = target_of(id)
    if render:
        choose_renderer(target)
    builder = Builder(id, target, config, render)
    native = _native(target, id, num_envs, config, render)
    if native is not None and config.drop:
        native.close()
        raise InputError(f"{id}: drop is for single environments, set vector='sync'")
    if native is not None and (native.seeded or games is None or not getattr(target, "entry_point", None)):
        return native, _facts(target, None, builder)
    if native is not None:  # it starts no game from a seed, but single environments do
        native.close()
        config = replace(config, vector="auto")
    first = builder()
    facts = _facts(target, first, builder)
    if (batch := _compiled(id, target, first, num_envs, config, render)) is not None:
        return batch, facts
    kept = config.vector == "sync" or (config.vector == "auto" and num_envs == 1)
    single = Single(first, 0, reset_options=config.reset_options)
    how = "sync" if kept else faster(single, num_envs) if config.vector == "auto" else config.vector
    makes: list[MakeEnv] = [builder] * num_envs
    if kept:
        makes[0] = lambda: first
    else:
        single.close()
    require_affordable(id, lambda: _started(builder, config), num_envs, WORKER_COST if how == "async" else (0.0, 0.0))
    vector = Workers if how == "async" else Serial
    with _naming(id):
        return vector(makes, bool(config.life_loss), config.reset_options), facts


def _compiled(
    id: str, target: Target, env: gymnasium.Env, num_envs: int, config: EnvConfig, render: bool
) -> Vector | None:
    """Classic control in one compiled loop; None for others, and if another way is asked for.

    env: one of the environments, which the result keeps. Raises `InputError` if it is asked for and cannot be, and for
    more environments than can be started.
    """
    asked = config.vector == "compiled"
    if not asked and config.vector != "auto":
        return None
    plain = isinstance(target, GymSpec) and not (target.additional_wrappers or target.kwargs)
    plain = plain and not (config.options or render)
    if plain and str(getattr(target, "entry_point", "")).startswith(CLASSIC):
        from envs.vector.classic import Classic, matches

        if matches(env):
            single = Single(env, 0, reset_options=config.reset_options)

            def restarted() -> ExitStack:
                single.reset(0)
                return ExitStack()  # nothing to close

            require_affordable(id, restarted, num_envs, ROW_COST, RESTART_PATIENCE)
            return Classic(env, num_envs, _time_limit(env), config.reset_options)
    if asked:
        raise InputError("vector='compiled' is for classic control without options and pictures: use 'auto'")
    return None


def _started(builder: Builder, config: EnvConfig) -> Single:
    single = Single(builder(), 0, reset_options=config.reset_options)
    single.reset(0)
    return single


def _native(target: Target, id: str, num_envs: int, config: EnvConfig, render: bool) -> Native | None:
    """The environment's own vector class if it is asked for, made by a factory, or of the arcade or board games.

    Raises `InputError` if it is needed and `drop` is set, which single environments know.
    """
    pictures = {"render_mode": "rgb_array"} if render else {}
    if not isinstance(target, GymSpec):
        if "num_envs" not in inspect.signature(target).parameters:
            if config.vector == "native":
                raise InputError(f"{id} is no vector environment: its factory takes no num_envs; use vector='auto'")
            return None
        vec = built(id, lambda: target(num_envs=num_envs, **pictures, **config.options))
        if not isinstance(vec, VectorEnv):
            raise InputError(f"{id} takes num_envs but gives {type(vec).__name__}, not a gymnasium VectorEnv")
        return Native(vec, num_envs, id, config.reset_options)
    if config.vector != "native" and not (config.vector == "auto" and target.namespace in ("Arcade", "Boards")):
        return None
    if target.vector_entry_point is None:
        raise InputError(f"{id} has no vector environment of its own: use vector='auto'")
    vec = built(
        id,
        lambda: gymnasium.make_vec(id, num_envs, vectorization_mode="vector_entry_point", **pictures, **config.options),
    )
    return Native(vec, num_envs, id, config.reset_options)


def _facts(target: Target, env: gymnasium.Env | None, builder: Builder) -> _Facts:
    gym_spec = target if isinstance(target, GymSpec) else getattr(env, "spec", None)
    meanings: tuple[str, ...] = ()
    if env is not None and hasattr(env.unwrapped, "get_action_meanings"):
        meanings = tuple(map(str, env.unwrapped.get_action_meanings()))
    model = None if env is None else known_model(env)
    if gym_spec is not None and gym_spec.namespace == "Boards":
        from envs.boards.model import BoardModel

        return _Facts(action_meanings=meanings, simulator=BoardModel(gym_spec.kwargs["game"]))
    simulator = simulator_of(env, gym_spec, model, builder)
    if gym_spec is None:
        return _Facts(max_episode_steps=_time_limit(env), action_meanings=meanings, model=model, simulator=simulator)
    limit = gym_spec.max_episode_steps or _time_limit(env)
    return _Facts("", gym_spec.reward_threshold, limit, meanings, model=model, simulator=simulator)


def _time_limit(env: gymnasium.Env | None) -> int | None:
    """The smallest limit that wrappers of the user's own set."""
    limits = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            limits.append(int(env._max_episode_steps))
        env = env.env
    return min(limits, default=None)
