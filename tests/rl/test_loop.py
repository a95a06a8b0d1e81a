from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rl.interface import TimeStep
from rl.loop import interact, keep
from rl.schedules import Ramp, crossed
from tests.rl.streams import SPEC, random_rows


class Stream:
    """An environment that plays prepared rows."""

    spec = SPEC

    def __init__(self, num_envs: int) -> None:
        self.num_envs, self.rows, self.t = num_envs, random_rows(np.random.default_rng(0), 400, num_envs), 0

    def reset(self) -> TimeStep:
        return self.rows[0]

    def step(self, action: np.ndarray) -> TimeStep:
        self.t += 1
        return self.rows[self.t]


class Recorder:
    def __init__(self) -> None:
        self.rows: list[TimeStep] = []
        self.calls: list[str] = []

    def observe(self, ts: TimeStep) -> None:
        self.rows.append(ts)
        self.calls.append("observe")

    def update(self) -> dict[str, Any] | None:
        self.calls.append("update")
        return None

    def act(self, ts: TimeStep) -> np.ndarray:
        self.calls.append("act")
        return np.zeros(len(ts.first), np.int64)


@pytest.mark.parametrize("num_envs", [1, 3, 8])
@pytest.mark.parametrize("budget", [1, 10, 57])
def test_exactly_the_budget_is_counted_for_every_number_of_environments(num_envs: int, budget: int) -> None:
    agent = Recorder()
    slots = list(interact(Stream(num_envs), agent, budget))  # type: ignore[arg-type]
    assert slots[-1].step == budget
    assert sum(int((~ts.first).sum()) for ts in agent.rows) == budget


def test_the_order_is_observe_update_act() -> None:
    agent = Recorder()
    list(interact(Stream(2), agent, 4))  # type: ignore[arg-type]
    assert agent.calls[:6] == ["observe", "update", "act", "observe", "update", "act"]
    assert agent.calls[-1] == "update"


def test_rows_beyond_the_budget_become_first_rows_in_environment_order() -> None:
    row = random_rows(np.random.default_rng(1), 3, 5)[2]._replace(
        first=np.array([False, True, False, False, False]),
        last=np.array([True] * 5),
        reward=np.arange(1, 6, dtype=np.float32),
        action=np.arange(5),
    )
    cut = keep(row, 2)
    assert cut.first.tolist() == [False, True, False, True, True]
    assert cut.last.tolist() == [True, True, True, False, False]
    assert cut.reward.tolist() == [1, 2, 3, 0, 0] and cut.action.tolist() == [0, 1, 2, 0, 0]
    assert keep(row, 4) is row


def test_continuing_from_a_saved_row_acts_first_and_counts_on() -> None:
    env, agent = Stream(1), Recorder()
    slots = list(interact(env, agent, 20))  # type: ignore[arg-type]
    env2, agent2 = Stream(1), Recorder()
    part = list(interact(env2, agent2, 9))  # type: ignore[arg-type]
    rest = list(interact(env2, agent2, 20, step=9, ts=part[-1].ts))  # type: ignore[arg-type]
    assert [s.step for s in part + rest] == [s.step for s in slots]
    assert agent2.calls == agent.calls


def test_rhythms_fire_once_for_each_multiple_crossed() -> None:
    for num_envs in (1, 3, 8):
        steps = range(0, 400, num_envs)
        fired = sum(crossed(a, a + num_envs, 50) for a in steps)
        assert fired == 400 // 50 or fired == (len(steps) * num_envs) // 50


def test_a_ramp_is_straight_and_then_constant() -> None:
    ramp = Ramp(1.0, 0.1, 100)
    assert [ramp.at(s) for s in (0, 50, 100, 10_000)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
