"""Every gradient in `agents.numpy_gradients` is the one that autograd finds for the loss in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import agents
import envs
from agents.a2c import A2CConfig
from agents.dqn import DQN, DQNConfig
from agents.ppo import PPOConfig
from agents.value import Batch
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.loop import interact
from rl.networks import NetConfig

Case = tuple[Any, Callable[[], Any]]
"""An agent, and a call of its `gradient` on one batch."""


def dqn(masked: bool, **fields: Any) -> Case:
    """DQN on 20 random transitions, a third of them terminal; online and target network differ."""
    obs = {"obs": ObsLeaf((4,), "float32", "vector")}
    spec = EnvSpec("Vector-v0", obs, ActionSpec("discrete", (3,)), masked=masked)
    settings = {"net": NetConfig(hidden=(16, 16)), "gamma": 0.5, "batch_size": 2, "buffer_size": 64, **fields}
    agent = DQN(spec, DQNConfig(**settings), num_envs=1, seed=0)
    rng, count = np.random.default_rng(0), 20
    batch = Batch(
        obs={"obs": torch.from_numpy(rng.standard_normal((count, 4), np.float32))},
        mask=None,
        action=torch.from_numpy(rng.integers(3, size=count)),
        reward=torch.from_numpy(3 * rng.standard_normal(count, np.float32)),
        discount=torch.from_numpy(np.where(rng.random(count) < 0.3, 0, 0.9).astype(np.float32)),
        next_obs={"obs": torch.from_numpy(rng.standard_normal((count, 4), np.float32))},
        next_mask=torch.from_numpy(rng.random((count, 3)) < 0.6) if masked else None,
    )
    weight = rng.random(count, np.float32) if agent.config.prioritized else None
    for p in agent.target.parameters():
        p.data.normal_(0, 0.5)
    return agent, lambda: agent.gradient(batch, weight)


def policy(config: Any) -> Case:
    """A policy learner on its newest rows of CartPole, with probability ratios so far from 1 that some are clipped."""
    env = envs.make("CartPole-v1", num_envs=4, seed=0, stream="train")
    agent = agents.build(config, env.spec, num_envs=4, seed=0)
    *_, slot = interact(env, agent, 600)
    assert agent.updates > 0
    for _ in interact(env, agent, 636, step=slot.step, ts=slot.ts):
        pass
    env.close()
    rows = next(iter(agent.batches(agent.rollout(6))))
    rows = rows._replace(log_prob=rows.log_prob + 0.3 * torch.randn(len(rows.log_prob)))
    return agent, lambda: agent.gradient(rows)


NORMED = NetConfig(hidden=(16,), layer_norm=True, activation="tanh")
CASES: dict[str, Callable[[], Case]] = {
    "dqn": lambda: dqn(False),
    "dqn masked": lambda: dqn(True),
    "dqn squared": lambda: dqn(False, huber=False, gamma=0.9),
    "dqn squared masked": lambda: dqn(True, huber=False, gamma=0.9),
    "dqn, LayerNorm and odd sizes": lambda: dqn(
        False, prioritized=True, net=NetConfig(hidden=(13, 7, 9), layer_norm=True)
    ),
    "double dqn, LayerNorm, masked": lambda: dqn(True, double=True, net=NetConfig(hidden=(32,), layer_norm=True)),
    "dqn, wider than what is compiled": lambda: dqn(False, net=NetConfig(hidden=(144, 16))),
    "double dqn": lambda: dqn(False, double=True, n_step=3, net=NORMED),
    "double dqn masked": lambda: dqn(True, double=True, n_step=3, net=NORMED),
    "prioritized dqn": lambda: dqn(False, prioritized=True),
    "prioritized dqn masked": lambda: dqn(True, prioritized=True),
    "ppo": lambda: policy(PPOConfig(entropy_cost=0.02)),
    "ppo normalised": lambda: policy(
        PPOConfig(normalize_obs=True, net=NetConfig(hidden=(8,), layer_norm=True, orthogonal=True))
    ),
    "ppo, tanh": lambda: policy(PPOConfig(entropy_cost=0.02, net=NetConfig(hidden=(24, 7), activation="tanh"))),
    "ppo, wider than what is compiled": lambda: policy(PPOConfig(net=NetConfig(hidden=(144,), activation="tanh"))),
    "a2c": lambda: policy(A2CConfig(entropy_cost=0.02, gae_lambda=0.9)),
}


@pytest.mark.parametrize("name", CASES)
def test_numpys_gradient_is_autograds(name: str) -> None:
    (agent, gradient), value = CASES[name](), "dqn" in name
    by_hand = gradient()
    ours = agent.optimizer.grad.clone()
    assert agent.dense is not None
    agent.dense = None  # autograd from here on
    expected = gradient()
    assert float(ours.abs().max()) > 1e-3
    assert torch.allclose(ours, agent.optimizer.grad, atol=1e-6 if value else 1e-5, rtol=1e-5 if value else 1e-4)
    assert by_hand.loss.item() == pytest.approx(expected.loss.item(), rel=1e-5 if value else 1e-4)
    assert by_hand.metrics.keys() == expected.metrics.keys()
    for metric, found in expected.metrics.items():
        assert torch.allclose(by_hand.metrics[metric], found.mean(), atol=1e-6 if value else 1e-4), metric
    if value:
        assert torch.allclose(by_hand.priority, expected.priority, atol=1e-5)
