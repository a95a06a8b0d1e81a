"""Every gradient in `agents.critic_gradients` is the one that autograd finds for the loss in PyTorch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import agents
import envs
from agents.base import Actor
from agents.critic_gradients import METHODS
from agents.critics import CriticAgent
from agents.replay_agent import Batch
from agents.sac import SAC, SACConfig, SACPolicy
from agents.td3 import TD3, TD3Config
from rl.distributions import Distribution
from rl.errors import InputError, NonFiniteError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.loop import interact
from rl.networks import NetConfig
from rl.networks.moving import BatchRenorm
from rl.optim import FlatOptimizer

VECTOR = {"obs": ObsLeaf((4,), "float32", "vector")}
BOX = ActionSpec("box", low=(-1.0, -3.0, 0.0), high=(1.0, 5.0, 2.0))
WIDE = NetConfig(hidden=(256, 160))
NORMED = NetConfig(hidden=(16, 8), layer_norm=True, activation="tanh")
ROWS = 200


def agent_of(config: Any, obs: dict[str, ObsLeaf] = VECTOR, kind: Any = None) -> Any:
    """An agent whose target networks, deviations and running moments are not those of the start."""
    kind = kind or (SAC if isinstance(config, SACConfig) else TD3)
    agent = kind(EnvSpec("Vector-v0", obs, BOX), config, num_envs=1, seed=0)
    torch.manual_seed(0)
    for target in agent.targets.values():
        target.flat.add_(0.05 * torch.randn_like(target.flat))
    if kind is SAC and not config.gsde:
        agent.network["policy"].head.log_std_layer.bias.data.copy_(torch.tensor([1.9, -0.5, -3.0]))
    for layer in agent.network.modules():
        if isinstance(layer, BatchRenorm):
            layer.mean.normal_(0, 0.3)
            layer.var.uniform_(0.2, 2.0)
            layer.batches += 1
    return agent


def batch_of(agent: Any) -> Batch:
    """Random transitions, a third of them terminal; the next observation of a terminal one is not a number, unless
    its moments count."""
    rng = np.random.default_rng(0)
    discount = np.where(rng.random(ROWS) < 0.3, 0, 0.9).astype(np.float32)
    known = torch.from_numpy((discount > 0) | agent.config.batch_renorm)[:, None]

    def obs() -> Tensor:
        return torch.from_numpy(2 * rng.standard_normal((ROWS, 4), np.float32))

    return Batch(
        obs={"obs": obs()},
        mask=None,
        action=torch.from_numpy(rng.uniform(-1, 1, (ROWS, 3)).astype(np.float32)),
        reward=torch.from_numpy(3 * rng.standard_normal(ROWS, np.float32)),
        discount=torch.from_numpy(discount),
        next_obs={"obs": torch.where(known, obs(), torch.nan)},
        next_mask=None,
    )


def learned(agent: Any, weighted: bool) -> dict[str, Tensor]:
    """Everything that one update computes before it changes a weight."""
    batch, found = batch_of(agent), {}
    weight = np.random.default_rng(1).random(ROWS, np.float32) if weighted else None
    agent._noise.manual_seed(5)
    loss, priority, metrics = agent.critic_gradient(batch, weight)
    found |= {"loss": loss, "priority": priority, "critics": agent.optimizers["critics"].grad.clone(), **metrics}
    applied: dict[str, Tensor] = {}
    agent.apply = lambda part, loss, lr: applied.update({part: agent.optimizers[part].grad.clone()})
    found |= agent.learn_policy(batch)
    critics = agent.optimizers["critics"].grad
    assert torch.equal(critics, found["critics"]), "the policy's update touches the critics' gradient"
    moments = [x.float().flatten() for x in agent.network.buffers()] or [torch.ones(1)]
    return {**found, "moments": torch.cat(moments), **{f"{part} gradient": grad for part, grad in applied.items()}}


CASES: dict[str, Callable[[], Any]] = {
    "sac": lambda: agent_of(SACConfig()),
    "sac, three wide critics": lambda: agent_of(SACConfig(net=WIDE, critics=3)),
    "sac, other critics": lambda: agent_of(SACConfig(critic_net=NORMED, temperature=0.3)),
    "sac, LayerNorm and tanh": lambda: agent_of(SACConfig(net=NORMED)),
    "sac, one critic": lambda: agent_of(SACConfig(net=NetConfig(hidden=(16,)), critics=1)),
    "crossq, warming up": lambda: agent_of(SACConfig(batch_renorm=True)),  # until 100,000 updates
    "crossq, LayerNorm": lambda: agent_of(SACConfig(net=NORMED, batch_renorm=True, critics=3)),
    "crossq": lambda: agent_of(SACConfig(net=WIDE, batch_renorm=True, renorm_warmup=0)),
    "crossq by td3": lambda: agent_of(TD3Config(batch_renorm=True, renorm_warmup=0)),
    "td3": lambda: agent_of(TD3Config()),
    "td3, LayerNorm": lambda: agent_of(TD3Config(net=NORMED, critics=3)),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_gradients_by_hand_are_autograds(name: str, weighted: bool) -> None:
    agent, other = CASES[name](), CASES[name]()
    assert agent.dense is not None and agent.dense.learns
    other.dense = None  # autograd
    by_hand, expected = learned(agent, weighted), learned(other, weighted)
    assert by_hand.keys() == expected.keys() and {"policy gradient", "loss", "q_spread"} <= by_hand.keys()
    for part, value in expected.items():
        assert float(value.abs().max()) > 1e-4 or (part, name) == ("q_spread", "sac, one critic"), part
        assert value.isfinite().all() and by_hand[part].shape == value.shape, part
        assert torch.allclose(by_hand[part], value, rtol=1e-4, atol=2e-6), part


@pytest.mark.parametrize("config", [SACConfig(learning_starts=0), TD3Config(learning_starts=0, explore_noise=1.0)])
def test_actions_by_hand_are_those_of_pytorch(config: Any) -> None:
    agent = agent_of(config)
    drawn = []
    obs = np.random.default_rng(0).standard_normal((50, 4), np.float32)
    for _ in range(2):
        actor = Actor(agent, 50, 0, "train", mode="explore")
        with torch.inference_mode():
            ts: Any = SimpleNamespace(mask=None)
            choice = agent.choose_by_numpy(actor, {"obs": obs}, ts) or agent.choose(
                actor, {"obs": torch.from_numpy(obs)}, ts
            )
        drawn.append(choice.action)
        agent.dense = None
    assert drawn[0].std(0).min() > 0.01 and drawn[0].dtype == drawn[1].dtype == np.float32
    assert np.allclose(*drawn, rtol=1e-5, atol=1e-5)
    assert (drawn[0] >= BOX.low).all() and (drawn[0] <= BOX.high).all()


def test_one_update_by_hand_moves_the_weights_as_autograds_does() -> None:
    """Noise, order of the updates and optimizers are the same; the weights differ by rounding, which Adam's first
    steps magnify where a gradient is almost zero."""
    for make in (lambda: agent_of(SACConfig(optimizer="rmsprop")), lambda: agent_of(TD3Config(optimizer="rmsprop"))):
        ours, other = make(), make()
        other.dense = None
        for agent in (ours, other):
            batch = batch_of(agent)
            agent._batch = lambda windows, batch=batch: batch
            agent.set_priorities = lambda rows, priority: None
            for _ in range(4):
                agent.learn(_Windows())
        for one, two in zip(ours.networks(), other.networks(), strict=True):
            for p, q in zip(one.parameters(), two.parameters(), strict=True):
                assert (p - q).abs().mean() < 1e-4


class _Windows:
    rows = weight = None


class OwnPolicy(SACPolicy):
    def forward(self, obs: dict[str, Tensor], mask: Tensor | None = None) -> Distribution:
        return super().forward({k: v + 1 for k, v in obs.items()}, mask)


class WithOwnPolicy(SAC):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.network["policy"] = OwnPolicy(self.spec, self.config)
        self.optimizers["policy"] = FlatOptimizer(self.network["policy"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: agent_of(SACConfig(quantiles=25)),
        lambda: agent_of(SACConfig(dropout=0.01)),
        lambda: agent_of(SACConfig(gsde=True)),
        lambda: agent_of(SACConfig(net=NetConfig(encoder="simba"))),
        lambda: agent_of(SACConfig(net=NetConfig(hidden=()))),
        lambda: agent_of(SACConfig(stack=2)),
        lambda: agent_of(SACConfig(), {**VECTOR, "other": ObsLeaf((2,), "float32", "vector")}),
        lambda: agent_of(SACConfig(), kind=WithOwnPolicy),
    ],
    ids=["quantiles", "dropout", "gsde", "simba", "no hidden layer", "stack", "two leaves", "own policy"],
)
def test_everything_else_stays_with_autograd(make: Callable[[], CriticAgent]) -> None:
    assert make().dense is None


@pytest.mark.parametrize("name", METHODS)
def test_a_subclass_with_a_method_of_its_own_is_learned_by_autograd(name: str) -> None:
    base: Any = SAC if hasattr(SAC, name) else TD3
    method = getattr(base, name)
    kind = type("Own", (base,), {name: lambda self, *args: method(self, *args)})
    assert agent_of(base.Config(), kind=kind).dense is None
    assert agent_of(base.Config(), kind=type("Same", (base,), {"other": method})).dense is not None


@pytest.mark.parametrize("batch_size", [8, 64])
@pytest.mark.parametrize("kind", ["sac", "td3"])
def test_a_training_by_hand_follows_autograds(kind: str, batch_size: int) -> None:
    """Prioritised n-step samples, normalised observations, one action: 40 updates on the same rows."""
    fields = {"prioritized": True, "n_step": 3, "normalize_obs": True, "learning_starts": 40, "optimizer": "rmsprop"}
    config: Any = {"sac": SACConfig, "td3": TD3Config}[kind](batch_size=batch_size, lr=1e-4, **fields)
    trained = []
    for by_hand in (True, False):
        env = envs.make("Pendulum-v1", num_envs=1, seed=0, stream="train")
        agent: Any = agents.build(config, env.spec, num_envs=1, seed=0)
        before = weights(agent)
        if not by_hand:
            agent.dense = None
        for _ in interact(env, agent, 80):
            pass
        env.close()
        assert (agent.dense is not None) == by_hand and agent.updates >= 40
        trained.append(weights(agent))
    assert (trained[0] - trained[1]).abs().mean() < 0.01 * (trained[0] - before).abs().mean()


def weights(agent: Any) -> Tensor:
    return torch.cat([p.detach().flatten() for part in agent.networks() for p in part.parameters()])


def test_a_loss_that_is_no_number_keeps_the_weights_and_says_so() -> None:
    agent = agent_of(SACConfig())
    batch = batch_of(agent)
    batch.reward[3] = math.nan
    agent._batch, agent.set_priorities = lambda windows: batch, lambda rows, priority: None
    before = weights(agent)
    with warnings.catch_warnings(), pytest.raises(NonFiniteError, match="critics: the loss is nan"):
        warnings.simplefilter("error")
        agent.learn(_Windows())
    assert torch.equal(before, weights(agent))


def test_numpys_numbers_are_numbers() -> None:
    """A sweep over `np.linspace` gives float64, which NumPy would spread over everything that it meets."""
    agent = agent_of(TD3Config(target_noise=np.float64(0.2), target_noise_clip=np.float64(0.5)))
    batch = batch_of(agent)
    agent.critic_gradient(batch._replace(reward=batch.reward.double()), None)
    assert agent.optimizers["critics"].grad.isfinite().all()


def test_crossq_needs_two_rows() -> None:
    with pytest.raises(InputError, match="batch_renorm needs 2 rows for a spread, and batch_size is 1: raise it"):
        SACConfig(batch_renorm=True, batch_size=1)


def test_a_frozen_parameter_keeps_its_gradient_of_zero() -> None:
    agent = agent_of(SACConfig())
    agent.network["critics"].heads[0].bias.requires_grad = False
    assert not agent.dense.learns
    for _ in range(2):
        agent.critic_gradient(batch_of(agent), None)
        agent.learn_policy(batch_of(agent))
    assert not agent.dense.learns
    assert float(agent.network["critics"].heads[0].bias.grad) == 0 != float(agent.network["critics"].heads[1].bias.grad)
