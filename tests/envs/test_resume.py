"""Exact resume of environments: seeds, replayed actions, bit-equal observations."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

import envs
from envs.config import EnvConfig
from rl.errors import InputError

STICKY = {"repeat_action_probability": 0.25}


def act(env, rng):
    spec = env.spec.action
    if spec.kind == "box":
        return rng.uniform(-1, 1, (env.num_envs, spec.size)).astype(np.float32)
    actions = rng.integers(spec.nvec, size=(env.num_envs, spec.size))
    return actions[:, 0] if spec.kind == "discrete" else actions


def assert_equal_rows(a, b):
    for name in ("action", "reward", "discount", "first", "last", "mask"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None and right is None) or np.array_equal(left, right), name
    for name in a.obs:
        assert a.obs[name].tobytes() == b.obs[name].tobytes() and a.obs[name].dtype == b.obs[name].dtype
    for name in ("seed", "episode", "lives"):
        assert np.array_equal(a.info.get(name), b.info.get(name))


def round_trip(state):
    """Through JSON, arrays apart, as a checkpoint does."""
    arrays = []

    def strip(value):
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items()}
        return [strip(item) for item in value] if isinstance(value, list | tuple) else value

    def fill(value):
        if isinstance(value, dict):
            return (
                arrays[value["array"]] if set(value) == {"array"} else {key: fill(item) for key, item in value.items()}
            )
        return [fill(item) for item in value] if isinstance(value, list) else value

    return fill(json.loads(json.dumps(strip(state))))


def cut_and_compare(id, num_envs, config, cuts, after=40, seed=7):
    """Steps to each cut, restores into a second environment, and steps both on beside each other."""
    rng = np.random.default_rng(1)
    with envs.make(id, num_envs=num_envs, seed=seed, config=config) as env:
        row = env.reset()
        steps = 0
        for cut in cuts:
            for _ in range(cut - steps):
                row = env.step(act(env, rng))
            steps = cut
            with envs.make(id, num_envs=num_envs, seed=seed, config=config) as other:
                restored = other.load_state_dict(round_trip(env.state_dict()))
                assert other.resume_level == "exact"
                assert_equal_rows(row, restored)
                for _ in range(after):
                    action = act(env, rng)
                    row = env.step(action)
                    assert_equal_rows(row, other.step(action))
                steps += after


@pytest.mark.parametrize("id", ["CartPole-v1", "LunarLander-v3", "Taxi-v4", "Pendulum-v1"])
@pytest.mark.parametrize("num_envs", [1, 4, 8])
def test_sync_environments_resume_to_the_bit(id, num_envs):
    cut_and_compare(id, num_envs, EnvConfig(vector="sync"), cuts=[0, 1, 23, 150, 333])


@pytest.mark.parametrize("id", ["CartPole-v1", "LunarLander-v3", "Taxi-v4"])
def test_async_environments_resume_to_the_bit(id):
    cut_and_compare(id, 4, EnvConfig(vector="async"), cuts=[1, 111])


def test_a_long_episode_resumes_to_the_bit_beside_short_ones():
    """Every 1,024 slots the stream forgets actions that no episode needs any more."""
    config = EnvConfig(vector="sync", options={"length": 2000, "random": True})
    with envs.make("Probe/Counting-v0", num_envs=4, config=config) as env:
        env.reset()
        for _ in range(2060):
            row = env.step(np.zeros(4, np.int64))
        clocks = row.obs["obs"][:, 1]
        assert clocks.max() > 1024 > 500 > clocks.min()
        with envs.make("Probe/Counting-v0", num_envs=4, config=config) as other:
            assert_equal_rows(row, other.load_state_dict(env.state_dict()))
            assert other.resume_level == "exact"
            assert len(other.state_dict()["actions"][0]) == clocks[0]


@pytest.mark.parametrize("num_envs", [1, 4])
def test_pong_with_sticky_actions_resumes_to_the_bit(num_envs):
    cut_and_compare("ALE/Pong-v5", num_envs, EnvConfig(options=STICKY), cuts=[57], after=20)


@pytest.mark.parametrize("cut", [69, 70, 71])
def test_breakout_resumes_across_ends_of_games_with_its_lives(cut):
    cut_and_compare("ALE/Breakout-v5", 1, EnvConfig(protocol="dopamine", max_steps=70), cuts=[cut], after=5)


@pytest.mark.full
@pytest.mark.parametrize("num_envs", [1, 4, 8])
@pytest.mark.parametrize("id", ["CartPole-v1", "LunarLander-v3", "Taxi-v4", "ALE/Pong-v5"])
def test_twenty_cuts_in_every_vectoriser(id, num_envs):
    cuts = sorted(np.random.default_rng(num_envs).choice(2500, 20, replace=False).tolist())
    cuts = [cut + 60 * k for k, cut in enumerate(cuts)]
    if id.startswith("ALE/"):
        cut_and_compare(id, num_envs, EnvConfig(options=STICKY), cuts[:5], after=20)
    else:
        cut_and_compare(id, num_envs, EnvConfig(vector="sync"), cuts)
        cut_and_compare(id, num_envs, EnvConfig(vector="async"), cuts[:4])


def test_flicker_masks_and_lives_resume_too():
    cut_and_compare("Pendulum-v1", 3, EnvConfig(vector="sync", flicker=0.5), cuts=[5, 50, 210])
    cut_and_compare("Probe/MaskInfo-v0", 1, EnvConfig(options={"length": 30}), cuts=[0], after=0)
    cut_and_compare("Probe/Lives-v0", 2, EnvConfig(vector="sync", life_loss=True), cuts=[3, 4, 12, 13])


def test_seeds_go_on_after_a_resume_and_never_repeat():
    """T20: 1,000 episode starts are distinct across a resume."""
    config = EnvConfig(options={"length": 1})
    env = envs.make("Probe/Counting-v0", config=config)
    row, seeds = env.reset(), []
    for k in range(2000):
        if row.first[0]:
            seeds.append(int(row.info["seed"][0]))
        if k == 999:
            state = env.state_dict()
            env = envs.make("Probe/Counting-v0", config=config)
            env.load_state_dict(state)
        row = env.step(np.zeros(1, np.int64))
    assert len(seeds) == len(set(seeds)) == 1000


def test_an_evaluation_resumes_with_its_list():
    with envs.make("CartPole-v1", num_envs=2, games=5, config=EnvConfig(vector="sync")) as env:
        env.reset()
        for _ in range(15):
            row = env.step(np.zeros(2, np.int64))
        with envs.make("CartPole-v1", num_envs=2, games=5, config=EnvConfig(vector="sync")) as other:
            restored = other.load_state_dict(env.state_dict())
            assert_equal_rows(row, restored)
            assert (restored.info["game"] == row.info["game"]).all()
            assert_equal_rows(env.step(np.ones(2, np.int64)), other.step(np.ones(2, np.int64)))


def test_what_cannot_be_replayed_starts_a_new_episode_and_says_so(caplog):
    """An environment whose course does not follow from its seed: the others resume exactly all the same."""
    with envs.make("tests.envs.strange:Unseeded", num_envs=3, config=EnvConfig(vector="sync")) as env:
        env.reset()
        for _ in range(4):
            row = env.step(np.zeros(3, np.int64))
        state = env.state_dict()
    with envs.make("tests.envs.strange:Unseeded", num_envs=3, config=EnvConfig(vector="sync")) as other:
        with caplog.at_level(logging.WARNING):
            restored = other.load_state_dict(state)
        assert other.resume_level == "episode"
        assert restored.last.all() and (restored.obs["obs"] == row.obs["obs"]).all()
        assert (restored.discount == 1).all() and restored.info["episode"].tolist() == [0, 0, 0]
        assert [record.message for record in caplog.records] == [
            "tests.envs.strange:Unseeded: 3 of 3 environments could not be restored exactly; "
            "each starts a new episode (episode-exact)"
        ]
        started = other.step(np.zeros(3, np.int64))
        assert started.first.all() and (started.reward == 0).all() and (started.discount == 0).all()
        assert started.info["episode"].tolist() == [1, 1, 1]
        assert not other.step(np.zeros(3, np.int64)).first.any()


def test_a_game_that_cannot_be_replayed_is_played_again():
    config = EnvConfig(vector="sync", max_steps=5)
    with envs.make("tests.envs.strange:Unseeded", num_envs=2, games=4, config=config) as env:
        env.reset()
        for _ in range(8):
            row = env.step(np.zeros(2, np.int64))
        state = env.state_dict()
    with envs.make("tests.envs.strange:Unseeded", num_envs=2, games=4, config=config) as other:
        other.load_state_dict(state)
        assert other.resume_level == "episode" and row.info["game"].tolist() == [2, 3]
        rows = [other.step(np.zeros(2, np.int64)) for _ in range(7)]
    assert rows[0].first.all() and all((row.info["game"] == [2, 3]).all() for row in rows[:6])
    assert rows[5].last.all() and (rows[6].info["game"] < 0).all()


def test_only_the_environment_that_differs_is_restarted(caplog):
    config = EnvConfig(vector="sync")
    with envs.make("CartPole-v1", num_envs=3, config=config) as env:
        env.reset()
        for _ in range(5):
            row = env.step(np.zeros(3, np.int64))
        state = env.state_dict()
    state["row"]["obs"] = {"obs": state["row"]["obs"]["obs"].copy()}
    state["row"]["obs"]["obs"][1, 2] += 1e-6
    with envs.make("CartPole-v1", num_envs=3, config=config) as other:
        restored = other.load_state_dict(state)
        assert restored.last.tolist() == [False, True, False] and not restored.first.any()
        assert (restored.obs["obs"][[0, 2]] == row.obs["obs"][[0, 2]]).all()
        after = other.step(np.ones(3, np.int64))
        assert after.first.tolist() == [False, True, False] and after.info["episode"].tolist() == [0, 1, 0]
        assert [len(actions) for actions in other.state_dict()["actions"]] == [6, 0, 6]


def test_the_state_of_another_environment_is_refused():
    state = envs.make("CartPole-v1").state_dict()
    with pytest.raises(InputError, match="the saved state is of 1 x CartPole-v1, not of 2 x CartPole-v1"):
        envs.make("CartPole-v1", num_envs=2).load_state_dict(state)


def test_old_actions_are_forgotten_once_no_living_episode_needs_them():
    env = envs.make("CartPole-v1")
    env.reset()
    for _ in range(5000):
        env.step(np.zeros(1, np.int64))
    assert len(env._history) < 1100
    assert len(env.state_dict()["actions"][0]) < 15
