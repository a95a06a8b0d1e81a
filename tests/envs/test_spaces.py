"""Spaces become named leaves, actions what the environment takes; what has no columns is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.config import EnvConfig
from envs.controls import action_names
from envs.spaces import action_cast, observation_casts
from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf

DISCRETE = ActionSpec("discrete", nvec=(3,))


def leaf_of(space):
    casts, mask = observation_casts(space, DISCRETE)
    assert mask is None and len(casts) == 1
    return casts[0].leaf


@pytest.mark.parametrize(
    ("space", "leaf"),
    [
        (spaces.Box(-1, 1, (4,), np.float64), ObsLeaf((4,), "float32", "vector")),
        (spaces.Box(-1, 1, (), np.float32), ObsLeaf((1,), "float32", "vector")),
        (spaces.Box(-1, 1, (2, 3), np.float32), ObsLeaf((6,), "float32", "vector")),
        (spaces.Box(-1, 1, (2, 3, 4), np.float32), ObsLeaf((24,), "float32", "vector")),
        (spaces.Box(0, 255, (128,), np.uint8), ObsLeaf((128,), "float32", "vector")),
        (spaces.Box(-9, 9, (3,), np.int32), ObsLeaf((3,), "float32", "vector")),
        (spaces.Box(0, 255, (96, 96, 3), np.uint8), ObsLeaf((96, 96, 3), "uint8", "image", "HWC", scale=255.0)),
        (spaces.Box(0, 255, (210, 160, 3), np.uint8), ObsLeaf((210, 160, 3), "uint8", "image", "HWC", scale=255.0)),
        (spaces.Box(0, 255, (4, 84, 84), np.uint8), ObsLeaf((4, 84, 84), "uint8", "image", "CHW", scale=255.0)),
        (spaces.Box(0, 255, (84, 84), np.uint8), ObsLeaf((1, 84, 84), "uint8", "image", "CHW", scale=255.0)),
        (spaces.Box(0.0, 1.0, (8, 8, 3), np.float32), ObsLeaf((8, 8, 3), "float32", "image", "HWC", scale=1.0)),
        (spaces.Box(-1, 1, (84, 84, 3), np.float32), ObsLeaf((84, 84, 3), "float32", "image", "HWC", scale=1.0)),
        (spaces.Box(-2, 1, (3, 84, 84), np.float64), ObsLeaf((3, 84, 84), "float32", "image", "CHW", scale=2.0)),
        (spaces.Box(0, 255, (84, 84, 3), np.int32), ObsLeaf((84, 84, 3), "uint8", "image", "HWC", scale=255.0)),
        (spaces.Box(0, 255, (84, 84, 3), np.int64), ObsLeaf((84, 84, 3), "uint8", "image", "HWC", scale=255.0)),
        (spaces.Box(-128, 127, (84, 84, 3), np.int8), ObsLeaf((84, 84, 3), "float32", "image", "HWC", scale=128.0)),
        (spaces.Box(0, 65535, (84, 84, 1), np.uint16), ObsLeaf((84, 84, 1), "float32", "image", "HWC", scale=65535.0)),
        (spaces.Box(0, 65535, (84, 84), np.uint16), ObsLeaf((1, 84, 84), "float32", "image", "CHW", scale=65535.0)),
        (spaces.Box(-(2**31), 2**31 - 1, (9, 9, 3), np.int32), ObsLeaf((243,), "float32", "vector")),
        (spaces.Box(-np.inf, np.inf, (84, 84, 3), np.float32), ObsLeaf((21168,), "float32", "vector")),
        (spaces.Box(0, 1, (10, 10, 4), np.bool_), ObsLeaf((10, 10, 4), "bool", "board", "HWC")),
        (spaces.Box(0, 1, (10, 10), np.bool_), ObsLeaf((1, 10, 10), "bool", "board", "CHW")),
        (spaces.Box(0, 1, (3, 8, 8), np.int8), ObsLeaf((3, 8, 8), "bool", "board", "CHW")),
        (spaces.MultiBinary([8, 8, 2]), ObsLeaf((8, 8, 2), "bool", "board", "HWC")),
        (spaces.MultiBinary(5), ObsLeaf((5,), "float32", "vector")),
        (spaces.Discrete(7), ObsLeaf((1,), "int64", "index", nvec=(7,))),
        (spaces.Discrete(7, start=-3), ObsLeaf((1,), "int64", "index", nvec=(7,), start=(-3,))),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), ObsLeaf((4,), "int64", "index", nvec=(2, 3, 4, 5))),
    ],
)
def test_each_space_has_its_leaf(space, leaf):
    assert leaf_of(space) == leaf


def test_categories_count_from_zero():
    (cast,), _ = observation_casts(spaces.Discrete(7, start=-3), DISCRETE)
    assert cast(np.array([-3, 3])).tolist() == [[0], [6]]
    (cast,), _ = observation_casts(spaces.MultiDiscrete([2, 5], start=[1, 10]), DISCRETE)
    assert cast(np.array([[1, 10], [2, 14]])).tolist() == [[0, 0], [1, 4]]


def test_nested_observations_are_leaves_named_by_their_path():
    env = envs.make("Probe/Nested-v0", num_envs=2, config=EnvConfig(vector="sync"))
    row = env.reset()
    assert set(row.obs) == {"arm.heat", "arm.joints", "board", "grey", "pair.0", "pair.1"}
    for name, leaf in env.spec.obs.items():
        assert row.obs[name].shape == (2, *leaf.shape) and row.obs[name].dtype == leaf.dtype
    row = env.step(np.array([[1, 2, 3, 4], [0, 0, 0, 0]]))
    assert row.reward.tolist() == [10, 0]
    assert row.obs["arm.joints"][0].tolist() == [1, 2, 3, 4, 5, 6] and row.obs["arm.heat"][0] == 1
    assert row.obs["pair.0"][0] == 1 and row.obs["pair.1"][0].tolist() == [1, 2, 3, 4]
    assert (row.obs["grey"] == 1).all() and row.obs["board"].all()


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_nested_observations_are_the_same_in_both_vectorisers(vector):
    with envs.make("Probe/Nested-v0", num_envs=2, config=EnvConfig(vector=vector)) as env:
        env.reset()
        for _ in range(8):
            row = env.step(np.zeros((2, 4), np.int64))
    assert row.obs["arm.heat"][1, 0] == 1 and row.obs["arm.joints"][1].tolist() == [1, 2, 3, 4, 5, 6]


def test_blackjack_has_three_leaves():
    row = envs.make("Blackjack-v1").reset()
    assert set(row.obs) == {"0", "1", "2"} and row.obs["0"].dtype == np.int64


@pytest.mark.parametrize(
    ("space", "action", "given"),
    [
        (spaces.Discrete(3), [2], [2]),
        (spaces.Discrete(3, start=5), [2], [7]),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), [[1, 2, 3, 4]], [[[1, 2], [3, 4]]]),
        (spaces.MultiDiscrete([3, 3], start=[1, -1]), [[0, 2]], [[1, 1]]),
        (spaces.MultiBinary((2, 2)), [[1, 0, 0, 1]], [[[1, 0], [0, 1]]]),
        (spaces.Box(-1, 1, (2,), np.float32), [[-3.0, 0.5]], [[-1.0, 0.5]]),
        (spaces.Box(-1, 1, (2, 1), np.float64), [[-3.0, 0.5]], [[[-1.0], [0.5]]]),
        (spaces.Box(0, np.inf, (1,), np.float32), [[1e9]], [[1e9]]),
        (spaces.Box(0, np.inf, (1,), np.float32), [[-4.0]], [[0.0]]),
        (spaces.Box(-np.inf, np.inf, (1,), np.float32), [[-1e9]], [[-1e9]]),
        (spaces.Box(0, 10, (1,), np.int64), [[3.6]], [[4]]),
    ],
)
def test_actions_reach_the_environment_in_its_own_terms(space, action, given):
    spec, to_env = action_cast(space)
    received = to_env(np.array(action, spec.dtype))
    assert received.tolist() == given and received.dtype == space.dtype
    assert received[0].shape == space.shape


def test_spec_of_a_one_sided_box_shows_the_open_side():
    spec, _ = action_cast(spaces.Box(np.array([0, -np.inf], np.float32), np.array([np.inf, 2], np.float32)))
    assert spec.low == (0.0, -np.inf) and spec.high == (np.inf, 2.0) and spec.size == 2


def test_the_row_holds_what_the_agent_returned_not_the_clip():
    env = envs.make("Probe/Target-v0", config=EnvConfig(options={"low": 0.0, "high": 1.0}))
    env.reset()
    row = env.step(np.array([[7.5]], np.float32))
    assert row.action[0, 0] == 7.5
    assert env._vector._envs[0].env.unwrapped.received.tolist() == [1.0]


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Graph(spaces.Box(-1, 1, (2,)), None),
        spaces.OneOf((spaces.Discrete(2), spaces.Discrete(3))),
    ],
)
def test_unsupported_spaces_are_named_in_one_line(space):
    with pytest.raises(InputError, match=f"observation space {type(space).__name__} of leaf 'obs' is not supported"):
        observation_casts(space, DISCRETE)
    with pytest.raises(InputError, match=f"{type(space).__name__} of leaf 'a.b' is not supported"):
        observation_casts(spaces.Dict({"a": spaces.Dict({"b": space})}), DISCRETE)
    with pytest.raises(InputError, match=f"the action space {type(space).__name__} is not supported"):
        action_cast(space)


def test_what_cannot_be_columns_is_refused():
    with pytest.raises(InputError, match="has no entries"):
        observation_casts(spaces.Dict({}), DISCRETE)
    with pytest.raises(InputError, match="two leaves of one name"):
        observation_casts(
            spaces.Dict({"a.b": spaces.Discrete(2), "a": spaces.Dict({"b": spaces.Discrete(2)})}), DISCRETE
        )
    with pytest.raises(InputError, match="stacking is a field of the agent"):
        observation_casts(spaces.Box(0, 255, (4, 84, 84, 3), np.uint8), DISCRETE)
    with pytest.raises(InputError, match="'action_mask' has 5 entries, the action space 3 choices"):
        observation_casts(spaces.Dict({"o": spaces.Discrete(2), "action_mask": spaces.MultiBinary(5)}), DISCRETE)


def test_each_value_of_a_multidiscrete_action_has_a_name() -> None:
    spec = EnvSpec("x", {"obs": ObsLeaf((2,), "float32", "vector")}, ActionSpec("multidiscrete", (2, 3)))
    assert action_names(spec) == ("a[0]=0", "a[0]=1", "a[1]=0", "a[1]=1", "a[1]=2")
