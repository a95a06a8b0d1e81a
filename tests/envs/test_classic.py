"""Classic control compiled over the batch: Gymnasium's bits from any state, over episodes, trainings and resumes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from agents.ppo import PPOConfig
from envs.config import EnvConfig
from envs.spaces import random_actions
from envs.vector import classic
from rl.checkpoint import load_tree, newest_good
from rl.errors import InputError, RunError
from rl.interface import TimeStep
from rl.networks import NetConfig
from runs import train
from runs.recipe import Run

IDS = ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")
SPREAD = {"CartPole-v1": (1, 2, 0.15, 2), "Acrobot-v1": (2, 2, 6, 12), "Pendulum-v1": (9, 4)}
tasks = pytest.mark.parametrize("id", IDS)


def make(id: str, vector: Any, num_envs: int = 8, **fields: Any) -> Any:
    config = {name: fields.pop(name) for name in ("max_steps", "options", "reset_options") if name in fields}
    return envs.make(id, num_envs=num_envs, seed=5, config=EnvConfig(vector=vector, **config), **fields)


def rows(env: Any, slots: int) -> list[TimeStep]:
    rng = np.random.default_rng(1)
    acts = [random_actions(env.spec.action, env.num_envs, None, rng) for _ in range(slots)]
    return [env.reset(), *(env.step(action) for action in acts)]


def equal(a: TimeStep, b: TimeStep) -> bool:
    pairs = [(a.obs[name], b.obs[name]) for name in a.obs] + [(a.exact_reward, b.exact_reward)]
    pairs += [(getattr(a, name), getattr(b, name)) for name in ("action", "reward", "discount", "first", "last")]
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in pairs)


@pytest.mark.parametrize("n", [500, pytest.param(10_000, marks=pytest.mark.full)])
@tasks
def test_one_step_from_each_of_many_random_states_gives_gymnasiums_bits(id: str, n: int) -> None:
    env, rng = gymnasium.make(id), np.random.default_rng(n)
    theirs: Any = env.unwrapped
    theirs.reset(seed=0)
    state = rng.normal(size=(n, len(theirs.state))) * SPREAD.get(id, (0.5, 0.05))
    if id == "MountainCarContinuous-v0":
        state = state.astype(np.float32)
    action = rng.integers(env.action_space.n, size=n) if hasattr(env.action_space, "n") else None  # type: ignore
    if action is None:  # beyond the bounds as well
        action = (rng.normal(size=(n, 1)) * env.action_space.high).astype(np.float32)  # type: ignore[attr-defined]
    ours = classic.Classic(env, n)
    ours._state[:, : state.shape[1]], ours._elapsed[:] = state, 1
    found = ours.step(action, {})
    for i in range(n):
        theirs.state, theirs.steps_beyond_terminated = state[i], None
        obs, reward, terminated, _, _ = theirs.step(action[i])
        assert obs.tobytes() == ours._obs[i].tobytes(), (state[i], action[i])
        assert (reward, terminated) == (found.reward[i], found.terminated[i])
        assert np.array_equal(theirs.state, ours._state[i, : state.shape[1]])


@tasks
def test_whole_episodes_have_the_rows_of_gymnasiums_environments(id: str) -> None:
    with make(id, "sync") as theirs, make(id, "auto") as ours:
        assert (theirs.spec.options["vector"], ours.spec.options["vector"]) == ("sync", "compiled")
        assert dataclasses.replace(ours.spec, options={}) == dataclasses.replace(theirs.spec, options={})
        for a, b in zip(rows(theirs, 530), rows(ours, 530), strict=True):
            assert equal(a, b)
        assert b.first.any() or b.discount.all()


@pytest.mark.parametrize("fields", [{"games": 11, "max_steps": 30}, {"max_steps": 7}, {"first": 3}])
def test_an_evaluations_games_and_the_limit_of_steps_are_the_same(fields: dict[str, Any]) -> None:
    with make("CartPole-v1", "sync", **fields) as theirs, make("CartPole-v1", "compiled", **fields) as ours:
        for a, b in zip(rows(theirs, 90), rows(ours, 90), strict=True):
            assert equal(a, b) and np.array_equal(a.info.get("game", 0), b.info.get("game", 0))


def test_reset_options_reach_every_episode() -> None:
    fields = {"reset_options": {"low": -0.01, "high": 0.01}}
    with make("CartPole-v1", "compiled", **fields) as env:
        first = [row for row in rows(env, 60) if row.first.any()]
        assert len(first) > 3 and all(np.abs(row.obs["obs"][row.first]).max() <= 0.01 for row in first)


@pytest.mark.parametrize(("before", "after"), [("sync", "compiled"), ("compiled", "sync")])
def test_a_state_that_one_kind_saved_continues_in_the_other(before: str, after: str) -> None:
    with make("Pendulum-v1", before) as one, make("Pendulum-v1", after) as two:
        rows(one, 210)
        two.load_state_dict(one.state_dict())
        assert two.resume_level == "exact"
        action = np.ones((8, 1), np.float32)
        assert equal(one.step(action), two.step(action))


def test_a_training_learns_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    agent = PPOConfig(net=NetConfig(hidden=(16,)), rollout=32, minibatch_size=64, epochs=2)
    found = []
    for vector in ("sync", "auto"):
        run = Run("CartPole-v1", agent=agent, steps=3_000, num_envs=8, eval_every=0, eval_episodes=8, save_every=0)
        run = dataclasses.replace(run, env_config=EnvConfig(vector=vector))  # type: ignore[arg-type]
        result = train(run, out=tmp_path / vector)
        weights = load_tree(newest_good(tmp_path / vector)[0], "agent")["network"]
        found.append((result["returns"], {name: x.numpy().tobytes() for name, x in weights.items()}))
    assert found[0] == found[1]


def test_what_the_rules_do_not_cover_is_stepped_by_gymnasium() -> None:
    for fields in ({"options": {"sutton_barto_reward": True}}, {"render": True}):
        with make("CartPole-v1", "auto", **fields) as env:
            assert env.spec.options["vector"] != "compiled"
        with pytest.raises(InputError, match="'compiled' is for classic control without options and pictures"):
            make("CartPole-v1", "compiled", **fields)
    with make("CartPole-v1", "auto", 1) as env:
        assert env.spec.options["vector"] == "compiled"
    with pytest.raises(InputError, match="'compiled' is for classic control"):
        make("Taxi-v4", "compiled")


@pytest.mark.parametrize("field", ["gravity", "force_mag", "x_threshold"])
def test_another_physics_is_noticed_before_the_compiled_rules_are_used(field: str) -> None:
    env = gymnasium.make("CartPole-v1")
    assert classic.matches(env)
    setattr(env.unwrapped, field, np.nextafter(getattr(env.unwrapped, field), 0) if field == "gravity" else 1.0)
    assert not classic.matches(env)


def test_an_action_that_does_not_exist_ends_in_one_line() -> None:
    with make("Acrobot-v1", "compiled") as env:
        env.reset()
        with pytest.raises(RunError, match="Acrobot-v1: environment 2 got the action 3, it takes 0 to 2"):
            env.step(np.array([0, 1, 3, 0, 0, 0, 0, 0]))
