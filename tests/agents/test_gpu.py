"""What needs a GPU: the agents' contract there, the CPU's numbers, and the recorded update. Skipped without one."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
import envs
from agents.c51 import C51Config
from agents.dqn import DQN, DQNConfig
from agents.iqn import IQNConfig
from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from agents.qrdqn import QRDQNConfig
from rl.cuda_graph import CudaGraph
from rl.distributions import PolicyConfig
from rl.loop import interact
from rl.networks import NetConfig
from runs.recipe import Run
from runs.testing import check_agent
from runs.training.train import resume, train
from tests.agents.test_contract import AGENTS, CONTINUOUS, EVERY, NET, VALUE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")

PONG = "ALE/Pong-v5"
PIXELS: dict[str, Any] = {**VALUE, "net": NetConfig(encoder="nature", hidden=(16,)), "batch_size": 32, "stack": 4}
PICTURES: dict[str, Any] = {
    "dqn": DQNConfig(**PIXELS),
    "dqn bf16": DQNConfig(**PIXELS, precision="bf16", store="compressed"),
    "c51": C51Config(**PIXELS, prioritized=True, noisy=True, n_step=3),
    "iqn": IQNConfig(**PIXELS, munchausen=True, noisy=True),
    "impala": IQNConfig(
        **{**PIXELS, "net": NetConfig(encoder="impala", spectral_norm=True, max_pool=6, hidden=(16,))}, head_hidden=16
    ),
    "btr_lite": dataclasses.replace(
        agents.config("btr_lite"), batch_size=8, buffer_size=200, learning_starts=40, replay_ratio=0.1, update_every=20
    ),
    "ppo": PPOConfig(net=PIXELS["net"], stack=4, rollout=10, epochs=2, minibatch_size=8),
    "ppo bf16": PPOConfig(net=PIXELS["net"], stack=4, rollout=10, epochs=2, minibatch_size=8, precision="bf16"),
    "ppo lstm": PPOConfig(net=dataclasses.replace(PIXELS["net"], core="lstm", core_size=8), rollout=10, epochs=2),
    "pqn": PQNConfig(net=dataclasses.replace(PIXELS["net"], layer_norm=True), stack=4, rollout=10, minibatches=3),
}


@pytest.mark.parametrize("name", AGENTS)
def test_agents_keep_the_contract(name: str) -> None:
    check_agent(AGENTS[name], device="cuda")


@pytest.mark.parametrize("name", CONTINUOUS)
def test_policy_agents_keep_the_contract_on_pendulum(name: str) -> None:
    check_agent(CONTINUOUS[name], "Pendulum-v1", device="cuda")


@pytest.mark.parametrize("name", PICTURES)
def test_agents_keep_the_contract_on_pictures(name: str) -> None:
    check_agent(PICTURES[name], PONG, device="cuda")


@pytest.mark.parametrize("game", ["Breakout", "SpaceInvaders"])
def test_rainbow_keeps_the_contract_on_the_arcade(game: str) -> None:
    config = dataclasses.replace(agents.config("rainbow"), learning_starts=40, buffer_size=90, target_every=5)
    check_agent(config, f"Arcade/{game}-v1", device="cuda")


def learner(config: Any, device: str, env: str = "CartPole-v1", steps: int = 60) -> Any:
    """An agent that has played at random and learned nothing yet."""
    world = envs.make(env, num_envs=2, seed=0)
    agent = agents.build(config, world.spec, num_envs=2, seed=0, device=device)
    for _ in interact(world, agent, steps):
        pass
    world.close()
    return agent


WAITING = {**VALUE, "learning_starts": 1_000}
LEARNERS: dict[str, Any] = {
    "dqn": DQNConfig(**WAITING),
    "dqn all fields": DQNConfig(**WAITING, double=True, dueling=True, n_step=3, prioritized=True, stack=3),
    "c51": C51Config(**WAITING, v_min=0.0, v_max=50.0, double=True),
    "c51 munchausen": C51Config(**WAITING, munchausen=True),
    "qrdqn": QRDQNConfig(**WAITING, n_step=3),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_an_update_is_the_cpus(name: str) -> None:
    cpu, gpu = (learner(LEARNERS[name], device) for device in ("cpu", "cuda"))
    for _ in range(6):  # the recorded ones among them
        said = [agent.learn(agent.sample()) for agent in (cpu, gpu)]
        assert float(said[0]["loss"]) == pytest.approx(float(said[1]["loss"]), rel=1e-3, abs=1e-5)
    for a, b in zip(cpu.network.parameters(), gpu.network.parameters(), strict=True):
        assert torch.allclose(a, b.cpu(), atol=2e-4)


RECORDED: dict[str, Any] = {
    **LEARNERS,
    "c51 all fields": C51Config(**WAITING, **EVERY, double=True),
    "iqn": IQNConfig(**WAITING),
    "iqn all fields": IQNConfig(**WAITING, **EVERY, munchausen=True),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_update_equals_the_launched_one(name: str) -> None:
    plain, recorded = (
        learner(dataclasses.replace(RECORDED[name], cuda_graph=graph), "cuda") for graph in ("off", "auto")
    )
    assert plain.choices()["cuda_graph"] is False and recorded.choices()["cuda_graph"] is True
    for _ in range(12):  # the target moves at 5 and 10
        said = [agent.learn(agent.sample()) for agent in (plain, recorded)]
        for metric, value in said[0].items():
            assert torch.equal(value, said[1][metric]), metric
    assert recorded._cuda_graph.graph is not None
    for a, b in zip(plain.network.parameters(), recorded.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_metrics_of_a_recorded_update_stay_what_they_were() -> None:
    agent = learner(LEARNERS["dqn"], "cuda")
    said = [agent.learn(agent.sample()) for _ in range(8)]
    assert len({float(m["loss"]) for m in said}) == 8


def test_a_copy_of_an_agent_learns_by_a_graph_of_its_own() -> None:
    agent = learner(LEARNERS["c51"], "cuda")
    for _ in range(6):
        agent.learn(agent.sample())
    other, before = copy.deepcopy(agent), agent.optimizer.flat.clone()
    for _ in range(6):
        other.learn(other.sample())
    assert torch.equal(agent.optimizer.flat, before)
    for _ in range(6):
        agent.learn(agent.sample())
    assert not torch.equal(agent.optimizer.flat, before)
    assert torch.equal(agent.optimizer.flat, other.optimizer.flat)


def test_another_network_or_a_frozen_layer_is_recorded_anew() -> None:
    agent = learner(LEARNERS["dqn"], "cuda")
    for _ in range(5):
        agent.learn(agent.sample())
    first = agent._cuda_graph
    layer = next(agent.network.parameters())
    layer.requires_grad_(False)
    kept = layer.clone()
    for _ in range(6):
        agent.learn(agent.sample())
    assert agent._cuda_graph is not first and torch.equal(layer, kept)


class Peeking(DQN):
    """Reads a number back in its loss, which a recording cannot; it does not say that it can be recorded."""

    name = "peeking"

    def loss(self, batch: Any) -> Any:
        out = super().loss(batch)
        assert float(out.loss.mean()) >= 0
        return out


def test_a_users_subclass_is_not_recorded() -> None:
    agent = Peeking(envs.spec("CartPole-v1"), LEARNERS["dqn"], num_envs=2, seed=0, device="cuda")
    assert not agent._uses_cuda_graph()


def test_what_cannot_be_recorded_runs_all_the_same() -> None:
    seen = []

    def peeks(x: torch.Tensor) -> torch.Tensor:
        seen.append(float(x.sum()))
        return x * 2

    twice = CudaGraph(peeks, torch.device("cuda"))
    stream = torch.cuda.current_stream()
    numbers = [torch.full((3,), float(i), device="cuda") for i in range(8)]
    with pytest.warns(UserWarning, match="without a CUDA graph"):
        out = [twice(x) for x in numbers]
    assert [float(x[0]) for x in out] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]
    assert twice.graph is None and torch.cuda.current_stream() == stream
    assert torch.equal(torch.ones(2, device="cuda") + 1, torch.full((2,), 2.0, device="cuda"))  # CUDA is in order


def test_a_recorded_function_takes_other_shapes_and_draws_anew() -> None:
    generator = torch.Generator("cuda").manual_seed(3)
    drawn = CudaGraph(
        lambda x: x + torch.rand(x.shape, generator=generator, device="cuda"), torch.device("cuda"), [generator]
    )
    given = torch.zeros(4, device="cuda")
    out = [drawn(given) for _ in range(8)]
    assert drawn.graph is not None
    again = torch.Generator("cuda").manual_seed(3)
    for x in out:
        assert torch.equal(x, torch.rand(4, generator=again, device="cuda"))
    assert drawn(torch.zeros(5, device="cuda")).shape == (5,)
    saved = generator.get_state()  # as a checkpoint keeps it
    first = drawn(given)
    generator.set_state(saved)
    assert torch.equal(drawn(given), first)


@pytest.mark.parametrize(("before", "after"), [("cuda", "cpu"), ("cpu", "cuda")])
@pytest.mark.parametrize("name", ["ppo", "dqn", "iqn all fields", "r2d2", "pqn lstm"])
def test_a_run_goes_on_on_the_other_device(name: str, before: str, after: str, tmp_path: Path) -> None:
    run = Run("CartPole-v1", AGENTS[name], steps=60, num_envs=2, eval_episodes=1, eval_max_steps=5)
    train(run, out=tmp_path / "run", device=before)
    assert resume(tmp_path / "run", steps=120, device=after)["steps"] == 120


def test_policies_say_the_same_on_both() -> None:
    spec = envs.spec("Pendulum-v1")
    config = PPOConfig(net=NET, policy=PolicyConfig(deviation="state"))
    cpu, gpu = (agents.build(config, spec, num_envs=2, seed=0, device=d) for d in ("cpu", "cuda"))
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    with torch.inference_mode():
        a, b = (x.network({"obs": torch.from_numpy(obs).to(x.device)}) for x in (cpu, gpu))
    assert torch.allclose(a.value, b.value.cpu(), atol=1e-5)
    assert torch.allclose(a.dist.mode(), b.dist.mode().cpu(), atol=1e-5)
