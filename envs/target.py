"""What an environment's id names, and how one environment of it is built."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium
from gymnasium.envs.registration import EnvSpec as GymSpec
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import VectorEnv

from envs import atari
from envs.config import EnvConfig
from envs.headless import quieten
from envs.vector.single import user_line
from rl.errors import InputError, unknown
from rl.imports import import_named

Target: TypeAlias = GymSpec | Callable[..., Any]
"""A registered environment, or a class or function of the user's."""


def ids() -> list[str]:
    """Every id that `envs.make` knows without a `module:`, sorted; Atari's if ale-py is installed."""
    names: set[str] = set()
    with contextlib.suppress(InputError):  # ale-py, once it is imported, registers each game many times
        names = {f"ALE/{title}-v5" for title in atari.games()}
    return sorted(names | {id for id, found in gymnasium.registry.items() if "ale_py" not in str(found.entry_point)})


def target_of(id: str) -> Target:
    """The registered environment, or the class or function in the user's module, that `id` names.

    Raises `InputError` for an unknown id and for anything that makes no environments, which is never called.
    """
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
    except gymnasium.error.Error as error:
        raise _unknown(name, error) from None
    if str(found.entry_point).startswith("ale_py"):
        title = atari.title_of(found.kwargs["game"])
        raise InputError(f"{name!r} needs a named protocol: use 'ALE/{title}-v5'")
    return found


def _unknown(name: str, error: Exception) -> InputError:
    known = ids()
    if "/" in name and not any(id.startswith(f"{name.partition('/')[0]}/") for id in known):
        return InputError(f"unknown environment {name!r}: if a module of yours registers it, name both, module:{name}")
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.5):
        return InputError(f"unknown environment {name!r}: did you mean {near[0]!r}?")
    reason = str(error).splitlines()[0]
    return InputError(f"unknown environment {name!r} ({reason}): `rl list envs` shows the known ones")


def _require_factory(found: Any, id: str) -> None:
    """`InputError` unless `found` is an environment class or a user's function: nothing else is ever called."""
    if isinstance(found, type):
        if issubclass(found, gymnasium.Env | VectorEnv):
            return
        raise InputError(f"{id} is a class, but no subclass of gymnasium.Env or gymnasium.vector.VectorEnv")
    if not isinstance(found, types.FunctionType):
        raise InputError(f"{id} is neither an environment class nor a function that makes one: it is not called")
    if str(found.__module__).partition(".")[0] in sys.stdlib_module_names:
        raise InputError(f"{id} is a function of Python's standard library, which makes no environments")


def _import(name: str, id: str) -> Any:
    """The user's module, which may lie in the current folder."""
    try:
        return import_named(name)
    except ImportError as error:
        where = f"{name.partition('.')[0]}.py lies in this folder or its package is installed"
        mend = f": an environment of yours is module:Id, where {where}" if error.name == name.partition(".")[0] else ""
        raise InputError(f"{id}: importing {name!r} failed ({error}){mend}") from None


@dataclass(frozen=True)
class Builder:
    """Builds one environment. Worker processes receive it as it is."""

    id: str
    target: Target
    """Resolved already, because a worker process knows no id that the user's script registered."""
    config: EnvConfig
    render: bool

    def __call__(self) -> gymnasium.Env:
        env = built(self.id, self._made)
        limit = self.target.max_episode_steps if isinstance(self.target, GymSpec) else None
        if not isinstance(env, gymnasium.Env):
            raise InputError(f"{self.id} gives {type(env).__name__}, not a gymnasium Env")
        for name in ("observation_space", "action_space"):
            if not isinstance(getattr(env, name, None), gymnasium.Space):
                raise InputError(f"{self.id} has no {name} of gymnasium.spaces: it must say what it shows and takes")
        _refuse_statistics(env, self.id)
        max_steps = self.config.max_steps
        if max_steps is not None and (limit is None or max_steps < limit):
            env = gymnasium.wrappers.TimeLimit(env, max_steps)
        return _without(env, self.id, self.config.drop) if self.config.drop else env

    def _made(self) -> Any:
        target, options = self.target, self.config.options
        quieten(target)
        if isinstance(target, GymSpec):
            target = functools.partial(gymnasium.make, target, disable_env_checker=True)
        if self.render and _takes_render_mode(self.target):
            try:
                return target(**options, render_mode="rgb_array")
            except TypeError as error:  # it passes its arguments on to something that does not take this one
                if "'render_mode'" not in str(error):
                    raise
        return target(**options)  # it may still draw itself without the argument


def built(id: str, build: Callable[[], Any]) -> Any:
    """The result of `build`. Any error while an environment is made is bad input: one line."""
    try:
        return build()
    except InputError:
        raise
    except Exception as error:
        line = str(error).strip().splitlines()
        words = f"{line[0] if line else ''}{user_line(error)}"
        raise InputError(f"{id} cannot be made: {type(error).__name__}: {words}") from None


def _without(env: gymnasium.Env, id: str, names: Sequence[str]) -> gymnasium.Env:
    """`env` without some entries of its Dict observation. Raises `InputError` for a name that is no entry."""
    space = env.observation_space
    if not isinstance(space, gymnasium.spaces.Dict):
        raise InputError(f"{id}: drop leaves out entries of a Dict observation, this one is a {type(space).__name__}")
    for name in names:
        if name not in space.spaces:
            raise unknown(f"entry of the observation of {id}", name, list(space.spaces))
    kept = [name for name in space.spaces if name not in names]
    if not kept:
        raise InputError(f"{id}: drop leaves nothing of the observation, its entries are {', '.join(space.spaces)}")
    return gymnasium.wrappers.FilterObservation(env, kept)


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
                f"normalise, --set {fields[name]}=true"
            )
        env = env.env


def _takes_render_mode(target: Target) -> bool:
    """Whether the constructor has that parameter; a registered one may pass any keyword argument on."""
    builds = target.entry_point if isinstance(target, GymSpec) else target
    if isinstance(builds, str):
        builds = load_env_creator(builds)
    if builds is None:  # it has a vector environment only
        return True
    parameters = inspect.signature(builds).parameters.values()
    passes_on = isinstance(target, GymSpec) and any(p.kind is p.VAR_KEYWORD for p in parameters)
    return passes_on or any(p.name == "render_mode" for p in parameters)
