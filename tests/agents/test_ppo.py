"""PPO's loss by hand, its fields on and off, and what it must solve."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import envs
from agents.a2c import A2CConfig
from agents.dqn import DQNConfig
from agents.policy import PolicyBatch
from agents.ppo import PPO, PPOConfig
from agents.rollout import Rollout
from rl.distributions import Categorical, PolicyConfig
from rl.errors import InputError
from rl.networks import NetConfig
from rl.schedules import Ramp
from tests.agents.policies import PROBABILITIES, batch, entropy, greedy, table_agent, train, values
from tests.agents.worlds import TABLE_NET
from tests.traps import switches

NET = NetConfig(hidden=(8,))


def make(**fields: Any) -> PPO:
    agent: PPO = table_agent(PPOConfig(**{"net": TABLE_NET, "value_cost": 0.0, **fields}))
    return agent


def test_loss_is_the_clipped_ratio_times_the_advantage() -> None:
    # ratios .5 / .4 = 1.25, .2 / .4 = .5, .6 / .75 = .8 for rows of states 0, 1, 2
    rows = batch([0, 1, 2, 0, 1], [0, 1, 2, 0, 1], [2.0, 2.0, 1.0, -2.0, -2.0], [0.0] * 5, probability=[0.4] * 5)
    rows = rows._replace(log_prob=torch.tensor([0.4, 0.4, 0.75, 0.4, 0.4]).log())
    out = make(clip=0.2).loss(rows)
    # gains: min(2.5, 2.4), min(1, 1.6), .8, min(-2.5, -2.4), min(-1, -1.6)
    assert out.loss.tolist() == pytest.approx([-2.4, -1.0, -0.8, 2.5, 1.6])
    assert out.metrics["clip_fraction"].tolist() == [1.0, 1.0, 0.0, 1.0, 1.0]
    assert out.metrics["approx_kl"][0].item() == pytest.approx(0.25 - math.log(1.25), abs=1e-6)


def test_the_clip_follows_its_schedule() -> None:
    agent = make(clip=Ramp(0.2, 0.0, 100))
    rows = batch([0], [0], [1.0], [0.0], probability=[0.25])
    assert agent.loss(rows).loss.item() == pytest.approx(-1.2)
    agent.step = 50
    assert agent.loss(rows).loss.item() == pytest.approx(-1.1)
    assert agent.schedule() == {"lr": 3e-4, "clip": pytest.approx(0.1)}


def test_value_error_is_squared_and_weighted_by_value_cost() -> None:
    rows = batch([0, 1], [0, 0], [0.0, 0.0], [4.0, 2.5])  # values 1 and 2
    assert make(value_cost=0.5).loss(rows).loss.tolist() == pytest.approx([4.5, 0.125])
    assert make(value_cost=0.0).loss(rows).loss.tolist() == pytest.approx([0.0, 0.0])


def test_value_clip_keeps_the_error_of_a_value_that_moved_too_far() -> None:
    rows = batch([0, 0], [0, 0], [0.0, 0.0], [1.0, 1.0], value=[0.0, 0.95])  # the value is now 1, which is right
    assert make(value_cost=1.0).loss(rows).loss.tolist() == pytest.approx([0.0, 0.0])
    # from 0 it counts as 0.2 only: (0.2 - 1)^2
    assert make(value_cost=1.0, value_clip=0.2).loss(rows).loss.tolist() == pytest.approx([0.64, 0.0])


def test_entropy_is_paid_for() -> None:
    rows = batch([0, 3], [0, 0], [0.0, 0.0], [0.0, 0.0])
    expected = [-0.1 * entropy(0), -0.1 * entropy(3)]
    assert make(entropy_cost=0.1).loss(rows).loss.tolist() == pytest.approx(expected)
    assert make().loss(rows).loss.tolist() == [0.0, 0.0]


def test_advantages_are_standardised_within_the_minibatch() -> None:
    rows = batch([0, 1, 2], [0, 0, 0], [1.0, 2.0, 6.0], [0.0] * 3)
    on = make().prepared(rows).advantage
    assert on.tolist() == pytest.approx([-2 / math.sqrt(7), -1 / math.sqrt(7), 3 / math.sqrt(7)])
    assert make(normalize_advantage=False).prepared(rows).advantage.tolist() == [1.0, 2.0, 6.0]


RATIO: dict[str, tuple[str, PPOConfig]] = {
    "mlp": ("CartPole-v1", PPOConfig(net=NET)),
    "stack, normaliser": ("CartPole-v1", PPOConfig(net=NET, stack=3, normalize_obs=True)),
    "lstm": ("CartPole-v1", PPOConfig(net=NetConfig(hidden=(8,), core="lstm", core_size=6), normalize_obs=True)),
    "gru shared": ("CartPole-v1", PPOConfig(net=NetConfig(hidden=(8,), core="gru", core_size=6), critic="shared")),
    "gsde": ("Pendulum-v1", PPOConfig(net=NET, policy=PolicyConfig(deviation="gsde", log_std=-1.0))),
    "squashed": ("Pendulum-v1", PPOConfig(net=NET, policy=PolicyConfig(deviation="state", squash=True))),
    "masked": ("Probe/MaskInfo-v0", PPOConfig(net=NET)),
    "bf16": ("CartPole-v1", PPOConfig(net=NET, precision="bf16")),
    "categories": ("Probe/Nested-v0", PPOConfig(net=NetConfig(encoder="mlp", hidden=(8,)))),
}


@pytest.mark.parametrize("name", RATIO)
def test_the_ratio_is_1_in_the_first_minibatch_of_every_rollout(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env, config = RATIO[name]
    config = PPOConfig(**{**vars(config), "rollout": 12, "epochs": 2, "minibatch_size": 16, "lr": 0.01})
    ratios: list[list[float]] = []
    gradient = PPO.gradient

    def watched(self: PPO, rows: PolicyBatch) -> Any:
        log_prob, _, value = self.evaluate_actions(rows)
        if self.dense is not None and rows.mask is None:  # what NumPy says is what counts
            logits, values, _ = self.dense.forward(rows.obs)
            log_prob = Categorical(torch.from_numpy(logits)).log_prob(rows.action)
            value = torch.from_numpy(values).squeeze(-1)
        new = (log_prob - rows.log_prob).exp() - 1
        ratios[-1].append(float(torch.where(rows.valid, new, 0.0).detach().abs().max()))
        if len(ratios[-1]) == 1:
            assert torch.where(rows.valid, value - rows.value, 0.0).detach().abs().max() < 1e-5
        return gradient(self, rows)

    learn = PPO.learn

    def begin(self: PPO, rollout: Rollout) -> Any:
        ratios.append([])
        return learn(self, rollout)

    monkeypatch.setattr(PPO, "gradient", watched)
    monkeypatch.setattr(PPO, "learn", begin)
    train(config, env, 150, num_envs=3)
    assert len(ratios) >= 3
    assert max(r[0] for r in ratios) <= 1e-6
    assert max(r[-1] for r in ratios) > 1e-4  # and later ones differ


def minibatches(agent: PPO, rollout: Any) -> list[int]:
    return [int(rows.valid.numel()) for rows in agent.batches(rollout)]


def test_minibatches_that_do_not_divide_the_rollout_are_near_equal_and_hold_every_row_once() -> None:
    config = PPOConfig(net=NET, rollout=16, epochs=1, minibatch_size=10)
    agent = train(config, "CartPole-v1", 48, num_envs=3)
    assert isinstance(agent, PPO)
    rollout = agent.rollout(17)
    count = int(rollout.rows.valid.sum())
    sizes = minibatches(agent, rollout)
    assert sum(sizes) == count and len(sizes) == round(count / 10) and max(sizes) - min(sizes) <= 1
    drawn = torch.cat([rows.log_prob for rows in agent.batches(rollout)])
    assert torch.equal(drawn.sort().values, rollout.rows.log_prob[rollout.rows.valid].sort().values)


def test_minibatches_with_a_memory_are_whole_environments() -> None:
    net = NetConfig(hidden=(8,), core="gru", core_size=4)
    agent = train(PPOConfig(net=net, rollout=8, epochs=1, minibatch_size=16), "CartPole-v1", 48, num_envs=5)
    assert isinstance(agent, PPO)
    shapes = [tuple(rows.valid.shape) for rows in agent.batches(agent.rollout(9))]
    assert shapes == [(8, 3), (8, 2)]
    assert all(len(rows.state) == rows.valid.shape[1] for rows in agent.batches(agent.rollout(9)))


def test_target_kl_stops_the_passes_before_the_policy_moves_on() -> None:
    base: dict[str, Any] = {"net": NET, "rollout": 16, "epochs": 10, "minibatch_size": 32, "lr": 0.05}
    free = train(PPOConfig(**base), "CartPole-v1", 300, num_envs=4)
    held = train(PPOConfig(**base, target_kl=1e-3), "CartPole-v1", 300, num_envs=4)
    assert 4 <= held.updates < free.updates / 2  # the first step of a rollout is always taken


def test_a_rollout_of_one_row_trains() -> None:
    agent = train(PPOConfig(net=NET, rollout=1, epochs=2, normalize_return=True), "CartPole-v1", 40, num_envs=1)
    assert agent.updates == 80
    assert all(torch.isfinite(p).all() for p in agent.network.parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"minibatch_size": 0}, "minibatch_size must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"clip": float("nan")}, "clip must be above 0 and finite, got nan"),
        ({"clip": Ramp(0.1, -0.1, 5)}, "clip must be above 0 and finite"),
        ({"target_kl": 0.0}, "target_kl must be above 0 or none, got 0.0"),
        ({"value_clip": -1.0}, "value_clip must be above 0 or none, got -1.0"),
        ({"gamma": 1.5}, r"gamma must lie in \[0, 1\], got 1.5"),
        ({"lr": 0.0}, "lr must be above 0 and finite, got 0.0"),
        ({"critic": "shard"}, "unknown critic 'shard': did you mean 'shared'"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
        ({"noise_every": 8}, "noise_every=8 is for policy.deviation='gsde'"),
        ({"value_cost": float("inf")}, "value_cost must be 0 or more and finite, got inf"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PPOConfig(**fields)


# what must be solved

FAST: dict[str, Any] = {"net": NetConfig(hidden=(16,), activation="tanh"), "gamma": 0.9, "lr": 0.01}
LEARNERS: dict[str, Any] = {
    "ppo": PPOConfig(**FAST, rollout=8, epochs=6, minibatch_size=64),
    "a2c": A2CConfig(**FAST),
    "dqn": DQNConfig(**FAST, learning_starts=64, batch_size=32, replay_ratio=0.25, target_every=20, buffer_size=2000),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_values_of_the_probes_are_learned(name: str) -> None:
    config = LEARNERS[name]
    assert values(train(config, "Probe/OneStep-v0", 1000, 8), [[0.0]]) == pytest.approx([1.0], abs=0.05)
    assert values(train(config, "Probe/TwoStep-v0", 4000, 8), [[0.0], [1.0]]) == pytest.approx([0.9, 1.0], abs=0.07)
    assert values(train(config, "Probe/ObsReward-v0", 1500, 8), [[-1.0], [1.0]]) == pytest.approx([-1, 1], abs=0.1)


@pytest.mark.parametrize("name", LEARNERS)
def test_actions_of_the_probes_are_learned(name: str) -> None:
    config = LEARNERS[name]
    assert greedy(train(config, "Probe/ActionReward-v0", 800, 8), [[0.0]]) == [1]
    assert greedy(train(config, "Probe/ObsAction-v0", 1600, 8), [[-1.0], [1.0]]) == [0, 1]


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_a_continuous_target_is_hit(name: str) -> None:
    config = LEARNERS[name]
    agent = train(type(config)(**{**vars(config), "policy": PolicyConfig(log_std=-0.5)}), "Probe/Target-v0", 5_000, 8)
    said = greedy(agent, [[-0.8], [0.0], [0.8]])
    assert [x[0] for x in said] == pytest.approx([-0.8, 0.0, 0.8], abs=0.3)


CONSTANT = {**FAST, "rollout": 16, "epochs": 4, "minibatch_size": 64}


def test_the_value_behind_a_time_limit_is_one_over_one_minus_gamma() -> None:
    assert values(train(PPOConfig(**CONSTANT), "Probe/Constant-v0", 3000), [[0.0]]) == pytest.approx([10.0], abs=0.3)


def test_the_value_falls_short_where_a_time_limit_counts_as_death(monkeypatch: pytest.MonkeyPatch) -> None:  # T1
    switches.death_at_time_limits(monkeypatch)
    assert values(train(PPOConfig(**CONSTANT), "Probe/Constant-v0", 3000), [[0.0]])[0] < 8.5


def test_the_table_is_what_the_tests_say() -> None:
    assert [sum(p) for p in PROBABILITIES] == pytest.approx([1.0] * 4)


def test_a_subclass_with_a_loss_of_its_own_learns_by_it() -> None:  # and not by what is written by hand for PPO's
    class Halved(PPO):
        name = "halved"

        def loss(self, batch: PolicyBatch) -> Any:
            out = super().loss(batch)
            return out._replace(loss=0.5 * out.loss)

    def gradient(kind: type[PPO]) -> torch.Tensor:
        agent = kind(envs.spec("CartPole-v1"), PPOConfig(net=NET), num_envs=1, seed=0)
        assert agent.dense is not None
        rows = batch([0, 0], [0, 1], [1.0, -2.0], [1.0, 2.0])
        agent.gradient(rows._replace(obs={"obs": torch.ones(2, 4)}))
        return agent.optimizer.grad

    assert torch.allclose(gradient(Halved), 0.5 * gradient(PPO))
