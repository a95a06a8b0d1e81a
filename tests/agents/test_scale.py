"""Warnings about settings that cannot work for an action space or a reward scale."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import agents
from agents.a2c import A2CConfig
from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from agents.r2d2 import R2D2Config
from envs.spaces import action_cast
from rl.distributions import PolicyConfig
from rl.interface import EnvSpec
from rl.networks import NetConfig
from tests.agents.worlds import TABLE, row


@pytest.mark.parametrize("config", [PPOConfig, A2CConfig])
@pytest.mark.parametrize(
    ("low", "high", "policy", "warned"),
    [
        (0.0, 1000.0, PolicyConfig(), True),
        (0.0, 1000.0, PolicyConfig(squash=True), False),
        (0.0, 1000.0, PolicyConfig(log_std=5.0), False),
        (50.0, 51.0, PolicyConfig(), True),
        (-1e-4, 1e-4, PolicyConfig(), True),
        (-2.0, 2.0, PolicyConfig(), False),
        (0.0, 1.0, PolicyConfig(), False),
        (-np.inf, np.inf, PolicyConfig(), False),
    ],
)
def test_a_box_that_an_untrained_policy_does_not_suit_is_named(
    config: Any, low: float, high: float, policy: PolicyConfig, warned: bool
) -> None:
    action, _ = action_cast(spaces.Box(low, high, (2,), np.float64))
    agent = agents.build(config(policy=policy), EnvSpec("B-v0", TABLE.obs, action), num_envs=1, seed=0)
    lines = agent.setting_warnings()
    assert bool(lines) == warned and all("set policy.squash=true" in line for line in lines)


@pytest.mark.parametrize(
    ("config", "reward", "words"),
    [
        (C51Config(), 3.0, "c51: a discounted return of 11.82 lies outside the support, -10 to 10"),
        (C51Config(v_max=50.0), 3.0, ""),
        (C51Config(reward_clip=1.0, v_max=20.0), 1e7, ""),
        (DQNConfig(), 1e7, "dqn: discounted returns reach .* set normalize_return=True"),
        (DQNConfig(reward_clip=1.0), 1e7, ""),
        (DQNConfig(normalize_return=True), 1e7, ""),
        (C51Config(normalize_return=True), 1e7, ""),
        (PQNConfig(minibatches=1), 1e7, "pqn: discounted returns reach .* set normalize_return=True"),
        (PPOConfig(), -1e7, "ppo: discounted returns reach .* set normalize_return=True"),
        (PPOConfig(normalize_return=True), 1e7, ""),
        (R2D2Config(net=NetConfig(core="gru", core_size=4)), 1e7, ""),
        (DQNConfig(), 1.0, ""),
    ],
)
def test_rewards_that_the_settings_do_not_suit_are_named_once(
    config: Any, reward: float, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = agents.build(config, TABLE, num_envs=1, seed=0)
    agent.observe(row(0, first=True))
    for _ in range(8):
        agent.observe(row(0, reward=reward))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == bool(words)
    if words:
        assert re.match(words, lines[0])


def test_a_return_restarts_with_each_episode(caplog: pytest.LogCaptureFixture) -> None:
    agent = agents.build(C51Config(gamma=1.0), TABLE, num_envs=1, seed=0)
    for _ in range(5):
        agent.observe(row(0, first=True))
        agent.observe(row(0, reward=9.0))
        agent.observe(row(0, reward=0.5, discount=0.0))
    assert not caplog.records
