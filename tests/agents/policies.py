"""Policy agents whose network is a table, and hand-made minibatches for their losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import agents
import envs
from agents.policy import PolicyAgent, PolicyBatch
from envs import EnvConfig
from rl.interface import EnvSpec
from rl.loop import interact
from tests.agents.worlds import TABLE, TABLE_NET

PROBABILITIES = [[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6], [0.6, 0.3, 0.1]]
VALUES = [1.0, 2.0, -1.0, 0.5]


def table_agent(config: Any, num_envs: int = 1, spec: EnvSpec = TABLE) -> Any:
    """The agent of `config`, with network `TABLE_NET`, that says `PROBABILITIES` and `VALUES`."""
    agent = agents.build(config, spec, num_envs=num_envs, seed=0)
    assert config.net == TABLE_NET
    with torch.no_grad():
        agent.network.policy.logits.weight.copy_(torch.tensor(PROBABILITIES).log().T)
        agent.network.policy.logits.bias.zero_()
        agent.network.value.weight.copy_(torch.tensor([VALUES]))
        agent.network.value.bias.zero_()
    return agent


def batch(
    states: list[int],
    actions: list[int],
    advantage: list[float],
    target: list[float],
    *,
    probability: list[float] | None = None,
    value: list[float] | None = None,
) -> PolicyBatch:
    """Transitions of the table; `probability` and `value` as acted with, today's where not given."""
    old = probability or [PROBABILITIES[s][a] for s, a in zip(states, actions, strict=True)]
    count = len(states)
    return PolicyBatch(
        obs={"obs": torch.tensor(states).unsqueeze(1)},
        mask=None,
        first=torch.zeros(count, dtype=torch.bool),
        state=torch.zeros(0, 0),
        action=torch.tensor(actions),
        log_prob=torch.tensor(old).log(),
        value=torch.tensor(value or [VALUES[s] for s in states]),
        advantage=torch.tensor(advantage),
        target=torch.tensor(target),
        valid=torch.ones(count, dtype=torch.bool),
    )


def entropy(state: int) -> float:
    p = np.array(PROBABILITIES[state])
    return float(-(p * np.log(p)).sum())


def train(
    config: Any,
    env: str,
    steps: int,
    num_envs: int = 4,
    watch: Callable[[Any, Any], None] | None = None,
    **options: Any,
) -> PolicyAgent:
    """The agent after `steps` on `env`; `watch(agent, slot)` sees every slot."""
    world = envs.make(env, num_envs=num_envs, seed=0, config=EnvConfig(options=options))
    agent: PolicyAgent = agents.build(config, world.spec, num_envs=num_envs, seed=0)
    for slot in interact(world, agent, steps):
        if watch:
            watch(agent, slot)
    world.close()
    return agent


def values(agent: Any, obs: list[list[float]]) -> list[float]:
    """What the agent thinks observations are worth: its value, or the greatest of its action values."""
    leaf = torch.tensor(obs)
    with torch.no_grad():
        if isinstance(agent, PolicyAgent):
            return list(agent.network({"obs": leaf}, torch.zeros(len(obs), 0)).value.tolist())
        return list(agent.network({"obs": leaf}).q_values.max(-1).values.tolist())


def greedy(agent: Any, obs: list[list[float]]) -> list[Any]:
    return [agent.predict(np.array(x, np.float32), deterministic=True)[0].tolist() for x in obs]
