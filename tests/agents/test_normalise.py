"""Observation and return normalisation of the learners from the replay and of PQN, beside SB3's VecNormalize."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import agents
import envs
from agents.dqn import DQNConfig
from agents.pqn import PQNConfig
from agents.r2d2 import R2D2Config
from agents.replay_agent import ReplayAgent
from agents.sac import SACConfig
from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf, TimeStep
from rl.loop import interact
from rl.networks import NetConfig
from tests.agents.worlds import TABLE, TABLE_NET, row

NET = NetConfig(hidden=(8,))
BOTH: dict[str, Any] = {"net": NET, "normalize_obs": True, "normalize_return": True}
VECTOR = EnvSpec("Vector-v0", {"obs": ObsLeaf((1,), "float32", "vector")}, ActionSpec("discrete", (3,)))


def vector_row(value: float, **fields: Any) -> TimeStep:
    return row(0, **fields)._replace(obs={"obs": np.array([[value]], np.float32)})


def test_moments_and_samples_are_those_of_vec_normalize() -> None:
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    venv = DummyVecEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=30)] * 2)
    theirs = VecNormalize(venv, gamma=0.9)
    theirs.obs_rms.count = theirs.ret_rms.count = 0.0  # without the 1e-4 observations of mean 0 that it starts from
    venv.seed(3)
    spec = envs.spec("Pendulum-v1")
    agent = agents.build(SACConfig(**BOTH, gamma=0.9, buffer_size=400, batch_size=8), spec, num_envs=2, seed=0)
    theirs.reset()
    rng = np.random.default_rng(0)

    def observe(obs: np.ndarray, reward: Any, first: bool) -> None:
        flags, action = np.full(2, first), np.zeros((2, 1), np.float32)
        discount = np.full(2, 0.0 if first else 1.0, np.float32)
        agent.observe(TimeStep({"obs": obs}, None, action, np.float32(reward), discount, flags, np.zeros(2, bool), {}))

    observe(theirs.get_original_obs(), np.zeros(2), True)
    for t in range(1, 80):
        _, _, done, infos = theirs.step(rng.uniform(-2, 2, (2, 1)))
        final = np.stack([i["terminal_observation"] for i in infos]) if done[0] else None
        observe(theirs.get_original_obs() if final is None else final, theirs.get_original_reward(), False)
        if final is not None:
            observe(theirs.get_original_obs(), np.zeros(2), True)
        if t == 29:  # SB3 leaves out final observations, of which there is none yet
            (ours,) = agent.normalisers[0].moments
            assert ours.mean.numpy() == pytest.approx(theirs.obs_rms.mean, abs=1e-5)
            assert ours.var.numpy() == pytest.approx(theirs.obs_rms.var, rel=1e-4)
            raw = agent.replay.windows(np.arange(2, 40))
            seen = agent._batch(raw)
            for leaf, before in ((seen.obs, raw.obs), (seen.next_obs, raw.next_obs)):
                assert np.allclose(leaf["obs"].numpy(), theirs.normalize_obs(before["obs"]), atol=1e-4)
    assert agent.returns.var.item() == pytest.approx(float(theirs.ret_rms.var), rel=1e-4)
    assert agent.returns.running.numpy() == pytest.approx(0.9 * theirs.returns, rel=1e-4)  # at the next row
    raw = agent.replay.windows(np.arange(2, 40))
    assert np.allclose(agent._batch(raw).reward.numpy(), theirs.normalize_reward(raw.reward[0]), rtol=1e-4)


def test_n_step_rewards_are_clipped_and_divided_one_by_one_before_they_are_summed() -> None:
    config = DQNConfig(net=TABLE_NET, n_step=2, gamma=0.5, reward_clip=3.0, normalize_return=True, buffer_size=64)
    agent: Any = agents.build(config, TABLE, num_envs=1, seed=0)
    for ts in (row(0, first=True), row(1, reward=2.0), row(2, reward=50.0), row(3, reward=0.0)):
        agent.observe(ts)
    returns = [2.0, 3.0 + 1.0, 2.0]
    assert agent.returns.count == 3 and agent.returns.var.item() == pytest.approx(np.var(returns))
    seen = agent._batch(agent.replay.windows(np.array([0]), 2)).reward.item()
    assert seen == pytest.approx((2.0 + 0.5 * 3.0) / np.std(returns), rel=1e-4)
    assert agent.replay.windows(np.array([1])).reward.item() == 50.0  # stored raw


@pytest.mark.parametrize("name", ["dqn", "c51", "qrdqn", "iqn", "pqn", "sac"])
def test_every_learner_acts_by_the_standardised_observation(name: str) -> None:
    plain = agents.config(name)
    wanted = type(plain)(net=NET, normalize_obs=True)
    agent: Any = agents.build(wanted, VECTOR, num_envs=1, seed=0)
    bare: Any = agents.build(type(plain)(net=NET), VECTOR, num_envs=1, seed=0)
    with torch.no_grad():
        for ours, theirs in zip(agent.network.parameters(), bare.network.parameters(), strict=True):
            theirs.copy_(ours.normal_(0, 1))
    agent.normalisers[0].update({"obs": torch.tensor([[40.0], [60.0]])})
    for value in (30.0, 52.0, 81.0):
        outputs = []
        for one, shown in ((agent, value), (bare, (value - 50) / 10)):
            actor = one.actor(1, 3)
            actor.act(vector_row(shown, first=True))
            out = actor.output
            outputs.append(out.dist.log_probs if hasattr(out, "dist") else out.q_values)
        assert torch.allclose(*outputs, atol=1e-4)


def test_a_loaded_policy_has_the_moments_of_the_saved_one() -> None:
    config = SACConfig(**BOTH, learning_starts=20, batch_size=8, buffer_size=90)
    world = envs.make("Pendulum-v1", num_envs=2, seed=0)
    agent = agents.build(config, world.spec, num_envs=2, seed=0)
    for slot in interact(world, agent, 60):
        ts = slot.ts
    world.close()
    again = agents.build(config, world.spec, num_envs=1, seed=1)
    again.load_agent_state(agent.agent_state())
    assert np.array_equal(again.predict(ts.obs, deterministic=True)[0], agent.predict(ts.obs, deterministic=True)[0])
    assert again.normalisers[0].moments[0].count == agent.normalisers[0].moments[0].count > 40


def test_pqn_divides_rewards_by_the_deviation_before_the_rollout() -> None:
    agent: Any = agents.build(
        PQNConfig(net=TABLE_NET, q_lambda=0.0, gamma=0.5, rollout=2, minibatches=1, normalize_return=True),
        TABLE,
        num_envs=1,
        seed=0,
    )
    agent.returns.update(torch.tensor([0.0, 4.0]))  # deviation 2
    for ts in (row(0, first=True), row(1, reward=3.0), row(2, reward=100.0, discount=0.0)):
        agent.observe(ts)
        agent.act(ts)
    with torch.no_grad():
        agent.network.head.advantage.weight.zero_()
        agent.network.head.advantage.bias.zero_()
    agent.replay.newest(3)[1]["value"][:] = 0.0
    targets = agent.rollout(3).rows.target[:, 0]
    assert targets[1].item() == 10.0  # 50, clipped


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (lambda: DQNConfig(net=NetConfig(encoder="simba"), normalize_obs=True), "simba' standardises observations"),
        (
            lambda: SACConfig(critic_net=NetConfig(encoder="simba", hidden=(8,)), normalize_obs=True),
            "critic_net.encoder 'simba' standardises",
        ),
        (
            lambda: agents.build(DQNConfig(normalize_obs=True), TABLE, num_envs=1, seed=0),
            "normalize_obs is for vectors",
        ),
        (
            lambda: agents.build(R2D2Config(net=NetConfig(core="gru"), normalize_obs=True), TABLE, num_envs=1, seed=0),
            "normalize_obs is for vectors",
        ),
    ],
)
def test_normalisation_without_an_effect_is_refused(config: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        config()


def test_without_the_fields_nothing_is_kept() -> None:
    agent: Any = agents.build(DQNConfig(net=NET), VECTOR, num_envs=1, seed=0)
    agent.observe(vector_row(0.0, first=True))
    assert isinstance(agent, ReplayAgent) and agent.normalisers == [] and agent.returns is None
    assert not any("normaliser" in name for name in agent.network.state_dict())
    obs = {"obs": torch.zeros(1, 1)}
    assert agent.normalised(obs) is obs
    assert "returns" not in agent.learner_state()
