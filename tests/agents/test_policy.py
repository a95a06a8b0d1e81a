"""What all policy learners share: alignment of rows, memory, normalisers, noise, spaces, faults."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import agents
import envs
from agents.a2c import A2C, A2CConfig
from agents.base import Actor, Choice, as_tensors
from agents.dqn import DQNConfig
from agents.policy import PolicyAgent
from agents.ppo import PPO, PPOConfig
from agents.predict import first_row
from agents.reinforce import ReinforceConfig
from envs import EnvConfig
from envs.probes import Probe
from envs.spaces import action_cast, observation_casts
from rl.distributions import PolicyConfig
from rl.errors import InputError, NonFiniteError
from rl.interface import ActionSpec, EnvSpec, TimeStep
from rl.loop import interact
from rl.networks import NetConfig
from runs.testing import check_agent
from tests.agents.policies import PROBABILITIES, VALUES, table_agent, train
from tests.agents.worlds import TABLE, TABLE_NET, row

NET = NetConfig(hidden=(8,))


def table(num_envs: int = 1, **fields: Any) -> A2C:
    agent: A2C = table_agent(A2CConfig(net=TABLE_NET, gamma=0.5, **fields), num_envs)
    return agent


def test_what_was_said_of_a_row_stands_with_that_row() -> None:
    agent, actions = table(), []
    for ts in (row(0, first=True), row(1, reward=1.0), row(3, reward=2.0), row(2, reward=4.0)):
        agent.observe(ts)
        actions.append(int(agent.act(ts)[0]))
    rows = agent.rollout(4).rows
    assert rows.obs["obs"].flatten().tolist() == [0, 1, 3]
    assert rows.action.flatten().tolist() == actions[:3]
    said = [PROBABILITIES[s][a] for s, a in zip((0, 1, 3), actions, strict=False)]
    assert rows.log_prob.exp().flatten().tolist() == pytest.approx(said)
    assert rows.value.flatten().tolist() == pytest.approx([VALUES[s] for s in (0, 1, 3)])
    # whole returns, bootstrapped from the newest row, of which nothing has been said yet
    last = VALUES[2]
    assert rows.target.flatten().tolist() == pytest.approx([1 + 1 + 1 + last / 8, 2 + 2 + last / 4, 4 + last / 2])


def test_a_truncated_episode_bootstraps_from_its_true_last_row_and_a_dead_one_does_not() -> None:
    agent = table(num_envs=2)
    rows = (
        row([0, 0], first=True),
        row([3, 3], reward=1.0, discount=[1.0, 0.0], last=True),
        row([1, 1], first=True),
        row([2, 2], reward=2.0),
    )
    for ts in rows:
        agent.observe(ts)
        agent.act(ts)
    out = agent.rollout(4).rows
    assert out.target[0].tolist() == pytest.approx([1 + 0.5 * VALUES[3], 1.0])
    assert out.valid.tolist() == [[True, True], [False, False], [True, True]]
    assert len(agent.select(agent.rollout(4)).log_prob) == 4


def test_a_rollout_without_a_transition_is_skipped() -> None:
    agent = table(rollout=1)
    agent.observe(row(0, first=True))
    assert agent.update() is None
    agent.act(row(0, first=True))
    agent.observe(row(1, first=True))
    assert agent.update() is None and agent.updates == 0
    agent.act(row(1, first=True))
    agent.observe(row(2, reward=1.0))
    assert agent.update() is not None and agent.updates == 1


MEMORIES = {
    "lstm": PPOConfig(net=NetConfig(hidden=(8,), core="lstm", core_size=6)),
    "gru": PPOConfig(net=NetConfig(hidden=(8,), core="gru", core_size=6)),
    "lstm shared": PPOConfig(net=NetConfig(hidden=(8,), core="lstm", core_size=6), critic="shared"),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_sequences_from_the_stored_state_say_what_acting_step_by_step_said(name: str) -> None:
    config = PPOConfig(**{**vars(MEMORIES[name]), "rollout": 64})  # longer than what is played: no update between
    agent = train(config, "Probe/Counting-v0", 100, num_envs=3, length=5, random=True)
    for length in (31, 12):  # from the first row, and from the middle of episodes
        rows = agent.rollout(length).rows
        assert rows.first[1:].any() and (length == 31 or agent.replay.count > 31)
        with torch.no_grad():
            log_prob, _, value = agent.evaluate_actions(agent.select(agent.rollout(length)))
        assert torch.allclose(log_prob[rows.valid], rows.log_prob[rows.valid], atol=1e-6)
        assert torch.allclose(value[rows.valid], rows.value[rows.valid], atol=1e-5)
    assert rows.state.abs().sum() > 0


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_memory_solves_echo(core: str) -> None:  # T18
    net = NetConfig(hidden=(16,), activation="tanh", core=core, core_size=16)  # type: ignore[arg-type]
    config = PPOConfig(net=net, rollout=18, epochs=6, minibatch_size=144, lr=0.02, gamma=0.5)
    agent = train(config, "Probe/Echo-v0", 4000, num_envs=8)
    world = envs.make("Probe/Echo-v0", num_envs=8, seed=5)
    actor, ts, total = agent.actor(8, 1), world.reset(), 0.0
    for _ in range(8):
        ts = world.step(actor.act(ts))
        total += float(ts.reward.sum())
    assert total / 8 >= 7.5  # of 8; without a memory 4.5 on average


def test_the_running_return_is_cut_at_ends_and_goes_on_over_rollouts() -> None:
    gamma, rng = 0.9, np.random.default_rng(0)
    agent = table(num_envs=2, rollout=3, normalize_return=True, reward_clip=2.0, lr=1e-6)
    running, every = np.zeros(2), list[float]()
    object.__setattr__(agent.config, "gamma", gamma)
    ts = row([0, 1], first=True)
    for t in range(60):
        agent.observe(ts)
        agent.update()
        agent.act(ts)
        if t % 3 == 0 and every:  # rollouts end here: by NumPy, the rule of VecNormalize
            assert agent.returns.count.item() == len(every)
            assert agent.returns.var.item() == pytest.approx(np.var(every), rel=1e-5)
        before = ts
        reset = before.last | ((before.discount == 0) & ~before.first & (rng.random(2) < 0.5))
        ts = row(
            list(rng.integers(0, 4, 2)),
            reward=list(rng.normal(0, 3, 2)),
            discount=list(np.where(rng.random(2) < 0.2, 0.0, 1.0)),  # a lost life, or an end
            first=list(reset),
            last=list(~reset & (rng.random(2) < 0.1)),
        )
        running = np.where(ts.first, 0.0, gamma * running + np.clip(ts.reward, -2, 2))
        every += running[~ts.first].tolist()
        running = np.where(ts.discount > 0, running, 0.0)


def test_rewards_are_divided_by_the_deviation_that_was_known_before_the_rollout() -> None:
    agent = table(normalize_return=True)
    agent.returns.update(torch.tensor([0.0, 4.0]))  # deviation 2
    for ts in (row(0, first=True), row(1, reward=3.0), row(2, reward=100.0)):
        agent.observe(ts)
        agent.act(ts)
    rollout = agent.rollout(3)
    seen = agent.learner_rewards(rollout.reward, rollout.discount, rollout.ended)
    assert seen[:, 0].tolist() == pytest.approx([1.5, 10.0])  # clipped at 10
    assert rollout.reward[:, 0].tolist() == [3.0, 100.0]  # raw
    assert agent.returns.count == 2


def test_the_first_rollout_is_divided_by_its_own_deviation() -> None:
    agent = table(normalize_return=True)
    for ts in (row(0, first=True), row(1, reward=30.0), row(2, reward=10.0)):
        agent.observe(ts)
        agent.act(ts)
    rollout = agent.rollout(3)
    seen = agent.learner_rewards(rollout.reward, rollout.discount, rollout.ended)
    assert seen[:, 0].tolist() == pytest.approx([30 / 2.5, 4.0], rel=1e-4) or seen[0, 0] == 10.0
    assert agent.returns.count == 0


@pytest.mark.parametrize("deviation", ["shared", "state", "gsde"])
@pytest.mark.parametrize("kind", [PPOConfig, A2CConfig, ReinforceConfig])
def test_box_actions_are_stored_as_drawn_with_the_log_probability_of_the_draw(kind: Any, deviation: Any) -> None:
    world = envs.make("Pendulum-v1", num_envs=200, seed=0)
    config = kind(net=NET, policy=PolicyConfig(deviation=deviation, log_std=1.0))
    agent = agents.build(config, world.spec, num_envs=200, seed=0)
    ts = world.reset()
    action, extra = agent.act(ts), agent._stream.extra
    world.close()
    dist = agent.network({"obs": torch.from_numpy(ts.obs["obs"])}).dist
    normal = torch.distributions.Normal(dist.mean.detach(), dist.log_std.detach().exp().expand_as(dist.mean))
    share = 2 * (1 - normal.cdf(torch.tensor(2.0))).mean().item()  # beyond the bounds, -2 and 2
    assert np.mean(np.abs(extra["raw"]) > 2) == pytest.approx(share, abs=0.15) and share > 0.2
    assert np.array_equal(action, extra["raw"])
    expected = normal.log_prob(torch.from_numpy(extra["raw"])).sum(-1).numpy()
    assert extra["log_prob"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", [PPOConfig, A2CConfig])
def test_a_recurrent_loss_is_the_mean_over_rows_that_start_a_transition(kind: Any) -> None:
    config = kind(net=MEMORIES["gru"].net, rollout=64)  # longer than what is played: no update between
    agent = train(config, "Probe/Counting-v0", 60, num_envs=3, length=5, random=True)
    rows = agent.select(agent.rollout(15))
    assert 0 < int((~rows.valid).sum()) < rows.valid.numel()
    out = agent.gradient(rows)
    expected = agent.loss(rows).loss[rows.valid].mean()
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    right = agent.optimizer.grad.clone()
    agent.optimizer.backward(expected)
    assert torch.allclose(agent.optimizer.grad, right, atol=1e-6)


def test_recurrent_advantages_are_standardised_over_rows_that_start_a_transition() -> None:
    config = PPOConfig(net=MEMORIES["gru"].net, rollout=64)
    agent = train(config, "Probe/Counting-v0", 60, num_envs=3, length=5, random=True)
    rows = agent.select(agent.rollout(15))
    rows = rows._replace(advantage=torch.where(rows.valid, 1.0 + 3.0 * torch.rand(rows.valid.shape), 99.0))
    advantage = agent.prepared(rows).advantage[rows.valid]
    assert advantage.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert advantage.std().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("stack", [1, 3])
def test_observation_moments_are_those_of_the_rows_that_start_transitions(stack: int) -> None:
    seen: list[np.ndarray] = []

    def watch(agent: Any, slot: Any) -> None:
        seen.append(np.concatenate([slot.ts.obs["obs"], slot.ts.first[:, None]], 1))

    config = PPOConfig(net=NET, rollout=10, epochs=1, normalize_obs=True, stack=stack)
    agent = train(config, "CartPole-v1", 150, num_envs=2, watch=watch)
    rows = np.stack(seen)[: (len(seen) - 1) // 10 * 10 + 1]  # rows of finished rollouts
    good = rows[1:, :, 4] == 0
    moments: Any = agent.network.normaliser.moments[0]  # type: ignore[union-attr]
    assert moments.count.item() == good.sum()
    assert moments.mean.numpy() == pytest.approx(rows[:-1, :, :4][good].mean(0), rel=1e-4, abs=1e-6)
    assert moments.var.numpy() == pytest.approx(rows[:-1, :, :4][good].var(0), rel=1e-4)


def test_an_evaluation_changes_no_moment() -> None:  # T16
    agent = train(PPOConfig(net=NET, rollout=10, normalize_obs=True, normalize_return=True), "CartPole-v1", 60)
    before = {k: v.clone() for k, v in agent.network.state_dict().items()}
    returns = agent.returns.var.clone()
    world = envs.make("CartPole-v1", num_envs=2, seed=9)
    actor, ts = agent.actor(2, 3, sample=True), world.reset()
    for _ in range(20):
        ts = world.step(actor.act(ts))
    assert all(torch.equal(v, before[k]) for k, v in agent.network.state_dict().items())
    assert torch.equal(agent.returns.var, returns)


def test_gsde_holds_its_noise_for_the_given_steps() -> None:
    seen: list[torch.Tensor] = []
    config = PPOConfig(net=NET, rollout=16, policy=PolicyConfig(deviation="gsde"), noise_every=3)
    train(config, "Pendulum-v1", 24, num_envs=2, watch=lambda agent, slot: seen.append(agent._stream.noise))
    held = [torch.equal(a, b) for a, b in pairwise(seen[1:])]
    assert held == [(k + 1) % 3 != 0 for k in range(len(held))]
    assert not torch.equal(seen[1][0], seen[1][1])  # each environment has its own


def test_a_sample_in_evaluation_is_an_independent_draw() -> None:
    config = PPOConfig(net=NET, rollout=16, policy=PolicyConfig(deviation="gsde"))
    agent = train(config, "Pendulum-v1", 16, num_envs=2)
    actor = agent.actor(2, 3, sample=True)
    ts = envs.make("Pendulum-v1", num_envs=2).reset()
    assert len({float(actor.act(ts)[0, 0]) for _ in range(5)}) == 5
    assert actor.noise is None


class Bits(Probe):
    """Three switches; each that is on pays 1."""

    action_space: ClassVar[spaces.Space] = spaces.MultiBinary(3)  # type: ignore[misc]

    def step(self, action: Any) -> Any:
        self.t += 1
        return self.observe(), float(np.sum(action)), self.t >= 4, False, {}


gymnasium.register("Test/Bits-v0", Bits)

SPACES: dict[str, tuple[str, Any]] = {
    "multibinary": ("Test/Bits-v0", PPOConfig(net=NET, rollout=10, epochs=2)),
    "multidiscrete and nested leaves": (
        "Probe/Nested-v0",
        A2CConfig(net=NetConfig(encoder="mlp", hidden=(8,)), normalize_obs=True),
    ),
    "gsde, squashed": (
        "Pendulum-v1",
        A2CConfig(net=NET, policy=PolicyConfig(deviation="gsde", squash=True), noise_every=2),
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_every_action_space_keeps_the_contract(name: str) -> None:
    env, config = SPACES[name]
    check_agent(config, env, steps=60)


MASKED: dict[str, tuple[str, Any]] = {
    "in info": ("Probe/MaskInfo-v0", PPOConfig(net=NET, rollout=10, epochs=2)),
    "in the observation, memory": (
        "Probe/MaskDict-v0",
        PPOConfig(net=NetConfig(hidden=(8,), core="gru", core_size=4), rollout=10, epochs=2),
    ),
    "whole episodes": ("Probe/MaskInfo-v0", ReinforceConfig(net=NET, episodes=2)),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_a_mask_forbids_is_never_done_in_training_or_evaluation(name: str) -> None:
    env, config = MASKED[name]
    agent = train(config, env, 120, num_envs=2)  # the probe raises at a forbidden action; at ends all are
    assert agent.updates > 0 and torch.isfinite(agent.optimizer.flat).all()
    for sample in (False, True):
        world = envs.make(env, num_envs=2, seed=4)
        actor, ts = agent.actor(2, 0, sample=sample), world.reset()
        for _ in range(20):
            ts = world.step(actor.act(ts))
        world.close()


def test_all_bits_are_switched_on() -> None:
    config = PPOConfig(net=NetConfig(hidden=(16,)), rollout=8, epochs=4, minibatch_size=64, lr=0.02)
    agent = train(config, "Test/Bits-v0", 1500, num_envs=8)
    assert agent.predict(np.zeros(1, np.float32), deterministic=True)[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.0, np.inf), (-np.inf, 0.5)])
def test_unbounded_and_one_sided_boxes_train_and_are_not_squashed(low: float, high: float) -> None:
    agent = train(PPOConfig(net=NET, rollout=8), "Probe/Target-v0", 64, num_envs=2, low=low, high=high)
    assert agent.updates > 0 and torch.isfinite(agent.optimizer.flat).all()
    spec = envs.spec("Probe/Target-v0", EnvConfig(options={"low": low, "high": high}))
    with pytest.raises(InputError, match="squash needs bounded actions"):
        PPO(spec, PPOConfig(net=NET, policy=PolicyConfig(squash=True)), num_envs=1, seed=0)


def test_a_normaliser_without_a_vector_is_refused() -> None:
    with pytest.raises(InputError, match="normalize_obs is for vectors of floats"):
        PPO(TABLE, PPOConfig(net=TABLE_NET, normalize_obs=True), num_envs=1, seed=0)


def test_a_loss_that_is_not_finite_is_named_and_its_update_not_applied() -> None:
    agent = table(entropy_cost=0.1, rollout=2)
    with torch.no_grad():
        agent.network.get_parameter("policy.logits.weight")[0, 2] = float("inf")
    before = agent.optimizer.flat.detach().clone()
    for ts in (row(2, first=True), row(2, reward=1.0), row(2, reward=1.0)):
        agent.observe(ts)
        agent._stream.extra = {
            "raw": np.zeros(1, np.int64),
            "log_prob": np.zeros(1, np.float32),
            "value": np.ones(1, np.float32),
        }
    with pytest.raises(NonFiniteError, match=r"a2c, update 1, step 2: the loss is nan \(policy_loss, entropy\)"):
        agent.update()
    assert torch.equal(agent.optimizer.flat.detach(), before) and agent.updates == 0


def test_a_nan_said_of_a_final_row_does_no_harm() -> None:  # T23
    agent = table(rollout=3)
    for ts in (row(0, first=True), row(1, reward=1.0, discount=0.0, last=True), row(2, first=True), row(3, reward=1.0)):
        agent.observe(ts)
        agent.act(ts)
        if ts.last[0]:
            agent._stream.extra["value"] = np.full(1, np.nan, np.float32)
    metrics = agent.update()
    assert metrics is not None and all(torch.isfinite(v) for v in metrics.values())
    assert torch.isfinite(agent.optimizer.flat).all()


def test_a_network_with_a_memory_speaks_of_one_row_as_of_a_sequence_of_one() -> None:
    config = PPOConfig(net=NetConfig(hidden=(8,), core="lstm", core_size=6))
    agent = agents.build(config, envs.spec("CartPole-v1"), num_envs=3, seed=0)
    obs, state = torch.randn(3, 4), torch.randn(3, agent.state_size)
    first = torch.tensor([True, False, False])
    one, many = agent.network({"obs": obs}, state, first), agent.network({"obs": obs[None]}, state, first[None])
    assert one.value.shape == (3,) and one.dist.log_probs.shape == (3, 2)
    assert torch.equal(one.value, many.value[0]) and torch.equal(one.state, many.state)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_watchers_may_ask_what_a_value_depends_on(env: str) -> None:
    agent = agents.build(PPOConfig(net=NET), envs.spec(env), num_envs=2, seed=0)
    ts = envs.make(env, num_envs=2).reset()
    obs = torch.from_numpy(ts.obs["obs"]).requires_grad_()
    out = agent.choose(agent.actor(2, 0), {"obs": obs}, ts).output
    assert torch.autograd.grad(out.value[0], obs)[0].abs().sum() > 0


def test_the_replay_holds_one_rollout_and_its_history() -> None:
    agent = train(PPOConfig(net=NET, rollout=8, stack=3), "CartPole-v1", 40, num_envs=2)
    assert agent.replay.slots == 8 + 1 + 2
    assert agent.predicted_bytes() == pytest.approx(agent.replay.nbytes, rel=0.25)


def test_updates_come_every_rollout_rows() -> None:
    at: list[int] = []

    def watch(agent: PolicyAgent, slot: Any) -> None:
        if slot.metrics is not None:
            at.append(agent.replay.count - 1)

    world = envs.make("CartPole-v1", num_envs=3, seed=0)
    agent = agents.build(PPOConfig(net=NET, rollout=7, epochs=1), world.spec, num_envs=3, seed=0)
    for slot in interact(world, agent, 100):
        watch(agent, slot)
    world.close()
    assert at == list(range(7, agent.replay.count, 7))


@pytest.mark.parametrize("normalize_obs", [False, True])
def test_numpy_draws_the_actions_that_the_distribution_draws(normalize_obs: bool) -> None:
    env = envs.make("Acrobot-v1", num_envs=4, seed=0, stream="train")
    config = PPOConfig(net=NET, rollout=20, minibatch_size=16, lr=1e-2, normalize_obs=normalize_obs)
    agent = agents.build(config, env.spec, num_envs=4, seed=0)
    *_, slot = interact(env, agent, 400)
    draws, looks = (Actor(agent, 4, 0, "one", mode="explore") for _ in range(2))
    seen = set()
    for _ in range(50):
        drawn = agent.choose_by_numpy(draws, slot.ts.obs, slot.ts)
        with torch.inference_mode():
            looked = agent.choose(looks, as_tensors(slot.ts.obs, agent.device), slot.ts)
        assert drawn is not None and (drawn.action == looked.action).all() and drawn.action.dtype == np.int64
        for name in ("raw", "log_prob", "value"):
            assert drawn.extra[name] == pytest.approx(looked.extra[name], abs=1e-6), name
        seen |= set(drawn.action.tolist())
    env.close()
    assert seen == {0, 1, 2}


def test_a_policy_that_looks_in_its_own_way_does_so_in_training() -> None:
    class Stubborn(PPO):
        def choose(self, actor: Actor, obs: Any, ts: TimeStep) -> Choice:
            choice = super().choose(actor, obs, ts)
            return choice._replace(action=np.ones_like(choice.action))

    ts = first_row(envs.spec("CartPole-v1"), {"obs": np.zeros((3, 4), np.float32)}, np.ones(3, bool))
    for kind, expected in ((PPO, {0, 1}), (Stubborn, {1})):
        agent = kind(envs.spec("CartPole-v1"), PPOConfig(net=NET), num_envs=3, seed=0)
        assert {action for _ in range(20) for action in agent.act(ts).tolist()} == expected


def test_predict_without_a_state_draws_anew_each_time() -> None:
    agent = agents.build(PPOConfig(net=NET), envs.spec("CartPole-v1"), num_envs=1, seed=0)
    obs = np.zeros(4, np.float32)
    drawn = [int(agent.predict(obs)[0]) for _ in range(60)]
    assert 15 <= sum(drawn) <= 45, "an untrained policy is near even"
    assert len({int(agent.predict(obs, deterministic=True)[0]) for _ in range(5)}) == 1


@pytest.mark.parametrize("config", [PPOConfig(net=NET), DQNConfig(net=NET)])
def test_predict_honours_the_mask(config: Any) -> None:
    spec = envs.spec("Probe/MaskDict-v0")
    agent = agents.build(config, spec, num_envs=1, seed=0)
    shown = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in spec.obs.items()}
    for allowed in range(spec.action.logits):
        mask = np.arange(spec.action.logits) == allowed
        assert int(agent.predict({**shown, "action_mask": mask})[0]) == allowed
        assert int(agent.predict(shown, action_masks=mask, deterministic=True)[0]) == allowed
    assert len({int(agent.predict(shown)[0]) for _ in range(60)}) > 1 or isinstance(config, DQNConfig), "all allowed"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros(3), r"leaf 'obs' is \(4,\) or a batch of that shape, got \(3,\)"),
        (np.zeros(8), r"leaf 'obs' is \(4,\) or a batch of that shape, got \(8,\)"),
        (np.zeros((2, 3)), r"got \(2, 3\)"),
        (1.0, r"got \(\)"),
        (np.array([0, np.nan, 0, 0]), "leaf 'obs' of the observation is not finite"),
        ({"position": np.zeros(4)}, "the observation has no leaf 'obs'"),
    ],
)
def test_predict_refuses_what_its_environment_never_shows(wrong: Any, said: str) -> None:
    agent = agents.build(PPOConfig(), envs.spec("CartPole-v1"), num_envs=1, seed=0, device="cpu")
    with pytest.raises(InputError, match=f"predict: .*{said}"):
        agent.predict(wrong)


def test_predict_reads_nested_observations() -> None:
    vector, number = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
    ones = np.ones(2, np.float32)
    for space, nested, wrong, leaf in [
        (
            spaces.Dict({"arm": spaces.Dict({"a.b": vector}), "goal": number}),
            {"arm": {"a.b": ones}, "goal": 2},
            {"arm": {"a.b": ones}, "goal": 3},
            "goal",
        ),
        (spaces.Tuple((vector, number)), (ones, 2), (ones, -1), "1"),
        (spaces.Tuple((vector, number)), [ones, 2], [ones, 1.5], "1"),
    ]:
        agent = predictor(space)
        assert agent.predict(nested, deterministic=True)[0].shape == ()
        batch = {"arm": {"a.b": ones[None]}, "goal": np.array([2])} if leaf == "goal" else (ones[None], np.array([2]))
        assert agent.predict(batch, deterministic=True)[0].shape == (1,)
        with pytest.raises(InputError, match=f"leaf '{leaf}' of the observation holds a number outside its space"):
            agent.predict(wrong)
        with pytest.raises(InputError, match="the leaves have different batch sizes"):
            agent.predict({"arm": {"a.b": ones[None]}, "goal": 2} if leaf == "goal" else (ones[None], 2))


def predictor(space: spaces.Space) -> Any:
    action = ActionSpec("discrete", nvec=(2,))
    casts, _ = observation_casts(space, action)
    spec = EnvSpec("Test-v0", {cast.name: cast.leaf for cast in casts}, action)
    return agents.build(PPOConfig(), spec, num_envs=1, seed=0, device="cpu")


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (2, 3)),
        spaces.Box(-1, 1, (4,)),
        spaces.Box(0, 255, (36, 36), np.uint8),
        spaces.Box(0, 255, (36, 36, 3), np.uint8),
        spaces.Discrete(5, start=2),
        spaces.MultiDiscrete([5]),
        spaces.MultiDiscrete([[2, 3], [4, 5]]),
        spaces.MultiBinary((2, 2)),
    ],
    ids=str,
)
def test_predict_tells_one_observation_from_a_batch(space: spaces.Space) -> None:
    agent = predictor(space)
    space.seed(0)
    shown = [space.sample() for _ in range(3)]
    single = [agent.predict(one, deterministic=True)[0] for one in shown]
    assert all(action.shape == () for action in single)
    assert agent.predict(np.array(shown), deterministic=True)[0].tolist() == [int(action) for action in single]
    assert agent.predict(np.array(shown[:1]), deterministic=True)[0].shape == (1,)


def test_predict_takes_plain_numbers_and_no_picture_divided_already() -> None:
    agent = predictor(spaces.Box(-1, 1, (4,)))
    assert (
        agent.predict((0.0, 0.1, 0.2, 0.3), deterministic=True)[0]
        == agent.predict([0.0, 0.1, 0.2, 0.3], deterministic=True)[0]
    )
    pictures = predictor(spaces.Box(0, 255, (36, 36), np.uint8))
    for wrong in (0.5, 300):
        with pytest.raises(InputError, match="leaf 'obs' of the observation holds a number outside its space"):
            pictures.predict(np.full((36, 36), wrong))


def test_predict_speaks_the_environment_s_own_numbers() -> None:
    space = spaces.MultiDiscrete([2, 3], start=[1, -1])
    action, _ = action_cast(space)
    (cast,), _ = observation_casts(space, action)
    agent = agents.build(PPOConfig(net=NET), EnvSpec("Own-v0", {"obs": cast.leaf}, action), num_envs=1, seed=0)
    seen: list[Any] = []
    look = agent.choose
    agent.choose = lambda actor, obs, ts: seen.append(ts.obs["obs"].tolist()) or look(actor, obs, ts)
    drawn = np.stack([agent.predict(np.array([2, -1]))[0] for _ in range(60)])
    assert seen[0] == [[1, 0]] and drawn.min(0).tolist() == [1, -1] and drawn.max(0).tolist() == [2, 1]
    one = spaces.Discrete(3, start=5)
    action, _ = action_cast(one)
    (cast,), _ = observation_casts(one, action)
    agent = agents.build(PPOConfig(net=NET), EnvSpec("Own-v0", {"obs": cast.leaf}, action), num_envs=1, seed=0)
    assert {int(agent.predict(np.int64(7))[0]) for _ in range(60)} == {5, 6, 7}
