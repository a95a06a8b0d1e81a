"""What `predict` returns and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import agents
import envs
from agents.dqn import DQNConfig
from agents.ppo import PPOConfig
from envs.spaces import action_cast, observation_casts
from rl.errors import InputError
from rl.interface import EnvSpec
from rl.networks import NetConfig

NET = NetConfig(hidden=(8,))

SPACES: dict[str, spaces.Space] = {
    "bytes": spaces.Box(0, 255, (2,), np.uint8),
    "int64": spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (2,), np.int64),
    "box 2-D": spaces.Box(-1, 1, (2, 3)),
    "box 0-d": spaces.Box(-1, 1, ()),
    "float64": spaces.Box(np.pi, np.pi + 0.1, (2,), np.float64),
    "float16": spaces.Box(-0.1, 0.1, (2,), np.float16),
    "multidiscrete 2-D": spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
    "multidiscrete int32": spaces.MultiDiscrete([2, 3], dtype=np.int32, start=[1, -1]),
    "multibinary 2-D": spaces.MultiBinary([2, 2]),
    "discrete": spaces.Discrete(3),
    "discrete int32": spaces.Discrete(3, dtype=np.int32),
    "discrete uint8": spaces.Discrete(3, start=5, dtype=np.uint8),
}


def _spec(space: spaces.Space) -> EnvSpec:
    action, _ = action_cast(space)
    (cast,), _ = observation_casts(spaces.Box(-1, 1, (3,)), action)
    return EnvSpec("Own-v0", {"obs": cast.leaf}, action)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_predicted_actions_are_elements_of_the_action_space(space: spaces.Space) -> None:
    agent = agents.build(PPOConfig(net=NET), _spec(space), num_envs=1, seed=0)
    for deterministic in (True, False):
        for _ in range(10):
            action, state = agent.predict(np.zeros(3, np.float32), deterministic=deterministic)
            assert space.contains(action) and np.shape(action) == space.shape and action.dtype == space.dtype
        batch, _ = agent.predict(np.zeros((4, 3), np.float32), deterministic=deterministic)
        assert batch.shape == (4, *space.shape) and batch.dtype == space.dtype
        assert all(space.contains(batch[i, ...]) for i in range(4))
    assert state is None


@pytest.mark.parametrize("value", [-np.inf, -1e30, -300.4, 0.0, 1e5, 1e30, np.inf])
def test_boxes_of_whole_numbers_are_clipped_before_the_cast(value: float) -> None:
    for name in ("bytes", "int64"):
        action, to_space = action_cast(SPACES[name])
        out = to_space(np.full((1, *action.shape), value, np.float32))
        assert SPACES[name].contains(out[0]) and (out[0] > 0).all() == (value > 0)


@pytest.mark.parametrize(
    ("config", "carries"),
    [(PPOConfig(net=NET), False), (DQNConfig(net=NET), False), (DQNConfig(net=NET, stack=2), True)],
)
def test_only_agents_with_a_stack_or_a_core_return_a_state(config: Any, carries: bool) -> None:
    agent = agents.build(config, _spec(SPACES["discrete"]), num_envs=1, seed=0)
    assert (agent.predict(np.zeros(3, np.float32))[1] is not None) == carries


def test_action_masks_are_refused_if_the_environment_has_none() -> None:
    agent = agents.build(PPOConfig(net=NET), envs.spec("CartPole-v1"), num_envs=1, seed=0)
    with pytest.raises(InputError, match="action_masks were given, but the environment of this agent has none"):
        agent.predict(np.zeros(4, np.float32), action_masks=np.array([True, False]))


def test_masks_of_the_wrong_size_or_without_an_allowed_action_are_refused() -> None:
    spec = envs.spec("Probe/MaskDict-v0")
    agent = agents.build(PPOConfig(net=NET), spec, num_envs=1, seed=0)
    obs = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in spec.obs.items()}
    for mask, message in (
        (np.ones(1), "entries per observation, got shape"),
        (np.zeros(spec.action.logits), "no action"),
    ):
        with pytest.raises(InputError, match=message):
            agent.predict(obs, action_masks=mask)
