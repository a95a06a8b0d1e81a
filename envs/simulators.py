"""Copies of environments for agents that plan: the simulators (`rl.search.model.Model`) for one player.

A simulator reads the states of live environments and plays on from them. All its chance comes from the generator that
the search passes in: a copy that kept the environment's own generator would show the search the real future.
"""

from __future__ import annotations

import copy
import random
import time
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec as GymSpec
from gymnasium.wrappers import TimeLimit

from envs.exact import CLASSIC, KnownModel, is_plain
from rl.errors import InputError
from rl.tables import TableModel

SLOW = 0.05
"""Seconds of processor time that a copy and some steps may take."""
ENDLESS = 1 << 40

Outcome = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""New states [N], reward float32 [N], ended bool [N], key int64 [N]."""


def simulator_of(
    env: gymnasium.Env | None, spec: GymSpec | None, model: KnownModel | None, build: Callable[[], gymnasium.Env]
) -> Any:
    """The simulator of an environment with discrete actions; None if there is none."""
    if spec is not None and spec.namespace == "Arcade":
        return ArcadeSimulator(build)
    if env is None or not isinstance(env.action_space, gymnasium.spaces.Discrete):
        return None
    return CopySimulator(env, build) if model is None else TableSimulator(model, int(env.action_space.n))


def steps_left(env: gymnasium.Env) -> int:
    """Steps until a `TimeLimit` around the environment ends the episode."""
    left = ENDLESS
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            left = min(left, int(env._max_episode_steps) - int(env._elapsed_steps or 0))
        env = env.env
    return left


class Outcomes(NamedTuple):
    """What an action in a state may lead to, one entry an outcome, in plain lists: rollouts read single numbers."""

    until: list[float]  # cumulated probability
    after: list[int]
    reward: list[float]
    over: list[bool]


class TableSimulator:
    """An environment with an exact model as a table. A state is its number and the steps that are left."""

    players = 1

    def __init__(self, model: KnownModel, num_actions: int) -> None:
        self._model, self.num_actions = model, num_actions

    def require(self) -> None:
        """Every table can be copied."""

    @cached_property
    def _outcomes(self) -> list[Outcomes]:
        table: TableModel = self._model.table
        order = np.argsort(table.pair, kind="stable")
        ends = np.searchsorted(table.pair[order], np.arange(table.states * table.actions + 1))
        found = []
        for low, high in pairwise(ends):
            rows = order[low:high]
            over = (table.discount[rows] == 0).tolist()
            until = np.cumsum(table.probability[rows])
            until[-1:] = np.inf  # rounding leaves no gap
            found.append(Outcomes(until.tolist(), table.next_state[rows].tolist(), table.reward[rows].tolist(), over))
        return found

    @cached_property
    def stochastic(self) -> bool:
        return any(len(x.until) > 1 for x in self._outcomes)

    def read(self, envs: list[gymnasium.Env], mask: np.ndarray | None) -> np.ndarray:
        """int64 [N] pairs: the states that the environments are in, and the steps left."""
        rows = [(self._model.state(env.unwrapped), steps_left(env)) for env in envs]
        return np.array(rows, [("state", np.int64), ("left", np.int64)])

    def legal(self, states: np.ndarray) -> np.ndarray:
        mask = self._model.table.mask
        return np.ones((len(states), self.num_actions), bool) if mask is None else mask[states["state"]]

    def advance(self, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator | None) -> Outcome:
        draws = [0.0] * len(states) if rng is None else rng.random(len(states)).tolist()
        pairs = (states["state"] * self.num_actions + actions).tolist()
        rows = [self._outcomes[pair] for pair in pairs]
        which = [bisect_right(row.until, u) for row, u in zip(rows, draws, strict=True)]
        new = states.copy()
        new["state"] = [row.after[k] for row, k in zip(rows, which, strict=True)]
        new["left"] -= 1
        over = np.array([row.over[k] for row, k in zip(rows, which, strict=True)]) | (new["left"] <= 0)
        reward = np.array([row.reward[k] for row, k in zip(rows, which, strict=True)], np.float32)
        return new, reward, over, np.array(which, np.int64)

    def rollout(self, states: np.ndarray, rng: np.random.Generator, how: Any) -> np.ndarray:
        return np.array([self._one(int(s), int(left), rng, how) for s, left in states.tolist()], np.float32)

    def _one(self, state: int, left: int, rng: np.random.Generator, how: Any) -> float:
        steps, mask = min(left, how.steps), self._model.table.mask
        total, weight, held, action = 0.0, 1.0, 0, 0
        for pick, luck, hold in rng.random((steps, 3)).tolist():
            if held == 0 or (mask is not None and not mask[state, action]):
                choices = range(self.num_actions) if mask is None else np.flatnonzero(mask[state]).tolist()
                held, action = 1 + int(hold * how.hold), choices[int(pick * len(choices))]
            held -= 1
            row = self._outcomes[state * self.num_actions + action]
            k = bisect_right(row.until, luck)
            total, weight = total + weight * row.reward[k], weight * how.gamma
            if row.over[k]:
                break
            state = row.after[k]
        return total


class ArcadeSimulator:
    """An arcade game: its states are rows of the compiled games. Outcomes are told apart by what they show."""

    players = 1
    stochastic = True  # sticky actions, and what appears on the board

    def __init__(self, build: Callable[[], gymnasium.Env]) -> None:
        self._build = build
        self._sized: dict[int, Any] = {}

    @cached_property
    def _games(self) -> Any:
        env: Any = self._build()
        games = env.unwrapped.games
        games.limit = min(games.limit, steps_left(env))
        return games

    @property
    def num_actions(self) -> int:
        return int(self._games.actions)

    def require(self) -> None:
        """Every arcade game can be copied."""

    def read(self, envs: Any, mask: np.ndarray | None) -> np.ndarray:
        rows = [env.unwrapped.games.rows for env in envs] if isinstance(envs, list) else [envs.unwrapped.games.rows]
        return np.concatenate(rows)

    def legal(self, states: np.ndarray) -> np.ndarray:
        return np.repeat(~states["ended"][:, None], self.num_actions, axis=1)

    def advance(self, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator | None) -> Outcome:
        games = self._sized.get(len(states))
        if games is None:
            games = self._sized[len(states)] = copy.copy(self._games)
            games.num = len(states)
        games.rows = _reseeded(states, rng)
        _, boards, reward, terminated, truncated = games.advance(np.asarray(actions, np.int64), False)
        ended = terminated | truncated
        shown = zip(boards, reward.tolist(), ended.tolist(), strict=True)
        keys = [hash((board.tobytes(), *rest)) for board, *rest in shown]
        return games.rows, reward.astype(np.float32), ended, np.array(keys, np.int64)

    def rollout(self, states: np.ndarray, rng: np.random.Generator, how: Any) -> np.ndarray:
        games, value = self._games, np.zeros(len(states))
        options = (games.codes, games.ramping, games.sticky, games.limit, how.gamma, how.steps, how.hold)
        games.kernels.rollout(_reseeded(states, rng), *options, value)
        return value.astype(np.float32)


def _reseeded(states: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    rows = states.copy()
    if rng is not None:
        rows["rng"] = rng.integers(1, 1 << 62, len(rows), np.uint64)
    return rows


class _Copy(NamedTuple):
    env: gymnasium.Env
    legal: np.ndarray | None  # bool [A]; None if all are


class CopySimulator:
    """Any other environment: its states are deep copies of it, made by `copy.deepcopy`."""

    players = 1

    def __init__(self, env: gymnasium.Env, build: Callable[[], gymnasium.Env]) -> None:
        space: Any = env.action_space
        self._build, self.num_actions, self._start = build, int(space.n), int(space.start)
        # classic control has no chance if no wrapper adds some: the search needs to draw no outcomes
        self.stochastic = not (is_plain(env) and type(env.unwrapped).__module__.startswith(CLASSIC))

    def require(self) -> None:
        """Raises `InputError` if a copy fails, differs from the original, changes it, or takes too long."""
        env = self._build()
        try:
            env.reset(seed=0)
            begun = time.process_time()
            twice = [_stepped(_copied(env, np.random.default_rng(0)), self._start) for _ in range(2)]
            spent = (time.process_time() - begun) / 2
            again = _stepped(_copied(env, np.random.default_rng(0)), self._start)
        except Exception as error:  # whatever a foreign environment raises when it is copied
            cause = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
            raise InputError(f"it cannot be copied ({cause})") from None
        finally:
            env.close()
        if not twice[0] == twice[1] == again:
            raise InputError("two copies of it play differently: it draws without its own np_random or shares a state")
        if spent > SLOW:
            raise InputError(f"a copy of it takes {spent:.2g} s, a search needs hundreds")

    def read(self, envs: list[gymnasium.Env], mask: np.ndarray | None) -> np.ndarray:
        rng = np.random.default_rng(0)  # replaced when the copy is advanced
        return _objects([_Copy(_copied(env, rng), None if mask is None else mask[i]) for i, env in enumerate(envs)])

    def legal(self, states: np.ndarray) -> np.ndarray:
        every = np.ones(self.num_actions, bool)
        return np.array([every if state.legal is None else state.legal for state in states])

    def advance(self, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator | None) -> Outcome:
        chance = np.random.default_rng(0) if rng is None else rng
        new, rewards, ends, keys = [], [], [], []
        for state, action in zip(states, actions.tolist(), strict=True):
            env = _copied(state.env, chance)
            obs, reward, terminated, truncated, info = env.step(self._start + action)
            new.append(_Copy(env, _mask(info)))
            rewards.append(float(reward))
            ends.append(bool(terminated or truncated))
            keys.append(hash((_bytes(obs), rewards[-1], ends[-1])))
        return _objects(new), np.array(rewards, np.float32), np.array(ends), np.array(keys, np.int64)

    def rollout(self, states: np.ndarray, rng: np.random.Generator, how: Any) -> np.ndarray:
        return np.array([self._one(state, rng, how) for state in states], np.float32)

    def _one(self, state: _Copy, rng: np.random.Generator, how: Any) -> float:
        env, legal = _copied(state.env, rng), state.legal
        total, weight, held, action = 0.0, 1.0, 0, 0
        for pick, hold in rng.random((how.steps, 2)).tolist():
            if held == 0 or (legal is not None and not legal[action]):
                choices = range(self.num_actions) if legal is None else np.flatnonzero(legal).tolist()
                held, action = 1 + int(hold * how.hold), choices[int(pick * len(choices))]
            held -= 1
            _, reward, terminated, truncated, info = env.step(self._start + action)
            total, weight = total + weight * float(reward), weight * how.gamma
            if terminated or truncated:
                break
            legal = _mask(info)
        return total


def _objects(items: list[Any]) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = [None] * len(items)
    for i, item in enumerate(items):
        array[i] = item
    return array


def _mask(info: dict[str, Any]) -> np.ndarray | None:
    mask = info.get("action_mask")
    return None if mask is None else np.asarray(mask) != 0


def _copied(env: gymnasium.Env, rng: np.random.Generator) -> gymnasium.Env:
    """A deep copy with its wrappers, that draws from `rng`. Spaces, specs and pictures are shared.

    Generators beside `np_random` are copied and seeded anew by `rng`.
    """
    memo: dict[int, Any] = {}
    layer: Any = env
    while layer is not None:
        for name, value in vars(layer).items():
            if name == "_np_random" and value is not None:
                memo[id(value)] = rng
            elif isinstance(value, gymnasium.Space | GymSpec) or type(value).__module__.startswith("pygame"):
                memo[id(value)] = value
        layer = layer.env if isinstance(layer, gymnasium.Wrapper) else None
    copied = copy.deepcopy(env, memo)
    for value in list(memo.values()):
        if isinstance(value, np.random.BitGenerator):
            value.state = type(value)(int(rng.integers(1 << 62))).state
        elif isinstance(value, random.Random):
            value.seed(int(rng.integers(1 << 62)))
    copied.unwrapped.render_mode = None
    return copied


def _stepped(env: gymnasium.Env, start: int) -> list[Any]:
    """What the first actions lead to."""
    shown = []
    for _ in range(5):
        obs, reward, terminated, truncated, _ = env.step(start)
        shown.append((_bytes(obs), float(reward), bool(terminated), bool(truncated)))
        if terminated or truncated:
            break
    return shown


def _bytes(obs: Any) -> bytes:
    if isinstance(obs, dict):
        return b"".join(_bytes(value) for value in obs.values())
    if isinstance(obs, tuple):
        return b"".join(map(_bytes, obs))
    return np.asarray(obs).tobytes()
