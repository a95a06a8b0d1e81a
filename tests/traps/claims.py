"""One claim for each trap of the field that breaks learning silently. A claim is an assertion about the whole path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents.dqn import DQN, DQNConfig
from agents.ppo import PPO, PPOConfig
from agents.sac import SAC, SACConfig
from envs import EnvConfig
from rl import returns
from rl.errors import NonFiniteError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf, TimeStep
from rl.loop import interact
from rl.networks import NetConfig
from rl.networks.torso import build_torso
from rl.replay import Replay
from rl.schedules import Ramp
from rl.sumtree import SumTree
from runs.training.episodes import EpisodeRecord
from tests.agents.worlds import TABLE, TABLE_NET, row

GAMMA = 0.9


def rows_of(env: str, count: int, num_envs: int = 1, config: EnvConfig | None = None) -> list[TimeStep]:
    world = envs.make(env, num_envs=num_envs, config=config)
    rng = np.random.default_rng(0)
    rows = [world.reset()]
    for _ in range(count - 1):
        rows.append(world.step(rng.integers(0, world.spec.action.nvec[0], num_envs)))
    spec = world.spec
    world.close()
    rows[0].info["spec"] = spec
    return rows


def memory(rows: list[TimeStep], slots: int | None = None, stack: int = 1, **kwargs: Any) -> Replay:
    spec = rows[0].info["spec"]
    replay = Replay(spec, len(rows[0].first), slots or len(rows) + 1, np.random.default_rng(0), stack=stack, **kwargs)
    for ts in rows:
        replay.append(ts)
    return replay


def every_window(replay: Replay, n: int = 1) -> Any:
    index = np.arange(replay.oldest * replay.num_envs, replay.count * replay.num_envs)
    return replay.windows(index[replay.eligible(index)], n)


def counting(replay_slots: int | None = None, stack: int = 1, count: int = 200) -> Replay:
    rows = rows_of("Probe/Counting-v0", count, config=EnvConfig(options={"length": 7, "end": "truncated"}))
    return memory(rows, replay_slots, stack)


def time_limits_bootstrap() -> None:
    w = every_window(memory(rows_of("Probe/Constant-v0", 200)))
    value = 0.0
    for _ in range(400):
        value = float(np.mean(w.reward[0] + GAMMA * w.discount[0] * value))
    assert value == pytest.approx(1 / (1 - GAMMA), rel=1e-3)


def an_end_that_is_also_a_time_limit_does_not_bootstrap() -> None:
    w = every_window(memory(rows_of("Probe/Both-v0", 40)))
    _, boot = returns.n_step(w.reward, w.discount, w.length, GAMMA)
    assert (boot == 0).all() and (w.reward == 1).all()


def no_transition_leads_from_an_episode_to_the_next() -> None:
    w = every_window(counting())
    assert (w.next_obs["obs"][:, 0] == w.obs["obs"][:, 0]).all()
    assert (w.next_obs["obs"][:, 1] == w.obs["obs"][:, 1] + 1).all()


def the_final_observation_is_the_next_one() -> None:
    w = every_window(counting())
    final = w.next_obs["obs"][:, 1] == 7
    assert final.sum() >= 20
    assert (w.next_obs["obs"][final, 0] == w.obs["obs"][final, 0]).all()


def a_sample_never_crosses_the_head() -> None:
    replay = counting(replay_slots=16, count=150)
    for n in range(1, 9):
        w = every_window(replay, n)
        assert (w.next_obs["obs"][:, 1] - w.obs["obs"][:, 1] == w.length).all()
        assert (w.length >= 1).all()


def n_step_returns_stop_at_an_end_with_the_right_power() -> None:
    w = every_window(counting(), 5)
    total, boot = returns.n_step(w.reward, w.discount, w.length, GAMMA)
    for b in range(len(w.rows)):
        t, m = w.obs["obs"][b, 1], w.length[b]
        assert total[b] == pytest.approx(sum(GAMMA**k * (t + 1 + k) for k in range(m)), rel=1e-5)
        assert boot[b] == pytest.approx(GAMMA**m, rel=1e-5)


def a_stack_holds_one_episode() -> None:
    w = every_window(counting(stack=4))
    tags = w.obs["obs"][:, :, 0]
    assert (tags == tags[:, -1:]).all()


def stale_priorities_are_ignored() -> None:
    rows = rows_of("Probe/Counting-v0", 80, config=EnvConfig(options={"length": 7}))
    replay = memory(rows[:20], 10, prioritized=True)
    sample = replay.sample(8)
    assert sample is not None
    for ts in rows[20:]:
        replay.append(ts)
    before = replay._tree.values.copy()  # type: ignore[union-attr]
    replay.set_priorities(sample.rows, np.full(8, 777.0))
    assert np.array_equal(before, replay._tree.values) and replay.stale_updates == 8  # type: ignore[union-attr]


def new_rows_enter_at_the_live_maximum() -> None:
    tree = SumTree(4)
    tree.set(np.arange(4), np.array([1.0, 1e9, 2.0, 1.0]))
    tree.set(np.array([1]), 0.0)
    assert tree.maximum == 2.0


def a_nan_priority_is_refused() -> None:
    tree = SumTree(4)
    tree.set(np.arange(4), np.ones(4))
    with pytest.raises(NonFiniteError):
        tree.set(np.array([2]), np.array([np.nan]))
    assert tree.total == 4.0


def table_agent(num_envs: int = 1, **fields: Any) -> DQN:
    base: dict[str, Any] = {
        "net": TABLE_NET,
        "learning_starts": 8,
        "batch_size": 4,
        "buffer_size": 512,
        "replay_ratio": 0.5,
        "update_every": 4,
        "target_every": 5,
        "epsilon": Ramp(1.0, 0.1, 100),
    }
    return DQN(TABLE, DQNConfig(**{**base, **fields}), num_envs=num_envs, seed=0)


def reload(agent: DQN) -> DQN:
    again = DQN(TABLE, agent.config, num_envs=agent.num_envs, seed=0)
    again.replay.restore(
        agent.replay.oldest, agent.replay.count, agent.replay.export(agent.replay.oldest, agent.replay.count)
    )
    again.load_agent_state(agent.agent_state())
    again.load_learner_state(agent.learner_state())
    return again


def target_syncs_keep_their_schedule_across_reloads() -> None:
    for num_envs in (1, 3, 8):
        agent, syncs = table_agent(num_envs), list[int]()
        agent.observe(row([0] * num_envs, first=True))
        while agent.step < 192:
            if agent.step % 48 == 0:
                agent = reload(agent)
            agent.observe(row(list(np.arange(num_envs) % 4), reward=1.0))
            before = agent._targets.flat.clone()
            agent.update()
            if not torch.equal(before, agent._targets.flat):  # at most one falls due between two looks
                syncs.append(agent.updates // 5 * 5)
        assert syncs == list(range(5, 93, 5)), (num_envs, syncs)


def epsilon_follows_the_counted_steps() -> None:
    for num_envs in (1, 3, 8):
        agent = table_agent(num_envs)
        agent.observe(row([0] * num_envs, first=True))
        for slot in range(48 // num_envs):
            agent.observe(row([0] * num_envs))
            if slot == 2:
                agent = reload(agent)
        assert agent.epsilon("explore") == pytest.approx(1 - 0.9 * 0.48)


def a_lost_life_is_no_end_of_the_game() -> None:
    record, games = EpisodeRecord(1), []
    rows = rows_of("Probe/Lives-v0", 60, config=EnvConfig(life_loss=True))
    for ts in rows:
        games += record.add(ts)
    assert [g["return"] for g in games[:3]] == [12.0, 12.0, 12.0]
    assert sum(1 for ts in rows[:13] if ts.discount[0] == 0 and not ts.first[0]) == 3


def scores_are_raw_while_the_learner_sees_clipped_rewards() -> None:
    record, games = EpisodeRecord(1), []
    rows = rows_of("Probe/Five-v0", 30)
    for ts in rows:
        games += record.add(ts)
    assert games[0]["return"] == 5.0 * games[0]["length"]
    agent = table_agent(reward_clip=1.0)
    for ts in (row(0, first=True), row(1, reward=5.0)):
        agent.observe(ts)
    assert agent._batch(agent.replay.windows(np.array([0]))).reward.item() == 1.0


def ppo(**fields: Any) -> tuple[PPO, Any]:
    config = PPOConfig(net=NetConfig(hidden=(8,)), rollout=8, epochs=2, minibatch_size=8, **fields)
    world = envs.make("CartPole-v1", num_envs=2)
    return PPO(world.spec, config, num_envs=2, seed=0), world


def evaluation_leaves_the_normaliser_alone(agent: Any = None, world: Any = None) -> None:
    if agent is None:
        agent, world = ppo(normalize_obs=True)
    for _ in interact(world, agent, 40):
        pass
    before = {k: v.clone() for k, v in agent.network.state_dict().items()}
    assert before["normaliser.moments.0.count"] > 0
    actor, watched = agent.actor(2, 5), envs.make("CartPole-v1", num_envs=2, stream="evaluate")
    ts = watched.reset()
    for _ in range(20):
        ts = watched.step(actor.act(ts))
    assert all(torch.equal(v, before[k]) for k, v in agent.network.state_dict().items())


def evaluation_leaves_a_critics_normaliser_alone() -> None:
    world = envs.make("CartPole-v1", num_envs=2)
    config = SACConfig(net=NetConfig(hidden=(8,)), normalize_obs=True)
    evaluation_leaves_the_normaliser_alone(SAC(world.spec, config, num_envs=2, seed=0), world)


def advantages_are_cut_at_the_first_row_of_an_episode() -> None:
    reward, discount = torch.tensor([[0.0], [1.0], [0.0], [3.0]]), torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    first = torch.tensor([[False], [False], [True], [False]])
    value = torch.tensor([[10.0], [20.0], [30.0], [40.0]])
    advantage, _ = returns.gae(reward, discount, first, value, 0.9, 0.8)
    assert advantage[:, 0].tolist() == pytest.approx([9.0, 0.0, 9.0])


def memory_restarts_with_the_episode() -> None:
    spec = EnvSpec("X-v0", {"obs": ObsLeaf((3,), "float32", "vector")}, ActionSpec("discrete", (2,)))
    torch.manual_seed(0)
    torso = build_torso(spec, NetConfig(hidden=(4,), core="lstm", core_size=5))
    obs = torch.randn(6, 1, 3)
    first = torch.tensor([True, False, False, True, False, False]).unsqueeze(1)
    whole, _ = torso({"obs": obs}, None, first)
    alone, _ = torso({"obs": obs[3:]}, None, None)
    assert torch.allclose(whole[3:], alone, atol=1e-6)


def parallel_environments_start_differently() -> None:
    starts = envs.make("CartPole-v1", num_envs=16).reset().obs["obs"]
    assert len({tuple(x) for x in starts.tolist()}) == 16


def episodes_start_differently() -> None:
    rows = rows_of("CartPole-v1", 400)
    starts = [tuple(ts.obs["obs"][0].tolist()) for ts in rows if ts.first[0]]
    assert len(starts) > 10 and len(set(starts)) == len(starts)


def evaluation_does_not_touch_the_training() -> None:
    def trained(look: bool) -> torch.Tensor:
        agent, world = ppo()
        actor, watched = agent.actor(2, 5, sample=True), envs.make("CartPole-v1", num_envs=2, stream="evaluate")
        ts = watched.reset()
        for _ in interact(world, agent, 60):
            if look:
                ts = watched.step(actor.act(ts))
        return agent.optimizer.flat.detach()

    assert torch.equal(trained(False), trained(True))


def episode_statistics_are_cut_at_resets() -> None:
    record, games = EpisodeRecord(2), []
    for ts in rows_of("Probe/Counting-v0", 60, 2, EnvConfig(options={"length": 7})):
        games += record.add(ts)
    assert {g["length"] for g in games} == {7} and {g["return"] for g in games} == {28.0}
    assert record.mean_return == 28.0


def a_nan_behind_an_end_does_no_harm() -> None:
    agent = table_agent(learning_starts=0, batch_size=2)
    with torch.no_grad():
        agent._targets.flat.fill_(float("nan"))
    for ts in (row(0, first=True), row(1, reward=1.0, discount=0.0, last=True)):
        agent.observe(ts)
    out = agent.loss(agent._batch(agent.replay.windows(np.array([0, 0]))))
    assert bool(torch.isfinite(out.loss).all())


def rows_stay_when_the_environment_reuses_its_array() -> None:
    rows = rows_of("Probe/OneArray-v0", 6)
    seen = [float(ts.obs["obs"].reshape(-1)[0]) for ts in rows]
    assert len(set(seen)) > 3


def pictures_are_scaled_once() -> None:
    spec = EnvSpec(
        "I-v0", {"obs": ObsLeaf((1, 84, 84), "uint8", "image", "CHW", scale=255.0)}, ActionSpec("discrete", (2,))
    )
    torso = build_torso(spec, NetConfig(encoder="nips", hidden=(4,)))
    seen: list[torch.Tensor] = []
    conv = next(m for m in torso.modules() if isinstance(m, torch.nn.Conv2d))
    conv.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    torso({"obs": torch.full((1, 1, 84, 84), 255, dtype=torch.uint8)})
    assert (seen[0] == 1.0).all()


def evaluation_does_not_explore() -> None:
    agent = table_agent(epsilon=1.0)
    actor = agent.actor(1, 3)
    assert len({int(actor.act(row(1, first=True))[0]) for _ in range(40)}) == 1


def the_stored_log_probability_is_that_of_the_drawn_action() -> None:
    world = envs.make("Pendulum-v1", num_envs=2)
    agent = PPO(world.spec, PPOConfig(net=NetConfig(hidden=(8,)), rollout=16, epochs=1), num_envs=2, seed=0)
    for _ in interact(world, agent, 30):
        pass
    rows, extra = agent.replay.newest(8)
    obs = {"obs": torch.from_numpy(rows.obs["obs"][:-1])}
    with torch.no_grad():
        dist = agent.network(obs, torch.zeros(2, 0)).dist
    normal = torch.distributions.Normal(dist.mean, dist.log_std.detach().exp())
    expected = normal.log_prob(torch.from_numpy(rows.action[1:])).sum(-1)
    good = ~rows.first[1:]
    assert np.abs(extra["raw"][1:][good]).max() > 0
    assert extra["log_prob"][1:][good] == pytest.approx(expected.numpy()[good], abs=1e-4)
    assert np.abs(rows.action).max() > 2.0 or np.array_equal(extra["raw"][1:][good], rows.action[1:][good])


def a_single_row_has_no_spread_to_divide_by() -> None:
    agent, world = ppo(normalize_obs=False)
    for _ in interact(world, agent, 15):
        pass
    rollout = agent.rollout(3)
    batch = agent.select(rollout, torch.tensor([0]))
    assert bool(torch.isfinite(batch.advantage).all())
