"""The replay's predicted size, for the preflight."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import agents
from agents.base import Agent
from rl.interface import ActionSpec, EnvSpec, ObsLeaf, TimeStep
from rl.networks import NetConfig

VECTOR = {"obs": ObsLeaf((8,), "float32", "vector")}
PICTURE = {
    "obs": ObsLeaf((1, 36, 36), "uint8", "image", "CHW", scale=255.0),
    "extra": ObsLeaf((3,), "float32", "vector"),
}
SPECS = {
    "many masked actions": EnvSpec("C-v0", VECTOR, ActionSpec("discrete", (467,)), masked=True),
    "picture": EnvSpec("P-v0", PICTURE, ActionSpec("discrete", (4,))),
    "box": EnvSpec("B-v0", VECTOR, ActionSpec("box", low=(-1.0,) * 5, high=(1.0,) * 5)),
    "masked multidiscrete": EnvSpec("M-v0", VECTOR, ActionSpec("multidiscrete", (3, 4)), masked=True),
}
SMALL = {"net": NetConfig(hidden=(8,)), "stack": 2}
FIELDS: dict[str, dict[str, Any]] = {
    "dqn": {"buffer_size": 600},
    "rainbow": {"buffer_size": 600},
    "iqn": {"buffer_size": 600, "prioritized": True},
    "r2d2": {"buffer_size": 600, "net": NetConfig(hidden=(8,), core="gru", core_size=6)},
    "drqn": {"buffer_size": 600, "net": NetConfig(hidden=(8,), core="lstm", core_size=6)},
    "pqn": {"rollout": 200, "minibatches": 2},
    "ppo": {"rollout": 200},
    "a2c": {"rollout": 200, "net": NetConfig(hidden=(8,), core="gru", core_size=6)},
    "reinforce": {"rollout": 200},
}


def filled(name: str, spec: EnvSpec, store: str) -> Agent:
    """The agent with a full replay of noise."""
    config = dataclasses.replace(agents.config(name), **{**SMALL, "store": store, **FIELDS[name]})
    agent: Agent = agents.build(config, spec, num_envs=3, seed=0)
    rng = np.random.default_rng(0)
    action = np.zeros((3, *spec.action.shape), spec.action.dtype)
    zeros, no = np.zeros(3, np.float32), np.zeros(3, bool)
    mask = np.ones((3, spec.action.logits), bool) if spec.masked else None
    for _ in range(agent.replay.slots):
        obs = {k: rng.integers(256, size=(3, *x.shape)).astype(x.dtype) for k, x in spec.obs.items()}
        agent.observe(TimeStep(obs, mask, action, zeros, zeros, no, no, {}))
    return agent


@pytest.mark.parametrize("store", ["auto", "raw"])
@pytest.mark.parametrize("space", SPECS)
@pytest.mark.parametrize("name", FIELDS)
def test_the_predicted_bytes_are_those_of_the_full_replay(name: str, space: str, store: str) -> None:
    spec = SPECS[space]
    if spec.action.kind != "discrete" and name not in ("ppo", "a2c", "reinforce"):
        pytest.skip(f"{name} needs discrete actions")
    agent = filled(name, spec, store)
    assert agent.predicted_bytes() == pytest.approx(agent.replay.nbytes, rel=0.05)
