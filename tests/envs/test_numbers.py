"""Numbers that float32, or an environment's own bounds, do not hold."""

from __future__ import annotations

import logging

import gymnasium
import numpy as np
import pytest

import envs
from envs.config import EnvConfig
from rl.errors import InputError, RunError
from tests.envs.faulty import EPISODE, Game

HERE = __name__
WAYS = pytest.mark.parametrize("vector", ["sync", "async"])


class Rich(Game):
    """Pays 100,000,001 a step, which float32 holds as 100,000,000; each instance pays `more` on top."""

    def __init__(self, more: float = 0.0) -> None:
        self.more = more

    def step(self, action):
        self.t += 1
        return np.zeros(2, np.float32), 100_000_001.0 + self.more, self.t >= EPISODE, False, {}


class Shows(Game):
    """Shows `value` from its third step on, in a Box from -1 to 1 of `dtype`."""

    def __init__(self, value: float, high: float = 1.0, dtype: str = "float32") -> None:
        self.value = value
        self.observation_space = gymnasium.spaces.Box(-high, high, (2,), np.dtype(dtype).type)

    def step(self, action):
        observation, *others = super().step(action)
        observation = observation.astype(self.observation_space.dtype)
        observation[1] = self.value if self.t == 3 else 0
        return observation, *others


class Empty(Game):
    observation_space = gymnasium.spaces.Box(0, 1, (0,))


class PartlyEmpty(Game):
    observation_space = gymnasium.spaces.Dict(
        {"near": gymnasium.spaces.Box(0, 1, (2, 0)), "far": Game.observation_space}
    )


def play(env, steps=EPISODE):
    return [env.reset(), *(env.step(np.zeros(env.num_envs, np.int64)) for _ in range(steps))]


@WAYS
def test_scores_are_sums_of_float64_rewards_and_rows_hold_float32(vector):
    with envs.make(f"{HERE}:Rich", num_envs=2, config=EnvConfig(vector=vector)) as env:
        rows = play(env, 2 * EPISODE)
    assert sum(row.exact_reward for row in rows[: EPISODE + 1]).tolist() == [5 * 100_000_001.0] * 2
    assert all(row.reward.dtype == np.float32 for row in rows) and rows[1].reward[0] == 100_000_000
    assert rows[EPISODE + 1].first.all() and not rows[EPISODE + 1].exact_reward.any()


@WAYS
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_a_value_outside_its_box_is_one_line_and_is_used_as_it_is(dtype, vector, caplog):
    config = EnvConfig(vector=vector, options={"value": 5, "dtype": dtype})
    with caplog.at_level(logging.WARNING), envs.make(f"{HERE}:Shows", num_envs=2, config=config) as env:
        rows = play(env, 3 * EPISODE)
    assert rows[3].obs["obs"].tolist() == [[0, 5], [0, 5]]
    said = "environment 0 gave leaf 'obs' the value 5, its space says -1 to 1; such values are used as they are"
    assert caplog.messages == [f"{HERE}:Shows: {said}"]


def test_a_value_that_leaves_its_box_later_is_found_too(caplog, monkeypatch):
    monkeypatch.setattr("envs.stream.CHECKED", 3)
    with caplog.at_level(logging.WARNING), envs.make(f"{HERE}:Shows", config=EnvConfig(options={"value": 5})) as env:
        rows = play(env, 2)
        assert len(rows) == 3 and not caplog.messages
        env.step(np.zeros(1, np.int64))
        assert len(caplog.messages) == 1


@pytest.mark.parametrize("value", [1.0, -1.0, 0.5])
def test_values_on_or_within_the_bounds_are_silent(value, caplog):
    with (
        caplog.at_level(logging.WARNING),
        envs.make(f"{HERE}:Shows", config=EnvConfig(options={"value": value})) as env,
    ):
        play(env)
    assert not caplog.messages


@WAYS
def test_a_float64_observation_beyond_float32_is_named_as_such(vector):
    config = EnvConfig(vector=vector, options={"value": 1e300, "high": 1e300, "dtype": "float64"})
    said = "observation leaf 'obs' of environment 0 is 1e\\+300, beyond float32's 3.4e38: scale it in a wrapper"
    with envs.make(f"{HERE}:Shows", num_envs=2, config=config) as env, pytest.raises(RunError, match=said):
        play(env)


@WAYS
def test_a_reward_beyond_float32_is_named_as_such(vector):
    config = EnvConfig(vector=vector, options={"more": 1e39})
    said = "the reward of environment 0 is 1e\\+39, beyond float32's 3.4e38: scale it in a wrapper"
    with envs.make(f"{HERE}:Rich", num_envs=2, config=config) as env, pytest.raises(RunError, match=said):
        play(env)


@pytest.mark.parametrize(
    ("name", "said"), [("Empty", r"leaf 'obs' .* the shape \(0,\)"), ("PartlyEmpty", r"leaf 'near' .* \(2, 0\)")]
)
def test_a_leaf_without_entries_is_refused_in_one_line(name, said):
    with pytest.raises(InputError, match=f"{HERE}:{name}: {said}: no numbers"):
        envs.make(f"{HERE}:{name}")
