"""The single-file DQN and PPO of docs/: short, free of this suite, equal to its updates, and able to learn."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import envs
from agents.dqn import DQN, DQNConfig
from agents.ppo import PPO, PPOConfig
from agents.rollout import Rollout
from rl.loop import interact
from rl.networks import NetConfig

FOLDER = Path(__file__).parents[2] / "docs" / "single_file"
NET = NetConfig(hidden=(64, 64))


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"single_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["dqn", "ppo"])
def test_it_is_short_and_imports_nothing_from_here(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 150
    found = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {a.name for n in found if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in found if isinstance(n, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & {"rl", "agents", "envs", "runs", "tests"}


def copy_weights(theirs: torch.nn.Module, ours: torch.nn.Module) -> None:
    with torch.no_grad():
        for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
            a.copy_(b)


def distance(theirs: torch.nn.Module, ours: torch.nn.Module) -> float:
    """The largest difference between two weights."""
    return max((a - b).abs().max().item() for a, b in zip(theirs.parameters(), ours.parameters(), strict=True))


def play(agent: Any, env: Any, updates: int) -> None:
    for _ in interact(env, agent, 10**6):
        if agent.updates >= updates:
            return


def test_a_hundred_updates_of_dqn_equal_the_suite_s() -> None:
    single = load("dqn")
    env = envs.make("CartPole-v1", seed=0)
    fields: Any = {"batch_size": 64, "replay_ratio": 1.0, "update_every": 1, "target_every": 20, "learning_starts": 100}
    agent = DQN(env.spec, DQNConfig(net=NET, lr=1e-3, **fields), num_envs=1, seed=0)
    network, target = single.q_network(4, 2), single.q_network(4, 2)
    copy_weights(network, agent.network)
    copy_weights(target, agent.target)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses: list[tuple[float, float]] = []
    learn = agent.learn

    def both(windows: Any) -> Any:
        b = agent._batch(windows)
        batch = [b.obs["obs"], b.action, b.reward, (b.discount == 0).float(), b.next_obs["obs"]]
        theirs = single.update(network, target, optimizer, [x.clone() for x in batch])
        metrics = learn(windows)
        losses.append((theirs.item(), metrics["loss"].item()))
        if agent.updates % 20 == 0:
            target.load_state_dict(network.state_dict())
        return metrics

    agent.learn = both  # type: ignore[method-assign]
    play(agent, env, 100)
    env.close()
    assert len(losses) == 100
    assert max(abs(a - b) for a, b in losses) < 1e-6, max(abs(a - b) for a, b in losses)
    assert distance(network, agent.network) < 1e-6, distance(network, agent.network)


def test_the_target_of_double_dqn_equals_the_suite_s() -> None:
    single = load("dqn")
    env = envs.make("CartPole-v1", seed=0)
    agent = DQN(env.spec, DQNConfig(net=NET, double=True, learning_starts=50, target_every=30), num_envs=1, seed=0)
    play(agent, env, 50)
    env.close()
    with torch.no_grad():
        for p in agent.network.parameters():
            p.neg_()  # so that both networks choose differently
    b = agent._batch(agent.sample())
    target, online = ((lambda obs, net=net: net({"obs": obs}).q_values) for net in (agent.target, agent.network))
    row = (target, b.reward, (b.discount == 0).float(), b.next_obs["obs"])
    assert single.target_of(*row, online).allclose(agent.regression_target(b), atol=1e-6)
    assert not single.target_of(*row).allclose(single.target_of(*row, online), atol=1e-3)


def test_a_hundred_updates_of_ppo_equal_the_suite_s() -> None:
    single = load("ppo")
    env = envs.make("CartPole-v1", num_envs=8, seed=0)
    config = PPOConfig(
        net=NetConfig(hidden=(64, 64), activation="tanh", orthogonal=True),
        gamma=single.GAMMA,
        gae_lambda=single.LAMBDA,
        rollout=32,
        minibatch_size=64,
        epochs=5,
        lr=1e-3,
    )
    agent = PPO(env.spec, config, num_envs=8, seed=0)
    network = single.ActorCritic(4, 2)
    copy_weights(network, agent.network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-5)
    apart: list[float] = []  # relative to the largest advantage or target
    advantages = agent.advantages
    order = torch.Generator().manual_seed(0)  # rounding grows with the order of the rows: at most 1.5e-6 were seen

    def compared(reward: Any, discount: Any, first: Any, value: Any) -> Any:
        found = advantages(reward, discount, first, value)
        theirs = single.gae(reward, (discount == 0) & ~first, first, value)
        apart.extend(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, theirs, strict=True))
        return found

    def shuffled(rollout: Rollout, passes: int, parts: int) -> Iterator[Any]:
        """As `RolloutAgent.shuffled`, and each minibatch goes to the single file too."""
        rows = rollout.rows
        columns = (rows.obs["obs"], rows.action, rows.log_prob, rows.advantage, rows.target)
        flat = [x.flatten(0, 1).clone() for x in columns]
        items = agent.items(rollout)
        for _ in range(passes):
            for index in items[torch.randperm(len(items), generator=order)].tensor_split(parts):
                single.update(network, optimizer, [x[index] for x in flat])
                yield agent.select(rollout, index)

    agent.advantages = compared  # type: ignore[method-assign]
    agent.shuffled = shuffled  # type: ignore[method-assign]
    play(agent, env, 100)
    env.close()
    assert agent.updates == 100 and len(apart) == 10
    assert max(apart) < 1e-6
    assert distance(network, agent.network) < 1e-6, distance(network, agent.network)


@pytest.mark.parametrize(("name", "steps", "least"), [("dqn", 5_000, 60.0), ("ppo", 8_000, 60.0)])
def test_it_learns_to_balance(name: str, steps: int, least: float) -> None:
    single = load(name)
    assert single.evaluate(single.train(steps, seed=0), games=5) > least  # random play scores 22
