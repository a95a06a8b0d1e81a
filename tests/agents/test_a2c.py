"""A2C's loss by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agents.a2c import A2C, A2CConfig
from rl.networks import NetConfig
from tests.agents.policies import batch, entropy, table_agent, train
from tests.agents.worlds import TABLE_NET


def make(**fields: Any) -> A2C:
    agent: A2C = table_agent(A2CConfig(net=TABLE_NET, **fields))
    return agent


def test_loss_is_log_probability_times_advantage_plus_value_error_minus_entropy() -> None:
    rows = batch([0, 1], [0, 2], [2.0, -1.0], [1.5, 0.0])  # probabilities .5 and .7, values 1 and 2
    gain = [2 * math.log(0.5), -math.log(0.7)]
    error = [0.25, 4.0]
    assert make(value_cost=0.0).loss(rows).loss.tolist() == pytest.approx([-g for g in gain])
    out = make(value_cost=0.5, entropy_cost=0.01).loss(rows)
    expected = [-g + 0.5 * e - 0.01 * entropy(s) for g, e, s in zip(gain, error, (0, 1), strict=True)]
    assert out.loss.tolist() == pytest.approx(expected)
    assert out.metrics["value_loss"].tolist() == pytest.approx(error)


def test_the_gradient_of_the_value_does_not_reach_the_advantage() -> None:
    agent = make(value_cost=0.0)
    agent.loss(batch([0], [0], [2.0], [5.0])).loss.mean().backward()
    assert agent.network.value.weight.grad is not None and not agent.network.value.weight.grad.any()
    assert agent.network.policy.logits.weight.grad.abs().sum() > 0  # type: ignore[union-attr,operator]


def test_one_update_for_every_rollout_of_five_rows() -> None:
    agent = train(A2CConfig(net=NetConfig(hidden=(8,))), "CartPole-v1", 100, num_envs=4)
    assert agent.updates == agent.replay.count // 5 or agent.updates == (agent.replay.count - 1) // 5


def test_advantages_are_not_standardised_unless_asked() -> None:
    rows = batch([0, 1], [0, 0], [1.0, 5.0], [0.0, 0.0])
    assert make().prepared(rows).advantage.tolist() == [1.0, 5.0]
    on = make(normalize_advantage=True).prepared(rows).advantage
    assert on.tolist() == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)])
