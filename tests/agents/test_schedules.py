"""Schedules reach what they are for: the optimizer, the sampler, the loss and the choice of actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import agents
import envs
from agents.a2c import A2CConfig
from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from agents.qrdqn import QRDQNConfig
from agents.r2d2 import R2D2Config
from agents.reinforce import ReinforceConfig
from agents.sac import SACConfig
from agents.td3 import TD3Config
from rl.loop import interact
from rl.networks import NetConfig
from rl.optim import FlatOptimizer
from rl.schedules import Ramp
from tests.agents.policies import batch
from tests.agents.worlds import STATES, TABLE, TABLE_NET, row

NET = NetConfig(hidden=(8,))
GRU = NetConfig(hidden=(8,), core="gru", core_size=5)
VALUE: dict[str, Any] = {"net": NET, "learning_starts": 20, "batch_size": 8, "buffer_size": 256}
SEQUENCES: dict[str, Any] = {"net": GRU, "burn_in": 1, "length": 3, "period": 1}
LR = Ramp(1e-2, 1e-4, 60)

LEARNERS: dict[str, Any] = {
    "dqn": DQNConfig(**VALUE, lr=LR),
    "c51": C51Config(**VALUE, lr=LR),
    "qrdqn": QRDQNConfig(**VALUE, lr=LR),
    "iqn": IQNConfig(**VALUE, lr=LR),
    "r2d2": R2D2Config(**{**VALUE, **SEQUENCES}, lr=LR),
    "pqn": PQNConfig(net=NET, lr=LR, rollout=10, minibatches=2),
    "ppo": PPOConfig(net=NET, lr=LR, rollout=10, epochs=2),
    "ppo by autograd": PPOConfig(net=GRU, lr=LR, rollout=10, epochs=2),
    "a2c": A2CConfig(net=NET, lr=LR),
    "reinforce": ReinforceConfig(net=NET, lr=LR, episodes=1),
    "sac": SACConfig(**VALUE, lr=LR, replay_ratio=0.25, update_every=4),
    "td3": TD3Config(**VALUE, lr=LR, replay_ratio=0.25, update_every=4),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_the_optimizer_steps_with_the_learning_rate_of_the_present_step(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = envs.make("Pendulum-v1" if name == "td3" else "CartPole-v1", num_envs=2, seed=0)
    agent = agents.build(LEARNERS[name], world.spec, num_envs=2, seed=0)
    seen: list[tuple[int, float]] = []
    apply = FlatOptimizer.apply

    def watched(self: FlatOptimizer, loss: torch.Tensor, lr: float) -> torch.Tensor:
        seen.append((agent.step, lr))
        return apply(self, loss, lr)

    monkeypatch.setattr(FlatOptimizer, "apply", watched)
    for _ in interact(world, agent, 100):
        pass
    world.close()
    steps, rates = zip(*seen, strict=True)
    assert rates == pytest.approx([LR.at(step) for step in steps])
    assert max(steps) > LR.steps and len(set(rates)) > 2


@pytest.mark.parametrize("name", ["dqn", "r2d2"])
@pytest.mark.parametrize(("step", "beta"), [(0, 0.0), (50, 0.5), (100, 1.0)])
def test_importance_weights_have_the_exponent_of_the_present_step(name: str, step: int, beta: float) -> None:
    base: dict[str, Any] = {"batch_size": 16, "prioritized": True, "importance": Ramp(0.0, 1.0, 100)}
    config = DQNConfig(net=TABLE_NET, **base) if name == "dqn" else R2D2Config(**SEQUENCES, **base)
    agent = agents.build(config, TABLE, num_envs=1, seed=0)
    for t in range(12):
        agent.observe(row(t % STATES, first=t == 0))
    agent.replay.set_priorities(np.arange(6), np.arange(1.0, 7.0))
    agent.replay.set_priorities(np.arange(6, 12), np.full(6, 10.0))  # rows that start no sample ignore theirs
    agent.step = step
    sampled = agent.sample()
    priority = np.where(sampled.rows < 6, sampled.rows + 1.0, 10.0)
    assert len(set(priority)) > 2
    assert sampled.weight == pytest.approx((priority / priority.min()) ** -beta)


@pytest.mark.parametrize("config", [DQNConfig(net=TABLE_NET, learning_starts=0), PQNConfig(net=TABLE_NET)])
def test_random_actions_are_as_frequent_as_epsilon_of_the_present_step(config: Any) -> None:
    config = type(config)(**{**vars(config), "epsilon": Ramp(1.0, 0.0, 100)})
    agent = agents.build(config, TABLE, num_envs=6_000, seed=0)
    with torch.no_grad():
        agent.network.head.advantage.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    for step in (0, 50, 100):
        agent.step = step
        share = np.mean(agent.act(row([0] * 6_000, first=True)) != 1)
        assert share == pytest.approx((1 - step / 100) * 2 / 3, abs=0.03)


@pytest.mark.parametrize("kind", [DQNConfig, PQNConfig])
def test_a_sampled_evaluation_explores_as_training_does_at_the_end_of_its_schedule(kind: Any) -> None:
    for epsilon in (Ramp(1.0, 0.25, 100), 0.25):
        agent = agents.build(kind(net=TABLE_NET, epsilon=epsilon), TABLE, num_envs=64, seed=0)
        assert agent.epsilon("sample") == 0.25 and agent.epsilon("greedy") == 0.0


COSTS = {"entropy_cost": (Ramp(0.5, 0.1, 100), 0.3)}
CLIPS = {"clip": (Ramp(0.6, 0.2, 100), 0.4)}


@pytest.mark.parametrize(
    ("kind", "ramps", "by_numpy"),
    [
        (PPOConfig, COSTS, True),
        (PPOConfig, COSTS, False),
        (PPOConfig, CLIPS, True),
        (PPOConfig, CLIPS, False),
        (A2CConfig, COSTS, True),
        (A2CConfig, COSTS, False),
        (ReinforceConfig, COSTS, False),
    ],
)
def test_a_loss_reads_the_schedule_at_the_present_step(kind: Any, ramps: dict[str, Any], by_numpy: bool) -> None:
    rows = batch(
        [0, 0], [0, 1], [1.0, -2.0], [1.0, 2.0], probability=[0.2, 0.7]
    )  # now 0.4 and 0.6: the first ratio is clipped
    rows = rows._replace(obs={"obs": torch.tensor([[1.0, 2, 3, 4], [4.0, 3, 2, 1]])})

    def gradient(step: int, **fields: Any) -> tuple[float, list[float]]:
        agent = agents.build(kind(net=NET, **fields), envs.spec("CartPole-v1"), num_envs=1, seed=0)
        with torch.no_grad():
            agent.network.policy.logits.bias.copy_(torch.tensor([0.0, 0.4]))  # at even odds the entropy is flat
        agent.step = step
        if not by_numpy:
            agent.dense = None
        assert (agent.dense is not None) == by_numpy
        loss = agent.gradient(rows).loss.item()
        return loss, agent.optimizer.grad.tolist()

    ramp = gradient(50, **{name: ramp for name, (ramp, _) in ramps.items()})
    constant = gradient(0, **{name: value for name, (_, value) in ramps.items()})
    start = gradient(0, **{name: ramp for name, (ramp, _) in ramps.items()})
    assert ramp[0] == pytest.approx(constant[0]) and ramp[0] != pytest.approx(start[0])
    assert ramp[1] == pytest.approx(constant[1], abs=1e-6)
