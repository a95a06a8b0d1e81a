"""What all value learners share: masks in Munchausen targets, noise of the target network, priorities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.qrdqn import QRDQNConfig
from agents.r2d2 import R2D2Config
from rl.interface import EnvSpec
from rl.networks import NetConfig
from rl.networks.heads import NoisyLinear
from tests.agents.worlds import ACTIONS, MASKED_TABLE, STATES, TABLE, TABLE_NET, row

BASE: dict[str, Any] = {"net": TABLE_NET, "gamma": 0.5, "learning_starts": 0, "batch_size": 2, "buffer_size": 64}
GRU = NetConfig(hidden=(8,), core="gru", core_size=5)
CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dqn": (DQNConfig, {}),
    "c51": (C51Config, {"atoms": 5}),
    "qrdqn": (QRDQNConfig, {"quantiles": 3}),
    "iqn": (IQNConfig, {"taus": 3, "next_taus": 4}),
    "r2d2": (R2D2Config, {"net": GRU, "burn_in": 1, "length": 3, "period": 1}),
}


def make(name: str, spec: EnvSpec = TABLE, **fields: Any) -> Any:
    kind, own = CONFIGS[name]
    return agents.build(kind(**{**BASE, **own, **fields}), spec, num_envs=1, seed=0)


@pytest.mark.parametrize("name", ["dqn", "c51", "qrdqn", "iqn"])
def test_munchausen_reads_the_values_of_allowed_actions_only(name: str) -> None:
    """Row 0 forbids action 0 and row 1 forbids action 1: their values must not matter, those of the others must."""
    agent = make(name, MASKED_TABLE, munchausen=True, munchausen_tau=1.0, munchausen_low=-100.0)
    agent.observe(row(0, first=True, mask=[[False, True, True]]))
    agent.observe(row(1, action=2, reward=1.0, mask=[[True, False, True]]))
    batch = agent._batch(agent.replay.windows(np.array([0])))
    if name == "iqn":
        agent.draw_taus = lambda size, count: torch.full((size, count), 0.5)
    weight = agent.target.head.advantage.weight

    def loss_with(state: int, action: int) -> float:
        """The loss if the target network's value of this action were higher."""
        before = weight.detach().clone()
        with torch.no_grad():
            outputs = weight.view(ACTIONS, -1, STATES)[action, :, state]
            outputs += torch.arange(1.0, len(outputs) + 1)  # of C51's logits: the higher the atom, the more
            loss = agent.loss(batch).loss.item()
            weight.copy_(before)
        return loss

    loss = agent.loss(batch).loss.item()
    matters = {(s, a): loss_with(s, a) != pytest.approx(loss, abs=1e-6) for s in (0, 1) for a in range(ACTIONS)}
    assert matters == {(s, a): (s, a) not in ((0, 0), (1, 1)) for s, a in matters}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_target_network_draws_its_own_noise_for_each_update(name: str) -> None:
    agent = make(name, noisy=True, target_every=1_000)
    for t in range(8):
        ts = row(t % STATES, reward=1.0, first=t == 0)
        agent.observe(ts)
        agent.act(ts)

    def noise(network: torch.nn.Module) -> tuple[float, ...]:
        return tuple(x for m in network.modules() if isinstance(m, NoisyLinear) for x in m.noise_in.tolist())

    seen = set()
    for _ in range(3):
        agent.learn(agent.sample())
        seen |= {noise(agent.network), noise(agent.target)}
    assert len(seen) == 6 and all(any(x) for x in seen)


@pytest.mark.parametrize("name", CONFIGS)
def test_training_acts_with_new_noise_and_an_evaluation_with_none(name: str) -> None:
    agent = make(name, noisy=True, epsilon=0.0)
    actor, start = agent.actor(1, 5), row(0, first=True)
    trained, evaluated = set(), set()
    for _ in range(3):
        agent.act(start)
        trained.add(tuple(agent._stream.output.q_values[0].tolist()))
        actor.act(start)
        evaluated.add(tuple(actor.output.q_values[0].tolist()))
    assert len(trained) == 3 and len(evaluated) == 1 and not trained & evaluated


@pytest.mark.parametrize("name", CONFIGS)
def test_the_target_network_starts_as_a_copy_and_gets_buffers_whole(name: str) -> None:
    agent = make(name, noisy=True, target_tau=0.5)
    online, target = agent.network.state_dict(), agent.target.state_dict()
    assert all(torch.equal(target[key], value) for key, value in online.items())
    agent.act(row(0, first=True))  # draws noise, which is kept in buffers
    with torch.no_grad():
        agent.optimizer.flat.add_(1.0)
    agent.sync_target()
    for (key, ours), theirs in zip(agent.target.named_buffers(), agent.network.buffers(), strict=True):
        assert torch.equal(ours, theirs), key
    for ours, theirs in zip(agent.target.parameters(), agent.network.parameters(), strict=True):
        assert torch.allclose(theirs - ours, torch.tensor(0.5), atol=1e-6)


def test_a_row_without_error_keeps_a_small_priority() -> None:
    agent = make("dqn", prioritized=True, gamma=0.0)
    with torch.no_grad():
        agent.optimizer.flat.zero_()
    for ts in (row(0, first=True), row(1), row(2, reward=1.0)):  # all values are 0: only the second reward surprises
        agent.observe(ts)
    agent.learn(agent.replay.windows(np.array([0, 1])))
    priorities = agent.replay._tree.get(np.array([0, 1]))
    assert priorities == pytest.approx([1e-6**0.6, 1.0], rel=1e-5)


def test_sampled_windows_are_as_long_as_n_step() -> None:
    agent = make("dqn", n_step=3)
    for t in range(9):
        agent.observe(row(t % STATES, first=t == 0))
    assert agent.sample().length.max() == 3


def test_rewards_are_clipped_one_by_one_before_they_are_summed() -> None:
    agent = make("dqn", n_step=3, reward_clip=1.0)
    for t, reward in enumerate([0.0, 5.0, -7.0, 0.5]):
        agent.observe(row(t, reward=reward, first=t == 0))
    batch = agent._batch(agent.replay.windows(np.array([0]), 3))
    assert batch.reward.item() == pytest.approx(1.0 - 0.5 * 1.0 + 0.25 * 0.5)
