"""The conformance test for agents, this suite's and yours: `from runs.testing import check_agent`."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import agents
import envs
from agents.base import Agent
from envs import EnvConfig
from rl import checkpoint
from rl.interface import Env, EnvSpec
from rl.loop import interact


def check_agent(
    config: Any,
    env: str = "CartPole-v1",
    *,
    num_envs: int = 2,
    steps: int = 120,
    device: str = "cpu",
    env_config: EnvConfig | None = None,
) -> None:
    """Trains the agent of `config` on `env` for `steps` steps and checks what the suite requires of an agent.

    - Actions fit the action space and are NumPy arrays.
    - Updates change the weights, which stay finite.
    - Acting in other streams, greedy or sampled, does not change the training (bit for bit).
    - The same seed gives the same run. A run that is saved to files and loaded continues bit for bit.
    - `predict` takes and returns what SB3's does.

    Raises AssertionError with the requirement that the agent does not meet.
    """
    spec = envs.spec(env, env_config)
    run = (config, env, env_config, num_envs, steps, device)
    plain = _train(*run)
    assert plain.step == steps, f"the agent counted {plain.step} steps, the loop {steps}"
    assert plain.updates > 0, f"no update in {steps} steps: lower learning_starts or rollout"
    for name, value in plain.network.state_dict().items():
        assert bool(torch.isfinite(value.double()).all()), f"{name} is not finite"
    untrained = _build(config, spec, num_envs, device)
    assert not _equal(plain.agent_state(), untrained.agent_state()), "updates change nothing"
    _same(_train(*run), plain, "the same seed gave another run")
    _same(_train(*run, others=True), plain, "other streams changed the training")
    with tempfile.TemporaryDirectory() as folder:
        _same(_interrupted(*run, Path(folder)), plain, "a resumed run differs")
    _check_predict(plain, env)


def _build(config: Any, spec: EnvSpec, num_envs: int, device: str) -> Agent:
    agent: Agent = agents.build(config, spec, num_envs=num_envs, seed=7, device=device)
    return agent


def _check_action(agent: Agent, action: Any, count: int) -> None:
    spec = agent.spec.action
    assert isinstance(action, np.ndarray), f"act returned {type(action).__name__}, not a NumPy array"
    assert action.shape == (count, *spec.shape), f"act returned shape {action.shape}, not {(count, *spec.shape)}"
    assert str(action.dtype) == spec.dtype, f"act returned {action.dtype}, not {spec.dtype}"
    if spec.kind != "box":
        assert (action >= 0).all() and (action < np.array(spec.nvec)).all(), f"actions {action} leave {spec.nvec}"


def _train(
    config: Any, env: str, made: EnvConfig | None, num_envs: int, steps: int, device: str, others: bool = False
) -> Agent:
    """The agent after its training. With `others`, two other acting streams play between its steps."""
    world = envs.make(env, num_envs=num_envs, seed=7, config=made)
    agent = _build(config, world.spec, num_envs, device)
    actors = [agent.actor(3, 1, sample=sample) for sample in (False, True)] if others else []
    played = envs.make(env, num_envs=3, seed=1, stream="evaluate")
    row = played.reset()
    for slot in interact(world, agent, steps):
        for actor in actors:
            action = actor.act(row)
            _check_action(agent, action, 3)
            row = played.step(action)
        attached = [name for name, v in (slot.metrics or {}).items() if getattr(v, "requires_grad", False)]
        assert not attached, f"metrics are not detached: {', '.join(attached)}"
    world.close()
    played.close()
    return agent


def _interrupted(
    config: Any, env: str, made: EnvConfig | None, num_envs: int, steps: int, device: str, folder: Path
) -> Agent:
    """The agent after a training that is saved to `folder` half-way and continued by a new agent."""
    world = envs.make(env, num_envs=num_envs, seed=7, config=made)
    agent = _build(config, world.spec, num_envs, device)
    cut = next(s for s in interact(world, agent, steps) if s.step >= steps // 2)
    rows = agent.replay.export(agent.replay.oldest, agent.replay.count)
    span = agent.replay.oldest, agent.replay.count
    saved = checkpoint.write_checkpoint(
        folder,
        cut.step,
        {"agent": agent.agent_state(), "learner": agent.learner_state(), "env": world.state_dict(), "rows": rows},
    )
    world.close()
    world2: Env = envs.make(env, num_envs=num_envs, seed=7, config=made)
    again = _build(config, world2.spec, num_envs, device)
    again.replay.restore(*span, checkpoint.load_tree(saved, "rows"))
    again.load_agent_state(checkpoint.load_tree(saved, "agent"))
    again.load_learner_state(checkpoint.load_tree(saved, "learner"))
    ts = world2.load_state_dict(checkpoint.load_tree(saved, "env"))
    for _ in interact(world2, again, steps, step=cut.step, ts=ts):
        pass
    world2.close()
    return again


def _check_predict(agent: Agent, env: str) -> None:
    world = envs.make(env, num_envs=2, seed=3)
    ts = world.reset()
    state = None
    start = np.array(agent.spec.action.start or 0, agent.spec.action.dtype).reshape(
        agent.spec.action.shape if agent.spec.action.start else ()
    )

    def shown() -> dict[str, np.ndarray]:  # in the environment's own numbers: rows count from 0
        return {k: v + np.array(agent.spec.obs[k].start) if agent.spec.obs[k].start else v for k, v in ts.obs.items()}

    for _ in range(5):
        action, state = agent.predict(shown(), state, ts.first, deterministic=True, action_masks=ts.mask)
        action = action.reshape(2, *agent.spec.action.shape).astype(agent.spec.action.dtype) - start
        _check_action(agent, action, 2)
        ts = world.step(action)
    single = {k: v[0] for k, v in shown().items()}
    action, _ = agent.predict(single, deterministic=True)
    assert np.size(action) == math.prod(agent.spec.action.shape), (
        f"one observation gave an action of shape {np.shape(action)}"
    )
    world.close()


def _same(agent: Agent, other: Agent, fault: str) -> None:
    assert _equal(agent.agent_state(), other.agent_state()), f"{fault}: the weights differ"
    assert _equal(agent.learner_state(), other.learner_state()), f"{fault}: the learner's state differs"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)
