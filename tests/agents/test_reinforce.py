"""REINFORCE by hand: whole returns, the baseline on and off, which rows count, and when an update is due."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agents.reinforce import Reinforce, ReinforceConfig
from rl.errors import InputError
from rl.networks import NetConfig
from tests.agents.policies import VALUES, batch, entropy, greedy, table_agent, train
from tests.agents.worlds import TABLE_NET, row


def make(num_envs: int = 1, **fields: Any) -> Reinforce:
    config = ReinforceConfig(net=TABLE_NET, gamma=0.5, normalize_advantage=False, **fields)
    agent: Reinforce = table_agent(config, num_envs)
    return agent


def test_loss_is_log_probability_times_return_and_the_baseline_learns_beside_it() -> None:
    rows = batch([0, 1], [0, 2], [2.0, -1.0], [1.5, 0.0])  # probabilities .5 and .7, values 1 and 2
    plain = [-2 * math.log(0.5) - 0.1 * entropy(0), math.log(0.7) - 0.1 * entropy(1)]
    out = make(baseline=False, entropy_cost=0.1).loss(rows)
    assert out.loss.tolist() == pytest.approx(plain) and "value_loss" not in out.metrics
    out = make(entropy_cost=0.1, value_cost=0.25).loss(rows)
    assert out.loss.tolist() == pytest.approx([plain[0] + 0.25 * 0.25, plain[1] + 0.25 * 4.0])


def played(agent: Reinforce) -> Reinforce:
    """An episode 0, 1, 2 that dies with rewards 1 and 4, and one 3, 0 that is still going on."""
    for ts in (
        row(0, first=True),
        row(1, reward=1.0),
        row(2, reward=4.0, discount=0.0, last=True),
        row(3, first=True),
        row(0, reward=8.0),
    ):
        agent.observe(ts)
        agent.act(ts)
    return agent


def test_the_return_is_whole_and_the_baseline_is_taken_off() -> None:
    with_baseline, plain = played(make()).rollout(5).rows, played(make(baseline=False)).rollout(5).rows
    assert plain.advantage[:2, 0].tolist() == [3.0, 4.0]
    assert plain.target[:2, 0].tolist() == [3.0, 4.0]
    assert with_baseline.target[:2, 0].tolist() == pytest.approx([3.0, 4.0])
    assert with_baseline.advantage[:2, 0].tolist() == pytest.approx([3.0 - VALUES[0], 4.0 - VALUES[1]])


def test_rows_of_an_unfinished_episode_are_left_out() -> None:
    # row 2 starts no transition, row 3 one of an episode that is not over
    assert played(make()).rollout(5).rows.valid[:, 0].tolist() == [True, True, False, False]


@pytest.mark.parametrize(("baseline", "expected"), [(True, [1 + 0.5 * VALUES[1]]), (False, [1.0])])
def test_a_time_limit_is_bootstrapped_from_the_baseline_if_there_is_one(baseline: bool, expected: list[float]) -> None:
    agent = make(baseline=baseline)
    for ts in (row(0, first=True), row(1, reward=1.0, last=True), row(3, first=True)):
        agent.observe(ts)
        agent.act(ts)
    assert agent.rollout(3).rows.target[:1, 0].tolist() == pytest.approx(expected)


def test_an_update_is_due_after_the_given_number_of_episodes() -> None:
    updates: list[int] = []

    def watch(agent: Any, slot: Any) -> None:
        if agent.updates > len(updates):
            updates.append(slot.step)

    config = ReinforceConfig(net=NetConfig(hidden=(8,)), episodes=3)
    train(config, "Probe/Counting-v0", 100, num_envs=1, watch=watch, length=5)
    assert updates == [15, 30, 45, 60, 75, 90]  # the `first` row after an end is not counted


def test_an_episode_that_fills_the_replay_is_cut_and_learned_from() -> None:
    config = ReinforceConfig(net=NetConfig(hidden=(8,)), episodes=2, rollout=16)
    agent = train(config, "Probe/Counting-v0", 100, num_envs=2, length=1000)
    assert agent.updates == 3  # 50 slots
    assert agent.rollout(17).rows.valid.sum(0).tolist() == [2, 2]  # what no update has used yet


def test_every_row_of_a_finished_episode_is_learned_from_once_in_any_number_of_environments(monkeypatch) -> None:
    """Were rows of unfinished episodes dropped at an update, several environments would teach of short ones only."""
    uses: dict[tuple[int, int], int] = {}
    whole = Reinforce.rollout

    def counted(agent: Reinforce, length: int) -> Any:
        rollout = whole(agent, length)
        for t, n in rollout.rows.valid.nonzero().tolist():
            key = (agent.replay.count - length + t, n)
            uses[key] = uses.get(key, 0) + 1
        return rollout

    ends: dict[int, list[int]] = {n: [] for n in range(3)}

    def watch(agent: Any, slot: Any) -> None:
        for n in slot.ts.last.nonzero()[0].tolist():
            ends[n].append(agent.replay.count - 1)

    monkeypatch.setattr(Reinforce, "rollout", counted)
    config = ReinforceConfig(net=NetConfig(hidden=(8,)), episodes=2, rollout=600)
    train(config, "CartPole-v1", 900, num_envs=3, watch=watch)
    assert set(uses.values()) == {1}
    for n, last in ends.items():
        starts = [0, *(t + 1 for t in last)]
        used = {t for t, env in uses if env == n}
        for begin, end in zip(starts, last[:-1], strict=False):  # the newest episodes may still wait for an update
            assert set(range(begin, end)) <= used, (n, begin, end)


def test_it_learns_which_action_pays() -> None:
    for baseline in (True, False):
        config = ReinforceConfig(net=NetConfig(hidden=(16,)), episodes=16, lr=0.02, baseline=baseline)
        agent = train(config, "Probe/ObsAction-v0", 2000, num_envs=8)
        assert greedy(agent, [[-1.0], [1.0]]) == [0, 1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gae_lambda": 0.9}, "gae_lambda must be 1, got 0.9"),
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"baseline": False, "value_cost": 1.0}, "value_cost=1.0 is for baseline=True"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReinforceConfig(**fields)
