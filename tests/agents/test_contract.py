"""One contract for every agent, on every kind of action and observation it takes."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch

import agents
import envs
from agents.a2c import A2CConfig
from agents.alphazero import AlphaZeroConfig
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
from envs import EnvConfig
from rl.distributions import PolicyConfig
from rl.loop import interact
from rl.networks import NetConfig
from rl.networks.config import ResNetConfig
from rl.search.search import SearchConfig
from runs.testing import check_agent

NET = NetConfig(hidden=(8,))
SIMBA = NetConfig(encoder="simba", hidden=(8,))
LSTM = NetConfig(hidden=(8,), core="lstm", core_size=6)
GRU = NetConfig(hidden=(8,), core="gru", core_size=6)
ATTENTION = NetConfig(hidden=(8,), core="attention", core_size=6, core_span=4)
VALUE: dict[str, Any] = {"net": NET, "learning_starts": 20, "batch_size": 8, "buffer_size": 90, "target_every": 5}
EVERY: dict[str, Any] = {
    "dueling": True,
    "noisy": True,
    "prioritized": True,
    "n_step": 3,
    "stack": 3,
    "target_tau": 0.5,
    "head_hidden": 8,
}
SEQUENCES: dict[str, Any] = {"burn_in": 3, "length": 6, "period": 4}
SHORT: dict[str, Any] = {"net": NET, "rollout": 10}
OFF_POLICY: dict[str, Any] = {"net": NET, "learning_starts": 20, "batch_size": 8, "buffer_size": 90}
NORMALISED: dict[str, Any] = {"normalize_obs": True, "normalize_return": True}
CRITICS: dict[str, Any] = {"dropout": 0.1, "stack": 3, "n_step": 3, "prioritized": True, "policy_delay": 3}

AGENTS: dict[str, Any] = {
    "dqn": DQNConfig(**VALUE),
    "dqn all fields": DQNConfig(
        **VALUE, double=True, dueling=True, noisy=True, prioritized=True, n_step=3, stack=3, target_tau=0.5
    ),
    "dqn munchausen": DQNConfig(**VALUE, munchausen=True, huber=False),
    "c51": C51Config(**VALUE, v_min=0.0, v_max=50.0),
    "c51 all fields": C51Config(**VALUE, **EVERY, double=True),
    "c51 munchausen": C51Config(**VALUE, munchausen=True),
    "qrdqn": QRDQNConfig(**VALUE),
    "qrdqn all fields": QRDQNConfig(**VALUE, **EVERY, double=True),
    "qrdqn munchausen": QRDQNConfig(**VALUE, munchausen=True),
    "iqn": IQNConfig(**VALUE),
    "iqn all fields": IQNConfig(**VALUE, **EVERY, double=True, taus=4, next_taus=5, act_taus=6),
    "iqn munchausen": IQNConfig(**VALUE, **EVERY, munchausen=True),
    "ppo": PPOConfig(**SHORT, epochs=2, minibatch_size=8),
    "ppo all fields": PPOConfig(
        **SHORT,
        epochs=3,
        minibatch_size=7,
        stack=2,
        normalize_obs=True,
        normalize_return=True,
        target_kl=0.01,
        value_clip=0.2,
    ),
    "dqn normalised": DQNConfig(**VALUE, **NORMALISED, stack=2, n_step=2),
    "r2d2 normalised": R2D2Config(**{**VALUE, "net": LSTM}, **SEQUENCES, **NORMALISED),
    "pqn normalised": PQNConfig(**SHORT, **NORMALISED, minibatches=3),
    "ppo lstm": PPOConfig(**{**SHORT, "net": LSTM}, epochs=2, minibatch_size=8, normalize_obs=True),
    "ppo gru shared": PPOConfig(**{**SHORT, "net": GRU}, epochs=2, minibatch_size=8, critic="shared"),
    "r2d2": R2D2Config(**{**VALUE, "net": LSTM}, **SEQUENCES, prioritized=True, n_step=3, double=True, dueling=True),
    "ppo attention": PPOConfig(**{**SHORT, "net": ATTENTION}, epochs=2, minibatch_size=8),
    "pqn attention": PQNConfig(**{**SHORT, "net": ATTENTION}, minibatches=2),
    "r2d2 attention": R2D2Config(**{**VALUE, "net": ATTENTION}, **SEQUENCES, prioritized=True, n_step=3),
    "r2d2 every row": R2D2Config(**{**VALUE, "net": LSTM}, **{**SEQUENCES, "period": 1}),
    "drqn": R2D2Config(**{**VALUE, "net": GRU}, **{**SEQUENCES, "burn_in": 0}, stored_state=False, rescale=False),
    "r2d2 noisy stacked": R2D2Config(**{**VALUE, "net": GRU}, **SEQUENCES, noisy=True, stack=2),
    "pqn": PQNConfig(**SHORT, minibatches=3, dueling=True, stack=2),
    "pqn lstm": PQNConfig(**{**SHORT, "net": LSTM}, minibatches=2),
    "a2c": A2CConfig(net=NET),
    "a2c lstm": A2CConfig(net=LSTM),
    "reinforce": ReinforceConfig(net=NET, episodes=2),
    "reinforce plain": ReinforceConfig(net=NET, episodes=1, baseline=False),
    "dqn simba": DQNConfig(**{**VALUE, "net": SIMBA}, stack=2),
    "ppo simba": PPOConfig(**{**SHORT, "net": SIMBA}, epochs=2),
    "pqn simba": PQNConfig(**{**SHORT, "net": SIMBA}, minibatches=3, stack=2),
    "sac": SACConfig(**OFF_POLICY),
    "sac all fields": SACConfig(**OFF_POLICY, **CRITICS, batch_renorm=True, renorm_warmup=20),
}


@pytest.mark.parametrize("name", AGENTS)
def test_agents_keep_the_contract_on_cartpole(name: str) -> None:
    check_agent(AGENTS[name])


CONTINUOUS = {
    "gaussian": PPOConfig(**SHORT, epochs=2),
    "state deviation, squashed": PPOConfig(**SHORT, epochs=2, policy=PolicyConfig(deviation="state", squash=True)),
    "gsde": PPOConfig(**SHORT, epochs=2, policy=PolicyConfig(deviation="gsde", log_std=-2.0)),
    "a2c": A2CConfig(net=NET),
    "sac": SACConfig(**OFF_POLICY),
    "sac simba": SACConfig(**{**OFF_POLICY, "net": SIMBA}, optimizer="adamw", weight_decay=0.01),
    "sac normalised": SACConfig(**OFF_POLICY, **NORMALISED, n_step=2, stack=2),
    "td3 normalised": TD3Config(**OFF_POLICY, **NORMALISED, prioritized=True),
    "sac gsde": SACConfig(**OFF_POLICY, gsde=True, log_std=-2.0, temperature=0.1),
    "sac all fields": SACConfig(**OFF_POLICY, **CRITICS, quantiles=5, critics=3, critic_net=NetConfig(hidden=(9, 7))),
    "sac batch renorm": SACConfig(**OFF_POLICY, batch_renorm=True, renorm_warmup=20, beta1=0.5, policy_delay=3),
    "td3": TD3Config(**OFF_POLICY),
    "td3 all fields": TD3Config(**OFF_POLICY, **CRITICS, quantiles=5, batch_renorm=True, renorm_warmup=20),
    "gsde lstm": PPOConfig(**{**SHORT, "net": LSTM}, epochs=2, policy=PolicyConfig(deviation="gsde", log_std=-2.0)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_agents_keep_the_contract_on_pendulum(name: str) -> None:
    check_agent(CONTINUOUS[name], "Pendulum-v1")


@pytest.mark.parametrize("name", ["dqn all fields", "c51 all fields", "iqn all fields", "ppo all fields"])
def test_agents_keep_the_contract_on_categories(name: str) -> None:
    check_agent(AGENTS[name] if name != "ppo all fields" else PPOConfig(**SHORT, epochs=2, stack=2), "Taxi-v4")


PLANNING = AlphaZeroConfig(
    net=ResNetConfig(channels=4, blocks=1),
    simulations=6,
    fast_simulations=3,
    full_share=0.5,
    eval_simulations=4,
    learning_starts=20,
    batch_size=8,
    buffer_size=90,
    window=60,
    update_every=4,
    replay_ratio=0.25,
)


@pytest.mark.parametrize(("rule", "self_play"), [("gumbel", True), ("puct", False)])
def test_alphazero_keeps_the_contract_on_a_board(rule: Any, self_play: bool) -> None:
    config = dataclasses.replace(PLANNING, search=SearchConfig(rule=rule))
    check_agent(config, "Boards/TicTacToe-v1", env_config=EnvConfig(options={"self_play": self_play}))


@pytest.mark.parametrize("name", AGENTS)
def test_a_copy_learns_as_the_original_does_and_apart_from_it(name: str) -> None:
    def go_on(agent: Any) -> dict[str, Any]:
        world = envs.make("CartPole-v1", num_envs=2, seed=4)
        for _ in interact(world, agent, 90):
            pass
        world.close()
        return {k: v.clone() for k, v in agent.network.state_dict().items()}

    agent = agents.build(AGENTS[name], envs.spec("CartPole-v1"), num_envs=2, seed=0)
    before = go_on(agent)
    other = copy.deepcopy(agent)
    theirs = go_on(other)
    assert all(torch.equal(v, before[k]) for k, v in agent.network.state_dict().items())
    assert any(not torch.equal(v, before[k]) for k, v in theirs.items())
    assert all(torch.equal(v, theirs[k]) for k, v in go_on(agent).items())


@pytest.mark.parametrize("name", ["dqn", "c51", "qrdqn", "iqn", "pqn", "ppo", "a2c", "reinforce"])
def test_acting_says_what_the_network_says(name: str) -> None:  # also where a small network acts by NumPy
    agent = agents.build(agents.config(name), envs.spec("CartPole-v1"), num_envs=2, seed=0)
    with torch.no_grad():
        for p in agent.network.parameters():
            p.normal_(0, 0.5)
    obs = {"obs": torch.randn(2, 4)}
    ts = envs.make("CartPole-v1", num_envs=2).reset()
    with torch.inference_mode():
        said = agent.choose(agent.actor(2, 0), obs, ts).output
        if hasattr(said, "dist"):
            out = agent.network(obs, torch.zeros(2, 0))
            assert torch.allclose(said.dist.log_probs, out.dist.log_probs, atol=1e-5)
            assert torch.allclose(said.value, out.value, atol=1e-5)
        else:
            out = agent.network(obs)
            assert [x is None for x in said] == [x is None for x in out]
            if out.taus is None:  # IQN draws its fractions anew
                assert torch.allclose(said.q_values, out.q_values, atol=1e-5)


@pytest.mark.parametrize("name", ["dqn simba", "ppo simba", "pqn simba", "sac", "dqn normalised", "pqn normalised"])
def test_only_training_rows_move_the_running_observation_statistics(name: str) -> None:
    config = AGENTS[name] if name != "sac" else SACConfig(**{**OFF_POLICY, "net": SIMBA})
    world = envs.make("CartPole-v1", num_envs=2, seed=4)
    agent = agents.build(config, world.spec, num_envs=2, seed=0)
    for slot in interact(world, agent, 60):
        before = [n.moments[0].count.item() for n in agent.normalisers]
        agent.actor(2, 0).act(slot.ts)
        assert [n.moments[0].count.item() for n in agent.normalisers] == before
    world.close()
    counts = {n.moments[0].count.item() for n in agent.normalisers}
    assert len(counts) == 1 and 40 <= counts.pop() <= 64  # in the policy, the critics and the targets alike
