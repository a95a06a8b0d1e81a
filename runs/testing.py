"""A conformance test for agents, ours and yours: `from runs.testing import check_agent`."""

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
from rl import checkpoint
from rl.interface import Env, EnvSpec
from rl.loop import interact


def check_agent(
    config: Any, env: str = "CartPole-v1", *, num_envs: int = 2, steps: int = 120, device: str = "cpu"
) -> None:
    """Raises AssertionError, naming the broken promise, where the agent of `config` breaks one.

    Checked on `env`, with the networks on `device`: actions fit the space and are plain arrays; updates change the
    weights and stay finite; acting in other streams, greedy or sampled, leaves the training bit-equal; the same seed
    gives the same run; saving and loading continues bit for bit, through files; a loaded agent acts as the saved one
    did; `predict` fits SB3's.
    """
    spec = envs.spec(env)
    plain = _train(config, env, num_envs, steps, device)
    assert plain.step == steps, f"the agent counted {plain.step} rows, {steps} were counted"
    assert plain.updates > 0, f"no update in {steps} steps: lower learning_starts or rollout"
    for name, value in plain.network.state_dict().items():
        assert bool(torch.isfinite(value.double()).all()), f"{name} is not finite"
    assert not _equal(plain.agent_state(), _build(config, spec, num_envs, device).agent_state()), (
        "updates change nothing"
    )
    _same(_train(config, env, num_envs, steps, device), plain, "the same seed gave another run")
    _same(_train(config, env, num_envs, steps, device, look=True), plain, "other streams changed the training")
    with tempfile.TemporaryDirectory() as folder:
        _same(_interrupted(config, env, num_envs, steps, device, Path(folder)), plain, "a resumed run differs")
    _check_predict(plain, env)


def _build(config: Any, spec: EnvSpec, num_envs: int, device: str) -> Agent:
    agent: Agent = agents.build(config, spec, num_envs=num_envs, seed=7, device=device)
    return agent


def _check_action(agent: Agent, action: Any, count: int) -> None:
    spec = agent.spec.action
    assert isinstance(action, np.ndarray), f"act returned {type(action).__name__}, not an array"
    assert action.shape == (count, *spec.shape), f"act returned shape {action.shape}, not {(count, *spec.shape)}"
    assert str(action.dtype) == spec.dtype, f"act returned {action.dtype}, not {spec.dtype}"
    if spec.kind != "box":
        assert (action >= 0).all() and (action < np.array(spec.nvec)).all(), f"actions {action} leave {spec.nvec}"


def _train(config: Any, env: str, num_envs: int, steps: int, device: str, look: bool = False) -> Agent:
    world = envs.make(env, num_envs=num_envs, seed=7)
    agent = _build(config, world.spec, num_envs, device)
    others = [agent.actor(3, 1, sample=sample) for sample in (False, True)] if look else []
    watched = envs.make(env, num_envs=3, seed=1, stream="evaluate") if look else None
    row = watched.reset() if watched else None
    for slot in interact(world, agent, steps):
        for actor in others:
            assert watched is not None and row is not None
            action = actor.act(row)
            _check_action(agent, action, 3)
            row = watched.step(action)
        if slot.metrics:
            assert all(not getattr(v, "requires_grad", False) for v in slot.metrics.values()), (
                "metrics are not detached"
            )
    world.close()
    if watched:
        watched.close()
    return agent


def _interrupted(config: Any, env: str, num_envs: int, steps: int, device: str, folder: Path) -> Agent:
    world = envs.make(env, num_envs=num_envs, seed=7)
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
    world2: Env = envs.make(env, num_envs=num_envs, seed=7)
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

    def shown() -> dict[str, np.ndarray]:  # as the environment itself counts, not as the rows do
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


def _same(agent: Agent, other: Agent, promise: str) -> None:
    assert _equal(agent.agent_state(), other.agent_state()), f"{promise}: the weights differ"
    assert _equal(agent.learner_state(), other.learner_state()), f"{promise}: the learner's state differs"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)
