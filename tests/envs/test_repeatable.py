"""Before a training: does a seed give the same episode after other games were played?"""

from __future__ import annotations

import logging
import time

import gymnasium
import numpy as np
import pytest

import envs
from envs.config import EnvConfig
from runs import train
from tests.envs.faulty import Game

HERE = __name__


class Seeded(Game):
    """What an episode shows and pays follows from its seed."""

    def reset(self, **kwargs):
        _, info = super().reset(**kwargs)
        self.start = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.start, info

    def step(self, action):
        _, reward, *others = super().step(action)
        return self.start, reward + float(self.start[0]), *others


class Centred(gymnasium.ObservationWrapper):
    """Subtracts the running mean of all observations so far."""

    def __init__(self):
        super().__init__(Seeded())
        self.total, self.count = np.zeros(2, np.float32), 0

    def observation(self, observation):
        self.total, self.count = self.total + observation, self.count + 1
        return observation - self.total / self.count


class Scaled(gymnasium.RewardWrapper):
    """Divides rewards by the largest one so far. Observations are the game's own."""

    def __init__(self):
        super().__init__(Seeded())
        self.largest = 0.0

    def reward(self, reward):
        self.largest = max(self.largest, abs(reward))
        return reward / self.largest


class Harder(Seeded):
    """Each episode starts closer to the edge than the one before it."""

    episodes = 0

    def reset(self, **kwargs):
        self.episodes += 1
        observation, info = super().reset(**kwargs)
        return observation * (1 - 1 / (1 + self.episodes)), info


class Unseeded(Game):
    """Draws from a generator that no reset seeds."""

    generator = np.random.default_rng()

    def reset(self, **kwargs):
        _, info = super().reset(**kwargs)
        return self.generator.uniform(-1, 1, 2).astype(np.float32), info


class SlowToMake(Centred):
    def __init__(self):
        super().__init__()
        time.sleep(0.2)


SAID = f"{HERE}:%s: the same seed gives another episode after other games"


@pytest.mark.parametrize("name", ["Centred", "Scaled", "Harder", "Unseeded"])
@pytest.mark.parametrize("vector", ["auto", "async"])
def test_a_state_that_outlives_the_episode_is_one_line(name, vector, caplog):
    with caplog.at_level(logging.WARNING):
        envs.spec(f"{HERE}:{name}", EnvConfig(vector=vector), tried=True)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(SAID % name)


@pytest.mark.parametrize("id", [f"{HERE}:Seeded", "CartPole-v1", "Taxi-v4", "LunarLander-v3", "Probe/NotFinite-v0"])
def test_an_environment_that_its_seeds_determine_is_silent(id, caplog):
    options = {"where": "reward"} if "NotFinite" in id else {}
    with caplog.at_level(logging.WARNING):
        envs.spec(id, EnvConfig(options=options), tried=True)
    assert not caplog.messages


def test_an_environment_that_is_slow_to_make_is_not_tried(caplog, monkeypatch):
    monkeypatch.setattr("envs.factory.QUICK", 0.1)
    with caplog.at_level(logging.WARNING):
        envs.spec(f"{HERE}:SlowToMake", tried=True)
        assert not caplog.messages
        envs.spec(f"{HERE}:Harder", tried=True)
    assert len(caplog.messages) == 1


def test_a_training_says_it_once_and_goes_on(tmp_path, caplog):
    settings = ["rollout=20", "eval_episodes=1", "vector=sync"]
    with caplog.at_level(logging.WARNING):
        score = train(f"{HERE}:Centred", agent="ppo", steps=60, num_envs=2, settings=settings, out=tmp_path / "run")
    assert score["steps"] == 60
    assert [message for message in caplog.messages if "another episode" in message] == [caplog.messages[0]]
