"""Presets build the agents that their papers describe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import agents
from agents.c51 import C51
from agents.iqn import IQN
from agents.r2d2 import R2D2
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.networks.heads import NoisyLinear
from tests.agents.worlds import TABLE, row

PIXELS = EnvSpec(
    "I-v0", {"obs": ObsLeaf((1, 84, 84), "uint8", "image", "CHW", scale=255.0)}, ActionSpec("discrete", (4,))
)


def test_every_preset_builds_and_names_its_agent() -> None:
    built = {name: agents.name_of(agents.config(name)) for name in agents.PRESETS}
    critics = {"crossq": "sac", "droq": "sac", "tqc": "sac"}
    assert built == {"btr_lite": "iqn", "drqn": "r2d2", "rainbow": "c51", **critics}


def test_a_config_is_called_by_the_preset_whose_switches_it_has() -> None:
    assert [agents.title(agents.config(name)) for name in agents.names()] == agents.names()
    rainbow = agents.config("rainbow")
    assert agents.title(replace(rainbow, lr=1e-3, n_step=5, net=replace(rainbow.net, layer_norm=True))) == "rainbow"
    for change in ({"n_step": 1}, {"noisy": False}, {"prioritized": False}):
        assert agents.title(replace(rainbow, **change)) == "c51"
    lite = agents.config("btr_lite")
    assert agents.title(replace(lite, net=replace(lite.net, encoder="nature", spectral_norm=False))) == "iqn"


def test_rainbow_is_c51_with_the_five_others() -> None:
    config = agents.config("rainbow")
    assert config.double and config.dueling and config.noisy and config.prioritized and config.n_step == 3
    agent = agents.build(config, TABLE, num_envs=2, seed=0)
    assert isinstance(agent, C51) and agent.network.head.value is not None
    assert any(isinstance(m, NoisyLinear) for m in agent.network.modules())
    agent.observe(row([0, 1], first=True))
    agent.observe(row([1, 2], reward=1.0))
    assert agent.learn(agent.replay.windows(np.array([0, 1]), 3))["loss"].isfinite()


def test_btr_lite_reads_pixels_through_impala() -> None:
    agent = agents.build(agents.config("btr_lite"), PIXELS, num_envs=1, seed=0)
    assert isinstance(agent, IQN) and agent.config.munchausen and not agent.config.double
    assert agent.network.torso.out_features == 64 * 6 * 6
    with torch.no_grad():
        out = agent.network({"obs": torch.zeros(1, 4, 1, 84, 84, dtype=torch.uint8)})
    assert out.quantiles.shape == (1, 4, 8)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_btr_lite_learns_in_either_precision(precision: str) -> None:
    config = replace(
        agents.config("btr_lite"), precision=precision, batch_size=2, buffer_size=32, target_every=1, n_step=1
    )
    agent = agents.build(config, PIXELS, num_envs=1, seed=0)
    assert isinstance(agent, IQN)
    picture = np.random.default_rng(0).integers(0, 256, (2, 1, 1, 84, 84), dtype=np.uint8)
    for t in range(2):
        agent.observe(row(0, reward=1.0, first=t == 0)._replace(obs={"obs": picture[t]}))
    sampled = agent.sample()
    assert agent.learn(sampled)["loss"].isfinite()  # bfloat16 once stopped here: u and v are float32
    with torch.inference_mode():  # the target is a copy: the same singular vectors too
        online, target = (net.torso(agent._batch(sampled).obs)[0] for net in (agent.network, agent.target))
    assert torch.equal(online, target)


@pytest.mark.parametrize("name", ["drqn"])
def test_drqn_starts_from_zeros(name: str) -> None:
    agent = agents.build(agents.config(name), TABLE, num_envs=1, seed=0)
    assert isinstance(agent, R2D2) and not agent.config.stored_state and agent.config.burn_in == 0


@pytest.mark.parametrize("name", ["crossq", "droq", "tqc"])
def test_successors_of_sac_build_and_learn(name: str) -> None:
    spec = EnvSpec("T-v0", TABLE.obs, ActionSpec("box", low=(-1.0,), high=(1.0,)))
    config = agents.config(name)
    agent = agents.build(replace(config, batch_size=2, buffer_size=8), spec, num_envs=2, seed=0)
    assert bool(agent.targets) == (name != "crossq")
    zeros = np.zeros((2, 1), np.float32)
    for ts in (row([0, 1], first=True), row([1, 2], reward=1.0)):
        agent.observe(ts._replace(action=zeros))
    values, _ = agent.values(agent._batch(agent.replay.windows(np.array([0, 1]))), torch.zeros(2, 1))
    assert values.shape == (2, 2, 25 if name == "tqc" else 1)
    assert agent.learn(agent.replay.windows(np.array([0, 1])))["loss"].isfinite()
