"""PQN's returns and loss by hand; its memory; its rhythms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.pqn import PQN, PQNConfig
from rl.errors import InputError, NonFiniteError
from rl.interface import ActionSpec, EnvSpec, TimeStep
from rl.networks import NetConfig
from rl.schedules import Ramp
from tests.agents.worlds import MASKED_TABLE, STATES, TABLE, TABLE_NET, row, set_table

VALUES = [[1.0, 2.0, 3.0], [4.0, 6.0, 5.0], [0.5, 0.25, 0.75], [9.0, 8.0, 7.0]]


def make(spec: EnvSpec = TABLE, num_envs: int = 1, **fields: Any) -> PQN:
    base = {"net": TABLE_NET, "gamma": 0.5, "rollout": 2, "epochs": 1, "minibatches": 1, "epsilon": 0.0}
    agent = PQN(spec, PQNConfig(**{**base, **fields}), num_envs=num_envs, seed=0)
    if not {"dueling", "net"} & fields.keys():
        set_table(agent.network, VALUES)
    return agent


def play(agent: PQN, *rows: TimeStep) -> Any:
    """Observes the rows, acting in between, and returns what the update would learn from."""
    for ts in rows:
        agent.observe(ts)
        agent.act(ts)
    return agent.rollout(len(rows)).rows


ROWS = (row(0, first=True), row(1, action=2, reward=1.0), row(2, action=0, reward=-1.0))


@pytest.mark.parametrize(
    ("q_lambda", "expected"),
    [
        # row 1: -1 + .5 * .75 = -.625 always.  Row 0: 1 + .5 * (lambda * -.625 + (1 - lambda) * 6)
        (0.0, [4.0, -0.625]),
        (1.0, [0.6875, -0.625]),
        (0.5, [2.34375, -0.625]),
    ],
)
def test_targets_are_q_lambda_returns(q_lambda: float, expected: list[float]) -> None:
    rows = play(make(q_lambda=q_lambda), *ROWS)
    assert rows.target[:, 0].tolist() == pytest.approx(expected)
    assert rows.action[:, 0].tolist() == [2, 0] and rows.valid.all()


def test_termination_silences_truncation_bootstraps_and_first_rows_carry_nothing() -> None:  # T1, T2
    dead = row(1, action=2, reward=1.0, discount=0.0, last=True)
    rows = play(make(q_lambda=0.65, rollout=4), row(0, first=True), dead, row(3, first=True), row(2, reward=2.0))
    # 0 -> 1: 1;  1 -> 3 is no transition;  3 -> 2: 2 + .5 * .75
    assert rows.target[:, 0].tolist() == pytest.approx([1.0, 0.0, 2.375])
    assert rows.valid[:, 0].tolist() == [True, False, True]
    cut = row(1, action=2, reward=1.0, last=True)
    rows = play(make(q_lambda=1.0, rollout=4), row(0, first=True), cut, row(3, first=True), row(2, reward=2.0))
    assert rows.target[0, 0].item() == pytest.approx(1 + 0.5 * 6)


def test_loss_is_half_the_squared_error_of_the_action_taken() -> None:
    agent = make(q_lambda=0.0)
    play(agent, *ROWS)
    metrics = agent.learn(agent.rollout(3))
    # Q(0,2) = 3 -> 4;  Q(1,0) = 4 -> -.625
    assert metrics["loss"].item() == pytest.approx((0.5 * 1.0 + 0.5 * 4.625**2) / 2)
    assert metrics["q_mean"].item() == pytest.approx(3.5)


def test_forbidden_actions_have_no_say_in_the_target() -> None:
    agent = make(MASKED_TABLE, q_lambda=0.0)
    every = [[True] * 3]
    rows = play(
        agent,
        row(0, first=True, mask=every),
        row(1, action=2, reward=1.0, mask=[[True, False, False]]),
        row(2, action=0, mask=[[False, True, False]]),
    )
    assert rows.target[:, 0].tolist() == pytest.approx([1 + 0.5 * 4, 0.5 * 0.25])


def test_rewards_are_clipped_for_the_learner_only() -> None:  # T15
    agent = make(q_lambda=0.0, reward_clip=1.0)
    rows = play(agent, row(0, first=True), row(1, action=2, reward=5.0), row(2, action=0, reward=-7.0))
    assert rows.target[:, 0].tolist() == pytest.approx([4.0, -0.625])
    assert agent.replay.newest(2)[0].reward[:, 0].tolist() == [5.0, -7.0]


def test_every_transition_is_learned_from_once_in_each_pass() -> None:
    agent = make(num_envs=3, rollout=5, epochs=2, minibatches=4)
    first = [row([0, 1, 2], first=True)]
    rest = [row([t % STATES] * 3, reward=float(t), first=[False, t == 3, False]) for t in range(1, 6)]
    rows = play(agent, *first, *rest)
    batches = list(agent.batches(agent.rollout(6)))
    assert len(batches) == 8 and sorted({len(b.action) for b in batches}) == [3, 4]
    for half in (batches[:4], batches[4:]):
        seen = torch.cat([b.target for b in half]).sort().values
        assert torch.equal(seen, rows.target[rows.valid].sort().values)
    assert not torch.equal(batches[0].target, batches[4].target)


def test_updates_come_every_rollout_of_rows_and_use_each_row_once() -> None:
    agent = make(rollout=3)
    updates = []
    for t in range(13):
        ts = row(t % STATES, first=t == 0)
        agent.observe(ts)
        updates.append(agent.update() is not None)
        agent.act(ts)
    assert [t for t, due in enumerate(updates) if due] == [3, 6, 9, 12] and agent.updates == 4


def test_epsilon_follows_counted_steps_for_every_number_of_environments() -> None:  # T13
    tables = []
    for num_envs in (1, 3, 8):
        agent, table = make(num_envs=num_envs, epsilon=Ramp(1.0, 0.1, 100), rollout=4), {}
        agent.observe(row([0] * num_envs, first=True))
        while agent.step < 240:
            table[agent.step] = agent.epsilon("explore")
            agent.observe(row([0] * num_envs))
        tables.append(table)
    for step in (0, 24, 48, 120, 216):
        assert len({t[step] for t in tables}) == 1
    assert tables[0][0] == 1.0 and tables[0][50] == pytest.approx(0.55) and tables[0][200] == pytest.approx(0.1)


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_memory_starts_every_episode_at_zero_and_learns_from_the_stored_state(core: Any) -> None:  # T18
    net = NetConfig(hidden=(8,), core=core, core_size=5, layer_norm=True)
    agent = make(num_envs=2, net=net, rollout=3)
    said = []
    for t in range(7):
        ts = row([t % STATES, (t + 1) % STATES], first=[t in (0, 4), t == 0])
        agent.observe(ts)
        agent.act(ts)
        said.append(agent._stream.output.q_values.clone())
    rows = agent.rollout(4).rows  # rows 3 .. 6, of which the newest only bootstraps
    out = agent.network(rows.obs, rows.state, rows.first)
    assert torch.allclose(out.q_values, torch.stack(said[3:6]), atol=1e-6)
    fresh = agent.network({"obs": torch.tensor([[[0]]])}, torch.zeros(1, agent.state_size)).q_values[0, 0]
    assert torch.allclose(said[4][0], fresh, atol=1e-6) and not torch.allclose(said[4][1], fresh, atol=1e-4)


def test_recurrent_minibatches_are_whole_environments() -> None:
    agent = make(num_envs=4, net=NetConfig(hidden=(8,), core="gru", core_size=5), rollout=3, minibatches=4)
    rows = play(agent, *(row([0, 1, 2, 3], reward=[1.0, 2.0, 3.0, 4.0], first=t == 0) for t in range(4)))
    batches = list(agent.batches(agent.rollout(4)))
    assert [b.action.shape for b in batches] == [(3, 1)] * 4
    assert sorted(b.target[-1, 0].item() for b in batches) == sorted(rows.target[-1].tolist())


def test_a_recurrent_loss_is_the_mean_over_rows_that_start_a_transition() -> None:
    net = NetConfig(hidden=(8,), core="gru", core_size=5)
    agent = make(num_envs=2, net=net, rollout=5)
    play(agent, *(row([t % STATES, 1], reward=float(t), first=[t in (0, 3), t == 0]) for t in range(6)))
    rows = agent.select(agent.rollout(6))
    q = agent.network(rows.obs, rows.state, rows.first).q_values.gather(-1, rows.action.unsqueeze(-1)).squeeze(-1)
    error = (q - rows.target)[rows.valid]
    assert len(error) == 9
    rows = rows._replace(target=torch.where(rows.valid, rows.target, 1e3))  # of the other rows it has no meaning
    assert agent.gradient(rows).loss.item() == pytest.approx(0.5 * error.square().mean().item(), rel=1e-5)


def test_more_minibatches_than_there_are_parts_are_refused() -> None:
    gru = NetConfig(hidden=(8,), core="gru", core_size=5)
    with pytest.raises(InputError, match="minibatches 7 is more than the rows of a rollout, 6: set fewer"):
        make(num_envs=2, rollout=3, minibatches=7)
    with pytest.raises(InputError, match="minibatches 3 is more than the 2 environments, and a recurrent network"):
        make(num_envs=2, net=gru, rollout=3, minibatches=3)
    assert make(num_envs=2, rollout=3, minibatches=6) and make(num_envs=2, net=gru, rollout=3, minibatches=2)


def test_dueling_changes_the_head() -> None:
    assert make(dueling=True).network.head.value is not None
    assert make(dueling=False).network.head.value is None


def test_a_nan_reward_stops_the_update_and_names_where() -> None:
    agent = make()
    play(agent, row(0, first=True), row(1, reward=float("nan")), row(2))
    before = agent.optimizer.flat.detach().clone()
    with pytest.raises(NonFiniteError, match="pqn, update 1, step 2: the loss is nan"):
        agent.learn(agent.rollout(3))
    assert torch.equal(agent.optimizer.flat, before)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"q_lambda": 1.5}, r"q_lambda must lie in \[0, 1\], got 1.5"),
        ({"minibatches": 0}, "minibatches must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be above 0 and finite"),
        ({"epsilon": 2.0}, r"epsilon must lie in \[0, 1\], got 2.0"),
        ({"reward_clip": 0.0}, "reward_clip must be above 0 or none"),
        ({"adam_eps": 0.0}, "adam_eps must be above 0"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PQNConfig(**fields)


def test_continuous_actions_are_refused() -> None:
    box = EnvSpec("P-v1", TABLE.obs, ActionSpec("box", low=(-1.0,), high=(1.0,)))
    with pytest.raises(InputError, match="pqn needs discrete actions, P-v1 has box: try ppo"):
        PQN(box, PQNConfig(), num_envs=1, seed=0)


def test_evaluation_is_greedy() -> None:  # T26
    agent = make(epsilon=1.0)
    actor = agent.actor(1, 3)
    assert {int(actor.act(row(1, first=True))[0]) for _ in range(20)} == {1}
    assert np.ndim(actor.act(row(1))) == 1
