"""DQN's loss by hand: every flag with its effect on and off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents.dqn import DQN, DQNConfig
from agents.value import Batch, Loss
from agents.value_player import epsilon_greedy
from rl.errors import InputError, NonFiniteError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.networks import NetConfig
from rl.optim import FlatOptimizer
from rl.schedules import Ramp
from tests.agents.worlds import ACTIONS, MASKED_TABLE, TABLE, TABLE_NET, row, set_table

ONLINE = [[1.0, 2.0, 3.0], [4.0, 6.0, 5.0], [0.5, 0.25, 0.75], [9.0, 8.0, 7.0]]
TARGET = [[0.0, 0.1, 0.2], [10.0, 20.0, 30.0], [1.0, 2.0, 3.0], [5.0, 4.0, 3.0]]


def make(spec: EnvSpec = TABLE, **fields: Any) -> DQN:
    base = {
        "net": TABLE_NET,
        "gamma": 0.5,
        "learning_starts": 0,
        "batch_size": 2,
        "buffer_size": 64,
        "optimizer": "adam",
    }
    agent = DQN(spec, DQNConfig(**{**base, **fields}), num_envs=1, seed=0)
    if not {"dueling", "noisy", "net"} & fields.keys():
        set_table(agent.network, ONLINE)
        set_table(agent.target, TARGET)
    return agent


def errors(agent: DQN, index: list[int], n: int = 1) -> list[float]:
    """Temporal-difference errors of the windows that start at the given rows."""
    batch = agent._batch(agent.replay.windows(np.array(index), n))
    return agent.loss(batch).priority.tolist()


def play(agent: DQN, *rows: Any) -> None:
    for ts in rows:
        agent.observe(ts)


def test_target_is_reward_plus_discounted_greatest_target_value() -> None:
    agent = make()
    play(agent, row(0, first=True), row(1, action=2, reward=1.0), row(2, action=0, reward=-1.0))
    # 0 -> 1: Q(0,2) = 3, target 1 + .5 * 30 = 16.   1 -> 2: Q(1,0) = 4, target -1 + .5 * 3 = .5
    assert errors(agent, [0, 1]) == pytest.approx([13.0, 3.5])


def test_double_chooses_with_the_online_and_values_with_the_target_network() -> None:  # T26
    agent = make(double=True)
    play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    # online prefers action 1 in state 1, whose target value is 20: 1 + .5 * 20 = 11 against Q(0,2) = 3
    assert errors(agent, [0]) == pytest.approx([8.0])


def test_termination_silences_the_bootstrap_and_truncation_does_not() -> None:  # T1, T2
    agent = make()
    play(agent, row(0, first=True), row(1, action=2, reward=1.0, discount=0.0, last=True))
    assert errors(agent, [0]) == pytest.approx([2.0])  # 1 - 3
    agent = make()
    play(agent, row(0, first=True), row(1, action=2, reward=1.0, last=True), row(3, first=True))
    assert errors(agent, [0]) == pytest.approx([13.0])


def test_n_step_adds_rewards_and_bootstraps_from_the_last_row() -> None:
    agent = make(n_step=3)
    play(
        agent,
        row(0, first=True),
        row(1, action=2, reward=1.0),
        row(3, action=1, reward=2.0),
        row(2, action=0, reward=4.0),
    )
    # from row 0: 1 + .5*2 + .25*4 + .125 * max target(2) = 3 + .375
    assert errors(agent, [0], 3) == pytest.approx([0.375])


def test_truncated_window_bootstraps_from_last_observation() -> None:
    agent = make(n_step=3)
    play(agent, row(0, first=True), row(1, action=2, reward=1.0, last=True), row(3, first=True), row(2, reward=50.0))
    assert errors(agent, [0], 3) == pytest.approx([13.0])


def test_mask_keeps_forbidden_next_actions_out_of_the_target() -> None:
    agent = make(MASKED_TABLE)
    every = [[True, True, True]]
    play(agent, row(0, first=True, mask=every), row(1, action=2, reward=1.0, mask=[[True, False, False]]))
    assert errors(agent, [0]) == pytest.approx([3.0])  # 1 + .5 * 10 - 3
    agent = make(MASKED_TABLE, double=True)
    play(agent, row(0, first=True, mask=every), row(1, action=2, reward=1.0, mask=[[True, False, True]]))
    assert errors(agent, [0]) == pytest.approx([13.0])  # of those allowed, online prefers action 2: 1 + .5 * 30 - 3


def test_reward_clip_reaches_the_learner_only() -> None:  # T15
    agent = make(reward_clip=1.0)
    play(agent, row(0, first=True), row(1, action=2, reward=5.0))
    assert errors(agent, [0]) == pytest.approx([13.0])
    assert agent.replay.newest(1)[0].reward.item() == 5.0


def test_munchausen_target_by_hand() -> None:
    tau, alpha = 0.5, 0.9
    agent = make(munchausen=True, munchausen_tau=tau, munchausen_alpha=alpha)
    play(agent, row(0, first=True), row(1, action=2, reward=1.0))
    now, after = np.array(TARGET[0]) / tau, np.array(TARGET[1]) / tau
    bonus = alpha * max(tau * (now[2] - math.log(np.exp(now).sum())), -1.0)
    soft = tau * (after.max() + math.log(np.exp(after - after.max()).sum()))
    assert errors(agent, [0]) == pytest.approx([1 + bonus + 0.5 * soft - 3.0], rel=1e-5)
    assert make(munchausen=False).config.munchausen is False


def test_huber_and_squared_losses() -> None:
    for huber, expected in ((True, 12.5), (False, 84.5)):
        agent = make(huber=huber)
        play(agent, row(0, first=True), row(1, action=2, reward=1.0))
        out = agent.loss(agent._batch(agent.replay.windows(np.array([0]))))
        assert out.loss.tolist() == pytest.approx([expected])


def test_dueling_values_are_value_plus_centred_advantage() -> None:
    agent = make(dueling=True)
    head = agent.network.head
    with torch.no_grad():
        head.advantage.weight.copy_(torch.tensor(ONLINE).T)  # type: ignore[union-attr]
        head.advantage.bias.zero_()  # type: ignore[union-attr]
        head.value.weight.copy_(torch.tensor([[100.0, 0.0, 0.0, 0.0]]))  # type: ignore[union-attr]
        head.value.bias.fill_(1.0)  # type: ignore[union-attr]
    q = agent.network({"obs": torch.tensor([[0], [1]])}).q_values
    assert q.tolist() == [[100.0, 101.0, 102.0], [0.0, 2.0, 1.0]]


def test_importance_weights_scale_the_loss_and_priorities_follow_the_error() -> None:
    agent = make(prioritized=True, priority_exponent=0.5)
    play(agent, row(0, first=True), row(1, action=2, reward=1.0), row(2, action=0, reward=-1.0))
    windows = agent.replay.windows(np.array([0, 1]))._replace(weight=np.array([0.25, 1.0], np.float32))
    loss = agent.learn(windows)["loss"].item()
    assert loss == pytest.approx((0.25 * 12.5 + 1.0 * 3.0) / 2)
    leaves = agent.replay._tree.get(np.array([0, 1]))  # type: ignore[union-attr]
    assert leaves == pytest.approx([13**0.5, 3.5**0.5], rel=1e-5)


def test_noise_changes_the_values_in_training_and_not_in_evaluation() -> None:
    agent = make(noisy=True, epsilon=0.0)
    seen = set()
    for _ in range(8):
        agent.act(row(0, first=True))
        seen.add(tuple(agent._stream.output.q_values[0].tolist()))
    assert len(seen) == 8
    buffers = {k: v.clone() for k, v in agent.network.state_dict().items()}
    actor = agent.actor(1, 5)
    said = set()
    for _ in range(4):
        actor.act(row(0, first=True))
        said.add(tuple(actor.output.q_values[0].tolist()))
    assert len(said) == 1
    assert all(torch.equal(v, buffers[k]) for k, v in agent.network.state_dict().items())


def test_epsilon_follows_counted_steps_for_every_number_of_environments() -> None:  # T13
    config = DQNConfig(net=TABLE_NET, learning_starts=10, epsilon=Ramp(1.0, 0.1, 100), batch_size=2, buffer_size=512)
    tables = []
    for num_envs in (1, 3, 8):
        agent, table = DQN(TABLE, config, num_envs=num_envs, seed=0), {}
        agent.observe(row([0] * num_envs, first=True))
        while agent.step < 240:
            table[agent.step] = agent.epsilon("explore")
            agent.observe(row([0] * num_envs))
        tables.append(table)
    for step in (0, 24, 48, 120, 216):
        assert len({t[step] for t in tables}) == 1
    assert tables[0][9] == 1.0 and tables[0][50] == pytest.approx(0.55) and tables[0][200] == pytest.approx(0.1)


def test_exploration_is_uniform_over_what_is_allowed() -> None:
    rng = np.random.default_rng(0)
    greedy = np.full(60_000, 2)
    mask = np.tile([True, False, True, True], (60_000, 1))
    share = np.bincount(epsilon_greedy(greedy, 0.5, 4, mask, rng), minlength=4) / 60_000
    assert share == pytest.approx([1 / 6, 0, 0.5 + 1 / 6, 1 / 6], abs=0.01)
    share = np.bincount(epsilon_greedy(greedy, 0.5, 4, None, rng), minlength=4) / 60_000
    assert share == pytest.approx([0.125, 0.125, 0.625, 0.125], abs=0.01)


def test_evaluation_is_greedy_without_epsilon() -> None:  # T26
    agent = make(epsilon=1.0)
    actor = agent.actor(1, 3)
    assert {int(actor.act(row(1, first=True))[0]) for _ in range(50)} == {1}


@pytest.mark.parametrize("num_envs", [1, 3, 8])
def test_updates_and_target_syncs_keep_their_schedule_for_every_number_of_environments(num_envs: int) -> None:  # T12
    config = DQNConfig(
        net=TABLE_NET,
        learning_starts=24,
        replay_ratio=0.5,
        update_every=4,
        target_every=10,
        batch_size=4,
        buffer_size=512,
    )
    agent, syncs = DQN(TABLE, config, num_envs=num_envs, seed=0), []
    original = agent.sync_target
    agent.sync_target = lambda: (syncs.append(agent.updates), original())[1]  # type: ignore[method-assign]
    agent.observe(row([0] * num_envs, first=True))
    agent.update()
    while agent.step < 240:
        agent.observe(row(list(np.arange(num_envs) % 4), reward=1.0))
        agent.update()
        assert agent.updates == int(0.5 * max(0, agent.step // 4 * 4 - 24)) or agent.step % 4
    assert agent.updates == 108 and syncs == list(range(10, 109, 10))


def test_the_first_burst_is_a_whole_one() -> None:  # else every later burst, and the target, is shifted against SB3's
    config = DQNConfig(
        net=TABLE_NET, learning_starts=10, replay_ratio=0.5, update_every=8, batch_size=4, buffer_size=512
    )
    agent = DQN(TABLE, config, num_envs=1, seed=0)
    agent.observe(row(0, first=True))
    bursts = {}
    while agent.step < 32:
        agent.observe(row(agent.step % 4, reward=1.0))
        before = agent.updates
        agent.update()
        if agent.updates > before:
            bursts[agent.step] = agent.updates - before
    assert bursts == {16: 4, 24: 4, 32: 4}


def test_soft_target_moves_by_tau() -> None:
    agent = make(target_tau=0.25, target_every=1)
    before, online = agent._targets.flat.clone(), agent.optimizer.flat.detach().clone()
    agent.sync_target()
    assert torch.allclose(agent._targets.flat, 0.75 * before + 0.25 * online)


def test_network_sees_0_and_255_as_0_and_1_once() -> None:  # T25
    spec = EnvSpec(
        "I-v0", {"obs": ObsLeaf((1, 84, 84), "uint8", "image", "CHW", scale=255.0)}, ActionSpec("discrete", (2,))
    )
    agent = DQN(spec, DQNConfig(net=NetConfig(hidden=(8,)), stack=2, precision="fp32"), num_envs=1, seed=0)
    seen: list[torch.Tensor] = []
    conv = next(m for m in agent.network.modules() if isinstance(m, torch.nn.Conv2d))
    conv.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    obs = torch.zeros(1, 2, 1, 84, 84, dtype=torch.uint8)
    obs[0, 1] = 255
    agent.network({"obs": obs})
    assert seen[0].dtype == torch.float32
    assert (seen[0][0, 0] == 0.0).all() and (seen[0][0, 1] == 1.0).all()


def test_a_nan_reward_stops_the_update_and_names_where() -> None:
    agent = make()
    play(agent, row(0, first=True), row(1, action=2, reward=float("nan")))
    before = agent.optimizer.flat.detach().clone()
    with pytest.raises(NonFiniteError, match=r"dqn, update 1, step 1: the loss is nan"):
        agent.learn(agent.replay.windows(np.array([0, 0])))
    assert torch.equal(agent.optimizer.flat, before)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gamma": 1.5}, r"gamma must lie in \[0, 1\], got 1.5"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 100, "buffer_size": 50}, "batch_size 100 is larger than buffer_size 50"),
        ({"n_step": 0}, "n_step must be at least 1, got 0"),
        ({"n_step": 60, "buffer_size": 60}, "buffer_size 60 holds no window of n_step 60 after a stack of 1"),
        ({"target_tau": 0.0}, r"target_tau must lie in \(0, 1\], got 0.0: the target would never move"),
        ({"munchausen_alpha": 2.0}, r"munchausen_alpha must lie in \[0, 1\], got 2.0"),
        ({"munchausen_low": 1.0}, "munchausen_low must not be above 0, got 1.0"),
        ({"noisy_sigma": -1.0}, "noisy_sigma must not be negative, got -1.0"),
        ({"priority_exponent": -1.0}, "priority_exponent must not be negative, got -1.0"),
        ({"lr": -1.0}, "lr must be above 0 and finite"),
        ({"reward_clip": -1.0}, "reward_clip must be above 0 or none"),
        ({"munchausen": True, "double": True}, "switch one of them off"),
        ({"weight_decay": 0.1}, "needs optimizer=adamw"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        DQNConfig(**fields)
    assert "\n" not in str(caught.value)


def test_continuous_actions_and_memory_are_refused() -> None:
    box = EnvSpec("P-v1", TABLE.obs, ActionSpec("box", low=(-1.0,), high=(1.0,)))
    with pytest.raises(InputError, match="dqn needs discrete actions, P-v1 has box: try ppo"):
        DQN(box, DQNConfig(), num_envs=1, seed=0)
    with pytest.raises(InputError, match="use r2d2"):
        DQN(TABLE, DQNConfig(net=NetConfig(core="lstm")), num_envs=1, seed=0)


def test_the_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    a = make(net=NetConfig()).optimizer.flat
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    b = make(net=NetConfig()).optimizer.flat
    assert torch.equal(a, b) and torch.equal(state, torch.random.get_rng_state())
    assert ACTIONS == 3


@pytest.mark.parametrize("name", ["dqn", "c51", "qrdqn"])
def test_heads_keep_float32_where_the_rest_is_bf16(name: str) -> None:
    """bf16 knows no number between 6.00 and 6.03; with one-hot features only the head computes here."""
    agent = agents.build(agents.config(name), TABLE, num_envs=1, seed=0)
    agent.network.torso.encoder.mlp = torch.nn.Sequential()  # the one-hot features as they are
    agent.network.head = torch.nn.Linear(4, 3 * agent.outputs)
    agent.network.head.weight.data.uniform_(5.9, 6.1)
    if agent.outputs > 1:
        agent.network.head = torch.nn.Sequential(agent.network.head, torch.nn.Unflatten(-1, (3, agent.outputs)))
    obs = {"obs": torch.arange(4).unsqueeze(1)}
    exact = agent.network(obs).q_values
    with torch.autocast("cpu", torch.bfloat16):
        mixed = agent.network(obs).q_values
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, exact)


def test_a_subclass_with_a_loss_of_its_own_learns_by_it() -> None:  # and not by what is written by hand for DQN's
    class Halved(DQN):
        name = "halved"

        def loss(self, batch: Batch) -> Loss:
            out = super().loss(batch)
            return out._replace(loss=0.5 * out.loss)

    spec = EnvSpec("Vector-v0", {"obs": ObsLeaf((2,), "float32", "vector")}, ActionSpec("discrete", (2,)))
    plain, halved = (kind(spec, DQNConfig(net=NetConfig(hidden=(4,))), num_envs=1, seed=0) for kind in (DQN, Halved))
    obs = {"obs": torch.ones(1, 2)}
    batch = Batch(obs, None, torch.tensor([1]), torch.tensor([3.0]), torch.tensor([0.0]), obs, None)
    assert plain.dense is not None
    assert halved.gradient(batch, None).loss.item() == pytest.approx(0.5 * plain.gradient(batch, None).loss.item())
    assert torch.allclose(halved.optimizer.grad, 0.5 * plain.optimizer.grad)


def test_a_network_that_a_subclass_puts_in_place_is_the_one_that_acts_and_learns() -> None:
    class Zeroed(DQN):
        name = "zeroed"

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.network = self.build_network()
            self.optimizer = FlatOptimizer(self.network)
            self.optimizer.flat.zero_()

    spec = EnvSpec("Vector-v0", {"obs": ObsLeaf((2,), "float32", "vector")}, ActionSpec("discrete", (2,)))
    agent = Zeroed(spec, DQNConfig(net=NetConfig(hidden=(4,))), num_envs=1, seed=0)
    obs = {"obs": torch.ones(1, 2)}
    with torch.inference_mode():
        assert agent.choose(agent.actor(1, 0), obs, row(0)).output.q_values.tolist() == [[0.0, 0.0]]
    agent.gradient(Batch(obs, None, torch.tensor([1]), torch.tensor([3.0]), torch.tensor([0.0]), obs, None), None)
    assert agent.dense is not None and agent.optimizer.grad.abs().sum() > 0


def test_an_infinite_loss_whose_slope_is_clipped_stops_the_update() -> None:
    spec = EnvSpec("Vector-v0", {"obs": ObsLeaf((2,), "float32", "vector")}, ActionSpec("discrete", (2,)))
    agent = DQN(spec, DQNConfig(net=NetConfig(hidden=(4,))), num_envs=1, seed=0)
    obs, inf = {"obs": torch.ones(1, 2)}, torch.tensor([float("inf")])
    out = agent.gradient(Batch(obs, None, torch.tensor([1]), inf, torch.tensor([0.0]), obs, None), None)
    before = agent.optimizer.flat.clone()
    assert torch.isfinite(agent.optimizer.grad).all()
    with pytest.raises(NonFiniteError, match="the loss is inf"):
        agent.optimizer.apply(out.loss, 1e-3)
    assert torch.equal(agent.optimizer.flat, before)


@pytest.mark.parametrize(
    ("leaf", "dense"),
    [(ObsLeaf((4,), "float32", "vector"), True), (ObsLeaf((8, 8, 2), "float32", "image", layout="HWC"), False)],
)
def test_watchers_may_ask_what_a_value_depends_on(leaf: ObsLeaf, dense: bool) -> None:
    spec = EnvSpec("Any-v0", {"obs": leaf}, ActionSpec("discrete", (3,)))
    agent = DQN(spec, DQNConfig(net=NetConfig(hidden=(8,))), num_envs=1, seed=0)
    obs = torch.rand(1, *leaf.shape, requires_grad=True)
    out = agent.choose(agent.actor(1, 0), {"obs": obs}, row(0)).output
    assert (agent.dense is not None) == dense
    assert torch.autograd.grad(out.q_values[0, 0], obs)[0].abs().sum() > 0
