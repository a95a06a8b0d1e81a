"""R2D2's returns, rescaling, sequences and memory by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents.r2d2 import R2D2, R2D2Config, n_step_rows, rescale, unscale
from envs import EnvConfig
from rl.errors import InputError
from rl.interface import EnvSpec, TimeStep
from rl.loop import interact
from rl.losses import take
from rl.networks import NetConfig
from rl.replay import ColumnSpec, Replay, Sequences
from rl.schedules import Ramp
from tests.agents.worlds import MASKED_TABLE, STATES, TABLE, TABLE_NET, row

GRU = NetConfig(hidden=(8,), core="gru", core_size=5)
LSTM = NetConfig(hidden=(8,), core="lstm", core_size=5)


def make(spec: EnvSpec = TABLE, num_envs: int = 1, **fields: Any) -> R2D2:
    base = {
        "net": GRU,
        "gamma": 0.5,
        "learning_starts": 0,
        "batch_size": 2,
        "buffer_size": 64 * num_envs,
        "burn_in": 2,
        "length": 4,
        "period": 3,
        "epsilon": 0.0,
    }
    return R2D2(spec, R2D2Config(**{**base, **fields}), num_envs=num_envs, seed=0)


def play(agent: R2D2, count: int, starts: tuple[int, ...] = (0,), **fields: Any) -> list[torch.Tensor]:
    """Rows 0 .. count-1, acted on; what the network said of each."""
    said = []
    for t in range(count):
        ts = row([t % STATES] * agent.num_envs, reward=float(t), action=t % 3, first=t in starts, **fields)
        agent.observe(ts)
        agent.act(ts)
        said.append(agent._stream.output.q_values[0].clone())
    return said


def batch_at(agent: R2D2, start: int) -> Any:
    steps, extra = agent.replay.rows(np.array([start]), np.array([0]), agent.replay.sequence + 1)
    return agent._batch(Sequences(np.array([start]), steps, extra, np.ones(1, np.float32)))


def test_rescaling_and_its_inverse() -> None:
    x = torch.tensor([-1000.0, -3.0, -0.01, 0.0, 0.5, 8.0, 1e5])
    assert rescale(torch.tensor(8.0), 0.001).item() == pytest.approx(2.008)
    assert torch.allclose(unscale(rescale(x, 1e-3), 1e-3), x, rtol=1e-4, atol=1e-6)
    assert torch.allclose(rescale(unscale(x, 1e-2), 1e-2), x, rtol=1e-4, atol=1e-6)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).unsqueeze(1)


def test_n_step_returns_of_a_sequence_by_hand() -> None:
    reward, discount = column(0, 1, 2, 4), column(1, 1, 1, 1)
    first = column(0, 0, 0, 0).bool()
    value = column(10, 20, 30, 40)

    def returns(n: int, discount: torch.Tensor = discount, first: torch.Tensor = first) -> list[float]:
        return n_step_rows(reward, discount, first, value, 0.5, n)[:, 0].tolist()

    assert returns(1) == [1 + 10, 2 + 15, 4 + 20]
    assert returns(2) == [1 + 0.5 * (2 + 15), 2 + 0.5 * (4 + 20), 4 + 20]  # the sequence's end cuts
    assert returns(9) == [1 + 0.5 * (2 + 0.5 * (4 + 20)), 2 + 0.5 * (4 + 20), 4 + 20]
    dead = column(1, 1, 0, 1)
    assert returns(3, dead) == [1 + 0.5 * 2, 2, 4 + 20]
    cut = column(0, 0, 1, 0).bool()  # row 1 is an episode's last: row 0 stops there, row 1 starts nothing
    assert returns(3, first=cut)[0] == 1 + 10 and returns(3, first=cut)[2] == 4 + 20


def test_one_step_without_burn_in_is_the_temporal_difference() -> None:
    agent = make(rescale=False, huber=False)
    with torch.no_grad():
        agent._targets.flat.mul_(2.0)  # the target network warms up a state of its own
    play(agent, 10)
    batch = batch_at(agent, 3)
    loss = agent.loss(batch).loss.item()
    with torch.no_grad():
        out = agent.network(batch.obs, batch.state, batch.first).q_values[2:]  # all 7 rows from the stored state
        after = agent.target(batch.obs, batch.state, batch.first).q_values[2:]
    q = take(out[:-1], batch.action[3:])
    target = batch.reward[3:] + 0.5 * after[1:].amax(-1)
    assert loss == pytest.approx(0.5 * (q - target).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("net", [GRU, LSTM])
def test_replayed_sequences_say_what_acting_said(net: NetConfig) -> None:  # T18
    agent = make(net=net)
    said = play(agent, 12, starts=(0, 5))
    batch = batch_at(agent, 3)  # rows 3 .. 9, an episode starts at row 5
    out = agent.network(batch.obs, batch.state, batch.first).q_values
    assert torch.allclose(out[:, 0], torch.stack(said[3:10]), atol=1e-6)
    fresh = agent.network({"obs": torch.tensor([[[5 % STATES]]])}, torch.zeros(1, agent.state_size)).q_values[0, 0]
    assert torch.allclose(said[5], fresh, atol=1e-6)  # the state is zero at every episode's start
    zeros = make(net=net, stored_state=False)
    play(zeros, 12)
    assert (batch_at(zeros, 3).state == 0).all() and (batch.state != 0).any()


def test_burn_in_warms_the_state_up_and_learns_nothing() -> None:
    agent = make()
    play(agent, 12)
    batch = batch_at(agent, 3)
    state = agent.network({k: v[:2] for k, v in batch.obs.items()}, batch.state, batch.first[:2]).state
    assert torch.allclose(agent._warm(agent.network, batch), state)
    plain = agent.loss(batch).loss.item()
    wild = batch.reward.clone()
    wild[:3] = 1e6  # rewards that lead to rows 0 .. 2 belong to the burn-in
    assert agent.loss(batch._replace(reward=wild)).loss.item() == plain
    wild[3] = 1e6
    assert agent.loss(batch._replace(reward=wild)).loss.item() > plain


def test_priority_mixes_the_largest_and_the_mean_error() -> None:
    agent = make(priority_mix=0.9)
    play(agent, 12)
    batch = batch_at(agent, 3)
    sizes = {mix: make(priority_mix=mix) for mix in (0.0, 1.0)}
    for other in sizes.values():
        other.network.load_state_dict(agent.network.state_dict())
        other.target.load_state_dict(agent.target.state_dict())
    mean, largest = (sizes[m].loss(batch).priority.item() for m in (0.0, 1.0))
    assert largest > mean
    assert agent.loss(batch).priority.item() == pytest.approx(0.9 * largest + 0.1 * mean, rel=1e-5)


def test_rescaling_shrinks_the_target() -> None:
    plain, scaled = make(rescale=False, gamma=0.0, huber=False), make(gamma=0.0, huber=False)
    for agent in (plain, scaled):
        play(agent, 12)
    batch = batch_at(plain, 3)
    with torch.no_grad():
        q = take(plain.network(batch.obs, batch.state, batch.first).q_values[2:-1], batch.action[3:])
    reward = batch.reward[3:]
    assert plain.loss(batch).loss.item() == pytest.approx(0.5 * (q - reward).square().mean().item(), rel=1e-5)
    error = q - rescale(reward, 1e-3)
    assert scaled.loss(batch).loss.item() == pytest.approx(0.5 * error.square().mean().item(), rel=1e-5)


def test_bootstraps_are_put_back_to_scale_before_the_reward_is_added() -> None:
    agent = make()
    play(agent, 12)
    batch, after = batch_at(agent, 3), torch.tensor([[[0.5, -1.0, 2.0]]] * 7)
    value = unscale(torch.tensor(2.0), 1e-3)
    assert torch.allclose(agent._target(batch, after, after), rescale(batch.reward[1:] + 0.5 * value, 1e-3))


def test_double_and_masks_choose_what_is_valued() -> None:
    online, after = torch.tensor([[[1.0, 2, 0]]] * 7), torch.tensor([[[5.0, 4, 6]]] * 7)
    for double, spec, expected in ((False, TABLE, 6.0), (True, TABLE, 4.0), (False, MASKED_TABLE, 5.0)):
        agent = make(spec, double=double, rescale=False)
        mask = {"mask": [[True, False, False]]} if spec.masked else {}
        play(agent, 12, **mask)
        batch = batch_at(agent, 3)
        target = agent._target(batch, online, after)
        assert torch.allclose(target, batch.reward[1:] + 0.5 * expected)


def test_munchausen_adds_its_bonus_and_bootstraps_softly() -> None:
    tau = 0.5
    agent = make(munchausen=True, munchausen_tau=tau, rescale=False)
    play(agent, 12)
    batch = batch_at(agent, 3)
    after = torch.tensor([[[0.0, 0.1, 0.2]]] * 7)
    soft = tau * math.log(sum(math.exp(q / tau) for q in (0, 0.1, 0.2)))
    bonus = 0.9 * torch.clamp(take(after[:-1], batch.action[1:]) - soft, -1.0, 0.0)
    assert torch.allclose(agent._target(batch, after, after), batch.reward[1:] + bonus + 0.5 * soft, atol=1e-6)


def test_munchausen_reads_the_mask_of_each_row() -> None:
    tau = 0.5
    agent = make(MASKED_TABLE, munchausen=True, munchausen_tau=tau, munchausen_low=-9.0, rescale=False)
    for t in range(12):  # row t allows action t % 3, which is taken, and forbids the next one
        agent.observe(row(t % STATES, action=(t - 1) % 3, first=t == 0, mask=[np.arange(3) != (t + 1) % 3]))
    batch = batch_at(agent, 3)
    after = torch.tensor([[[0.0, 0.4, 1.0]]] * 7)
    allowed = batch.mask[:, 0].numpy()
    assert not allowed.all(1).any()
    soft = tau * np.log((np.exp(after[:, 0].numpy() / tau) * allowed).sum(1))
    bonus = 0.9 * (take(after[:-1], batch.action[1:])[:, 0].numpy() - soft[:-1])
    assert agent._target(batch, after, after)[:, 0].tolist() == pytest.approx(
        (bonus + 0.5 * soft[1:]).tolist(), abs=1e-5
    )


def test_a_nan_value_behind_an_end_does_no_harm() -> None:  # T23
    value = column(1, math.nan, 2, 3)
    returns = n_step_rows(column(0, 1, 0, 4), column(1, 0, 0, 1), column(0, 0, 1, 0).bool(), value, 0.5, 3)
    assert returns[0].item() == 1.0 and returns[2].item() == 4 + 0.5 * 3


def test_burn_in_restarts_the_state_at_the_start_of_an_episode() -> None:
    agent = make(burn_in=3)
    play(agent, 14, starts=(0, 4))
    batch = batch_at(agent, 3)  # row 4 is the second row of the burn-in
    wild = batch._replace(state=batch.state + 5.0)  # what was remembered before the episode
    assert torch.equal(agent._warm(agent.network, batch), agent._warm(agent.network, wild))
    assert agent.loss(batch).loss.item() == agent.loss(wild).loss.item()


def test_rows_that_start_no_transition_have_no_weight_in_loss_and_priority() -> None:
    agent = make(gamma=0.0, huber=False, rescale=False, priority_mix=0.0)
    play(agent, 14, starts=(0, 7))
    batch = batch_at(agent, 3)  # learns from rows 5 .. 8, and row 6 is an episode's last
    q = take(agent.network(batch.obs, batch.state, batch.first).q_values[2:-1], batch.action[3:])
    error = (q - batch.reward[3:])[~batch.first[3:]]
    assert len(error) == 3
    out = agent.loss(batch)
    assert out.loss.item() == pytest.approx(0.5 * error.square().mean().item(), rel=1e-5)
    assert out.priority.item() == pytest.approx(error.abs().mean().item(), rel=1e-5)


def test_rewards_are_clipped_for_the_learner_only() -> None:  # T15
    agent = make(reward_clip=1.0)
    play(agent, 12)
    assert batch_at(agent, 3).reward.max() == 1.0 and agent.replay.newest(1)[0].reward.item() == 11.0


# sequences of the shared replay


def sequences(num_envs: int = 2, slots: int = 12, prioritized: bool = True, stack: int = 1) -> Replay:
    return Replay(
        TABLE,
        num_envs,
        slots,
        np.random.default_rng(0),
        columns=[ColumnSpec("state", (1,), every=3)],
        stack=stack,
        prioritized=prioritized,
        sequence=4,
        period=3,
    )


def fill(replay: Replay, count: int) -> None:
    for _ in range(count):
        t = replay.count
        ts: TimeStep = row([t % STATES] * replay.num_envs, reward=float(t), first=t == 0)
        replay.append(ts, {"state": np.full((replay.num_envs, 1), t, np.float32)})


@pytest.mark.parametrize("prioritized", [False, True])
def test_sequences_start_at_the_period_are_complete_and_carry_their_state(prioritized: bool) -> None:
    for count in (3, 4, 5, 9, 12, 20, 37):
        replay = sequences(prioritized=prioritized)
        fill(replay, count)
        starts = [t for t in range(max(0, count - 12), count) if t % 3 == 0 and t + 4 < count]
        drawn = replay.sample_sequences(64)
        if not starts:
            assert drawn is None
            continue
        assert drawn is not None
        assert {int(r) // 2 for r in drawn.rows} == set(starts)
        assert drawn.steps.reward.shape == (5, 64)
        for k, start in enumerate(drawn.rows // 2):
            assert (drawn.steps.reward[:, k] == np.arange(start, start + 5)).all() or start == 0
            assert drawn.extra["state"][k, 0] == start


def test_a_stack_needs_its_history_at_the_start_of_a_sequence() -> None:
    replay = sequences(stack=3)
    fill(replay, 21)  # rows 9 .. 20 are held: the stack of row 9 is gone, that of row 12 is not
    drawn = replay.sample_sequences(64)
    assert drawn is not None and {int(r) // 2 for r in drawn.rows} == {12, 15}


def test_priorities_of_sequences_and_stale_ones() -> None:  # T9, T10
    replay = sequences(num_envs=1)
    fill(replay, 12)  # starts 0, 3, 6
    replay.set_priorities(np.array([0, 3, 6]), np.array([100.0, 1.0, 3.0]))
    drawn = replay.sample_sequences(4000, beta=1.0)
    assert drawn is not None
    assert np.mean(drawn.rows == 0) == pytest.approx(100 / 104, abs=0.01)
    assert drawn.weight[drawn.rows == 0][0] == pytest.approx(0.01)
    fill(replay, 1)  # row 0 is overwritten
    replay.set_priorities(np.array([0]), np.array([1e9]))
    assert replay.stale_updates == 1
    fill(replay, 1)  # row 9 becomes a start, at the live maximum: 3, not 100
    assert replay._tree.get(np.array([9])).tolist() == [3.0]  # type: ignore[union-attr]


def test_updates_wait_for_a_complete_sequence_and_set_its_priority() -> None:
    agent = make(prioritized=True, replay_ratio=1.0, update_every=1)
    losses = []
    for t in range(12):
        ts = row(t % STATES, reward=1.0, first=t == 0)
        agent.observe(ts)
        losses.append(agent.update() is not None)
        agent.act(ts)
    assert losses == [False] * 6 + [True] * 6
    leaves = agent.replay._tree.values  # type: ignore[union-attr]
    assert set(np.flatnonzero(leaves)) == {0, 3} and leaves[0] != 1.0


def test_many_environments_learn_no_debt_from_a_handful_of_sequences() -> None:
    agent = make(num_envs=16, replay_ratio=0.25, update_every=16)
    assert agent.learning_starts == 16 * 5
    bursts = []
    for t in range(12):
        ts = row([t % STATES] * 16, reward=1.0, first=t == 0)
        agent.observe(ts)
        before = agent.updates
        agent.update()
        bursts.append(agent.updates - before)
        agent.act(ts)
    assert bursts == [0] * 6 + [4] * 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"burn_in": -1}, "burn_in must not be negative"),
        ({"priority_mix": 2.0}, r"priority_mix must lie in \[0, 1\]"),
        ({"rescale_eps": 0.0}, "rescale_eps must be above 0"),
        ({"munchausen": True}, "switch one of them off"),
        ({"buffer_size": 60}, "buffer_size 60 is less than a sequence of 61 rows with its burn-in"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        R2D2Config(**fields)


def test_a_network_without_memory_is_refused() -> None:
    with pytest.raises(InputError, match="use core=lstm, core=gru, or dqn"):
        make(net=TABLE_NET)


@pytest.mark.full
def test_it_learns_to_name_a_cue_it_saw_five_steps_before() -> None:
    config = EnvConfig(options={"delay": 5})
    world = envs.make("Memory/RememberCue-v0", config=config, num_envs=16, seed=1000)
    agent = R2D2(
        world.spec,
        R2D2Config(
            net=NetConfig(hidden=(32,), core="gru", core_size=32),
            lr=3e-3,
            learning_starts=500,
            replay_ratio=0.1,
            update_every=16,
            target_every=50,
            n_step=5,
            double=True,
            prioritized=True,
            burn_in=0,
            length=12,
            period=6,
            epsilon=Ramp(1.0, 0.05, 3_000),
        ),
        num_envs=16,
        seed=1000,
    )
    right = [r for slot in interact(world, agent, 5_000) if slot.step > 4_000 for r in slot.ts.reward[slot.ts.last]]
    world.close()
    assert np.mean(right) > 0.9  # seen: 0.98, of which epsilon costs 0.025
