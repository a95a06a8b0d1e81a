"""What a user puts in place of a part is what acts and learns, though NumPy stands in for the parts that we know."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import agents
import envs
from agents.actor_critic import ActorCritic
from agents.base import Agent
from agents.dqn import DQN, DQNConfig
from agents.ppo import PPO, PPOConfig
from rl.errors import InputError
from rl.networks import NetConfig
from rl.networks.heads import ValueHead
from rl.networks.torso import Encoder
from rl.optim import FlatOptimizer

NET = NetConfig(hidden=(8,))


class Blind(Encoder):
    """Sees nothing."""

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        return super().forward({name: torch.zeros_like(x) for name, x in obs.items()})


class Forgetful(Encoder):
    """Drops features at random."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.drop = nn.Dropout(0.5)


class Averaging(Encoder):
    """Standardises by the batch."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.norm = nn.BatchNorm1d(8)


class Negated(ValueHead):
    """The opposite."""

    def forward(self, features: Tensor) -> Tensor:
        return -super().forward(features)


class Contrary(DQN):
    """Chooses by the opposite."""

    def build_head(self, features: int) -> nn.Module:
        return Negated(features, 2, 1)


class Hopeful(ActorCritic):
    """Expects a hundred more."""

    def forward(self, *given: Any, **named: Any) -> Any:
        out = super().forward(*given, **named)
        return out._replace(value=out.value + 100)


class Hoping(PPO):
    """Learns with that."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.network = Hopeful(self.spec, self.config)
        self.optimizer = FlatOptimizer(self.network)


def said(agent: Agent, obs: Tensor) -> Any:
    with torch.inference_mode():
        ts = envs.make("CartPole-v1", num_envs=len(obs)).reset()
        return agent.choose(agent.actor(len(obs), 0), {"obs": obs}, ts).output


@pytest.mark.parametrize("name", ["dqn", "ppo"])
def test_an_encoder_of_ones_own(name: str) -> None:
    net = NetConfig(encoder="tests.agents.test_own_parts:Blind", hidden=(8,))
    config = dataclasses.replace(agents.config(name), net=net)
    agent = agents.build(config, envs.spec("CartPole-v1"), num_envs=2, seed=0)
    out = said(agent, torch.randn(2, 4))
    values = out.q_values if name == "dqn" else out.value
    assert torch.equal(values[0], values[1])


def test_a_head_of_ones_own() -> None:
    agent, obs = Contrary(envs.spec("CartPole-v1"), DQNConfig(net=NET), num_envs=2, seed=0), torch.randn(2, 4)
    assert torch.allclose(said(agent, obs).q_values, agent.network({"obs": obs}).q_values)


def test_an_actor_and_critic_of_ones_own() -> None:
    agent = Hoping(envs.spec("CartPole-v1"), PPOConfig(net=NET), num_envs=2, seed=0)
    assert (said(agent, torch.randn(2, 4)).value > 50).all()


@pytest.mark.parametrize(("kind", "values"), [(DQN, "q_values"), (PPO, "value")])
def test_a_copy_has_weights_of_its_own(kind: Any, values: str) -> None:
    agent, obs = kind(envs.spec("CartPole-v1"), kind.Config(net=NET), num_envs=2, seed=0), torch.randn(2, 4)
    before = getattr(said(agent, obs), values)
    other = copy.deepcopy(agent)
    for p in other.network.parameters():
        p.data.zero_()
    assert agent.dense is not None and other.dense is not None
    assert (getattr(said(other, obs), values) == 0).all()
    assert torch.equal(getattr(said(agent, obs), values), before) and (before != 0).any()


@pytest.mark.parametrize(("encoder", "kind"), [(Forgetful, "Dropout"), (Averaging, "BatchNorm1d")])
def test_an_encoder_that_acting_would_change_is_refused(encoder: type, kind: str) -> None:
    net = NetConfig(encoder=f"{__name__}:{encoder.__name__}", hidden=(8,))
    with pytest.raises(InputError, match=f"{encoder.__name__}' holds a {kind}, which acting would change or draw from"):
        agents.build(DQNConfig(net=net), envs.spec("CartPole-v1"), num_envs=1, seed=0)
