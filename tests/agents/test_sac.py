"""SAC and TD3 by hand, and on probes whose optimum is known in closed form."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import agents
import envs
from agents.critics import ActionBounds, CriticAgent
from agents.sac import SAC, SACConfig
from agents.td3 import TD3, TD3Config
from envs import EnvConfig
from rl.distributions import DiagGaussian, Squashed
from rl.errors import InputError, NonFiniteError
from rl.interface import ActionSpec, EnvSpec, TimeStep
from rl.loop import interact
from rl.networks import NetConfig
from rl.networks.moving import BatchRenorm, Dropout, learning
from rl.networks.summary import describe
from rl.schedules import Ramp
from runs.recipe import resolve
from runs.testing import check_agent
from runs.watching.thoughts import read_thoughts
from tests.agents.worlds import MASKED_TABLE, STATES, TABLE, TABLE_NET, row

BOX = EnvSpec("Table-v0", TABLE.obs, ActionSpec("box", low=(-2.0,), high=(6.0,)))
"""Actions from -2 to 6: centre 2, half of the range 4."""
BASE: dict[str, Any] = {"net": TABLE_NET, "gamma": 0.5, "learning_starts": 0, "batch_size": 2, "buffer_size": 64}
MEANS = [0.3, -0.6, 1.2, 0.0]
"""The policy's mean before tanh, by state."""
WORTH = ([1.0, 2.0, 3.0, 4.0], [1.5, 1.0, 5.0, 2.0])
"""Each critic's value of a state."""
SLOPE = (2.0, -1.0)
"""What a unit of the action adds to each critic's value."""


def table(kind: type[CriticAgent], spec: EnvSpec = BOX, **fields: Any) -> Any:
    """An agent without hidden layers that plays `MEANS`, and whose critics say WORTH[s] + SLOPE * a."""
    agent = kind(spec, kind.Config(**{**BASE, **fields}), num_envs=1, seed=0)
    for critics in (agent.network["critics"], agent.targets["critics"].module):
        set_critics(critics, WORTH, SLOPE)
    for policy in (agent.network["policy"], *(t.module for k, t in agent.targets.items() if k == "policy")):
        with torch.no_grad():
            for p in policy.parameters():
                p.zero_()
            layer = policy.head if kind is TD3 else policy.head.mean
            layer.weight.copy_(torch.tensor([MEANS]))
            if kind is SAC:
                policy.head.log_std_layer.bias.fill_(-20.0)
    return agent


def set_critics(critics: Any, worth: Any, slope: Any) -> None:
    with torch.no_grad():
        for head, values, each in zip(critics.heads, worth, slope, strict=True):
            head.weight.copy_(torch.tensor([[*values, each]]))
            head.bias.zero_()


def step(state: int, action: float, reward: float, **more: Any) -> TimeStep:
    return row(state, reward=reward, **more)._replace(action=np.array([[action]], np.float32))


def play(agent: Any, *rows: TimeStep) -> Any:
    start = row(0, first=True)._replace(action=np.zeros((1, 1), np.float32))
    for ts in (start, *rows):
        agent.observe(ts)
    return agent._batch(agent.replay.windows(np.array([0]), agent.config.n_step))


def critic_loss(agent: Any, batch: Any) -> float:
    return float(agent.critic_loss(batch)[0].item())


def test_td3_loss_by_hand() -> None:
    agent = table(TD3, target_noise=0.0)
    batch = play(agent, step(1, 4.0, reward=1.0))
    assert batch.action.tolist() == [[0.5]]  # (4 - 2) / 4
    after = math.tanh(-0.6)
    target = 1 + 0.5 * min(2.0 + 2 * after, 1.0 - after)
    expected = 0.5 * (1.0 + 2 * 0.5 - target) ** 2 + 0.5 * (1.5 - 0.5 - target) ** 2
    assert critic_loss(agent, batch) == pytest.approx(expected, rel=1e-5)


def test_sac_loss_by_hand() -> None:
    agent = table(SAC, temperature=0.25)
    batch = play(agent, step(1, 4.0, reward=1.0))
    after = math.tanh(-0.6)
    # a deviation of e^-20 is below the resolution of float32, so that the drawn number is the mean
    log_prob = 20 - 0.5 * math.log(2 * math.pi) - math.log(1 - after**2)
    target = 1 + 0.5 * (min(2.0 + 2 * after, 1.0 - after) - 0.25 * log_prob)
    expected = 0.5 * (2.0 - target) ** 2 + 0.5 * (1.0 - target) ** 2
    assert critic_loss(agent, batch) == pytest.approx(expected, rel=1e-4)


def test_tqc_drops_the_largest_pooled_quantiles() -> None:
    agent = SAC(BOX, SACConfig(**BASE, quantiles=3, dropped=1), num_envs=1, seed=0)
    values = torch.tensor([[[5.0, 1.0, 9.0], [2.0, 7.0, 3.0]]])
    assert agent.lowest(values).tolist() == [[1.0, 2.0, 3.0, 5.0]]


def test_discrete_sac_loss_by_hand() -> None:
    agent = SAC(TABLE, SACConfig(**BASE, temperature=0.5), num_envs=1, seed=0)
    first, second = [[1.0, 2.0, 3.0]] * STATES, [[3.0, 0.0, 1.0]] * STATES
    probabilities = [0.5, 0.25, 0.25]
    with torch.no_grad():
        for critics in (agent.network["critics"], agent.targets["critics"].module):
            for head, values in zip(critics.heads, (first, second), strict=True):  # type: ignore[union-attr, arg-type]
                head.weight.copy_(torch.tensor(values).T)
                head.bias.zero_()
        logits: Any = agent.network["policy"].head.logits  # type: ignore[union-attr]
        logits.weight.zero_()
        logits.bias.copy_(torch.tensor(probabilities).log())
    for ts in (row(0, first=True), row(1, action=2, reward=1.0)):
        agent.observe(ts)
    batch = agent._batch(agent.replay.windows(np.array([0])))
    mean = 0.5 * 2.0 + 0.25 * 1.0 + 0.25 * 2.0
    entropy = -sum(p * math.log(p) for p in probabilities)
    target = 1 + 0.5 * (mean + 0.5 * entropy)
    assert critic_loss(agent, batch) == pytest.approx(0.5 * (3 - target) ** 2 + 0.5 * (1 - target) ** 2, rel=1e-5)
    value, found = agent.policy_value(batch)
    assert (value.item(), found.item()) == pytest.approx((mean, entropy), rel=1e-5)


@pytest.mark.parametrize("kind", [SAC, TD3])
def test_a_truncated_row_bootstraps_and_an_ended_one_does_not_even_from_nan(kind: Any) -> None:
    agent = table(kind)
    cut = row(2, first=True)._replace(action=np.zeros((1, 1), np.float32))
    batch = play(agent, step(1, 4.0, reward=1.0, last=True), cut)
    assert batch.discount.item() == 0.5 and batch.next_obs["obs"].item() == 1
    agent = table(kind)
    with torch.no_grad():
        agent.targets["critics"].flat.fill_(float("nan"))
    batch = play(agent, step(1, 4.0, reward=1.0, discount=0.0, last=True))
    assert critic_loss(agent, batch) == pytest.approx(0.5 * (2 - 1) ** 2 + 0.5 * (1 - 1) ** 2)


def test_n_step_targets_use_the_window() -> None:
    agent = table(TD3, target_noise=0.0, n_step=2)
    batch = play(agent, step(1, 4.0, reward=1.0), step(2, 0.0, reward=2.0))
    after = math.tanh(1.2)
    target = 1 + 0.5 * 2 + 0.25 * min(3 + 2 * after, 5 - after)
    assert critic_loss(agent, batch) == pytest.approx(0.5 * (2 - target) ** 2 + 0.5 * (1 - target) ** 2, rel=1e-5)


def test_the_temperature_rises_while_the_entropy_is_too_low_and_falls_while_it_is_too_high() -> None:
    agent = table(SAC)
    batch = play(agent, step(1, 4.0, reward=1.0))
    before = agent.temperature.item()
    agent.learn_temperature(batch, torch.tensor([-3.0]))  # the target is -1
    assert agent.temperature.item() > before
    agent = table(SAC)
    agent.learn_temperature(batch, torch.tensor([1.0]))
    assert agent.temperature.item() == pytest.approx(before * math.exp(-agent.config.lr), rel=1e-4)  # Adam's first step


def test_the_policy_step_leaves_the_critics_alone_and_the_critic_step_the_policy() -> None:
    agent = SAC(BOX, SACConfig(**BASE), num_envs=1, seed=0)
    batch = play(agent, step(1, 4.0, reward=1.0))
    agent.optimizers["critics"].grad.zero_()
    agent.learn_policy(batch)
    assert not agent.optimizers["critics"].grad.any()
    agent.optimizers["policy"].grad.zero_()
    agent.critic_loss(batch)[0].mean().backward()
    assert not agent.optimizers["policy"].grad.any() and agent.optimizers["critics"].grad.any()
    assert all(p.grad is None for p in agent.targets["critics"].module.parameters())


def test_the_policy_climbs_the_lowest_critic_in_sac_and_the_first_one_in_td3() -> None:
    action = math.tanh(0.3)
    sac, td3 = table(SAC, temperature=0.25), table(TD3)
    value, _ = sac.policy_value(play(sac, step(1, 4.0, reward=1.0)))
    assert value.item() == pytest.approx(min(1.0 + 2 * action, 1.5 - action), rel=1e-5)
    metrics = td3.learn_policy(play(td3, step(1, 4.0, reward=1.0)))
    assert metrics["policy_loss"].item() == pytest.approx(-(1.0 + 2 * action), rel=1e-5)


def test_td3_bootstraps_from_the_target_policy() -> None:
    agent = table(TD3, target_noise=0.0)
    batch = play(agent, step(1, 4.0, reward=1.0))
    with torch.no_grad():
        agent.optimizers["policy"].flat.zero_()
    assert agent.next_policy(batch)[0].item() == pytest.approx(math.tanh(-0.6), rel=1e-5)


def test_discrete_sac_reads_the_mask_of_each_row() -> None:
    agent = SAC(MASKED_TABLE, SACConfig(**BASE, entropy_share=0.5), num_envs=1, seed=0)
    with torch.no_grad():
        agent.optimizers["policy"].flat.zero_()
    agent.observe(row(0, first=True, mask=[[False, True, True]]))
    agent.observe(row(1, action=2, mask=[[True, False, False]]))
    batch = agent._batch(agent.replay.windows(np.array([0])))
    assert agent.next_policy(batch)[0].tolist() == [[1.0, 0.0, 0.0]]
    _, entropy = agent.policy_value(batch)
    assert entropy.item() == pytest.approx(math.log(2))
    agent.learn_temperature(batch, torch.tensor([0.5 * math.log(2) + 0.01]))  # the target counts allowed actions
    assert agent.temperature.item() < 1.0


def test_importance_weights_scale_the_critics_loss_and_priorities_are_the_mean_absolute_error() -> None:
    agent = table(TD3, target_noise=0.0, prioritized=True)
    loss = critic_loss(agent, play(agent, step(1, 4.0, reward=1.0)))
    windows = agent.replay.windows(np.array([0, 0]))._replace(weight=np.array([0.25, 1.0], np.float32))
    assert agent.learn(windows)["loss"].item() == pytest.approx(loss * (0.25 + 1.0) / 2, rel=1e-5)
    target = 1 + 0.5 * min(2.0 + 2 * math.tanh(-0.6), 1.0 - math.tanh(-0.6))
    error = (abs(2.0 - target) + abs(1.0 - target)) / 2
    assert agent.replay._tree.get(np.array([0])) == pytest.approx([error**0.6], rel=1e-4)


def test_exploration_noise_of_td3_follows_its_schedule_and_gsde_of_sac_is_held() -> None:
    td3, start = table(TD3, explore_noise=Ramp(0.5, 0.0, 100)), row(0, first=True)
    drawn = {float(td3.act(start).item()) for _ in range(3)}
    td3.step = 100
    mean = 2 + 4 * math.tanh(0.3)
    assert len(drawn) == 3 and td3.act(start).item() == pytest.approx(mean, rel=1e-5)
    sac, noise = SAC(BOX, SACConfig(**BASE, gsde=True, noise_every=3), num_envs=1, seed=0), []
    for _ in range(7):
        sac.act(start)
        noise.append(sac._stream.noise)
    held = [torch.equal(a, b) for a, b in pairwise(noise)]
    assert held == [True, True, False, True, True, False]


def test_targets_move_by_tau_and_td3_moves_them_with_the_policy() -> None:
    agent = TD3(BOX, TD3Config(**BASE, policy_delay=2, target_tau=0.25), num_envs=1, seed=0)
    play(agent, step(1, 4.0, reward=1.0))
    start = {k: t.flat.clone() for k, t in agent.targets.items()}
    policy = agent.optimizers["policy"].flat.clone()
    windows = agent.replay.windows(np.array([0, 0]))
    agent.learn(windows)
    assert torch.equal(policy, agent.optimizers["policy"].flat)
    assert all(torch.equal(start[k], t.flat) for k, t in agent.targets.items())
    agent.learn(windows)
    assert not torch.equal(policy, agent.optimizers["policy"].flat)
    for name, target in agent.targets.items():
        assert torch.allclose(target.flat, start[name].lerp(agent.optimizers[name].flat, 0.25))


def test_td3_clips_the_target_noise_and_then_the_action() -> None:
    agent = table(TD3, target_noise=1e6, target_noise_clip=0.5)
    batch = play(agent, step(1, 4.0, reward=1.0))
    found = {round(agent.next_policy(batch)[0].item(), 5) for _ in range(30)}
    mean = math.tanh(-0.6)
    assert found == {round(max(-1.0, mean - 0.5), 5), round(mean + 0.5, 5)}


def test_actions_reach_asymmetric_bounds_and_come_back() -> None:
    bounds = ActionBounds(ActionSpec("box", low=(-2.0, 0.0), high=(6.0, 1e-3)), "x", torch.device("cpu"))
    outside = bounds.outside(torch.tensor([[-1.0, 1.0], [0.5, 0.0]]))
    assert torch.allclose(outside, torch.tensor([[-2.0, 1e-3], [4.0, 5e-4]]))
    assert torch.allclose(bounds.inside(outside), torch.tensor([[-1.0, 1.0], [0.5, 0.0]]), atol=1e-6)


@pytest.mark.parametrize("kind", [SAC, TD3])
def test_random_play_covers_the_bounds_and_evaluation_does_not_explore(kind: Any) -> None:
    agent = table(kind, learning_starts=5)
    start = row(0, first=True)._replace(action=np.zeros((1, 1), np.float32))
    drawn = np.array([agent.act(start)[0, 0] for _ in range(500)])
    assert drawn.min() < -1.8 and drawn.max() > 5.8 and drawn.mean() == pytest.approx(2.0, abs=0.4)
    greedy = agent.actor(1, 0).act(start)
    assert greedy[0, 0] == pytest.approx(2 + 4 * math.tanh(0.3), rel=1e-5)
    assert greedy.dtype == np.float32


@pytest.mark.parametrize("kind", [SAC, TD3])
def test_a_random_action_is_held_and_a_loaded_agent_holds_it_on(kind: Any) -> None:
    agent, again = (table(kind, learning_starts=99, random_hold=3) for _ in range(2))
    start = row(0, first=True)._replace(action=np.zeros((1, 1), np.float32))
    drawn = [agent.act(start)[0, 0] for _ in range(5)]
    again._stream.load_state_dict(agent._stream.state_dict())
    drawn += [again.act(start)[0, 0] for _ in range(4)]
    assert [drawn[i] == drawn[i + 1] for i in range(8)] == [True, True, False, True, True, False, True, True]


def test_held_noise_begins_with_the_policy_and_not_with_the_random_actions() -> None:
    config = SACConfig(**{**BASE, "learning_starts": 4}, gsde=True, noise_every=3, random_hold=3)
    agent = SAC(BOX, config, num_envs=1, seed=0)
    start = row(0, first=True)._replace(action=np.zeros((1, 1), np.float32))
    agent.act(start)
    agent.step = 4
    drawn = [agent.act(start)[0, 0] for _ in range(4)]
    assert [drawn[i] == drawn[i + 1] for i in range(3)] == [True, True, False]


@pytest.mark.parametrize("raw", [0.0, 1.0, -3.0, 10.0, -20.0, 20.0])
def test_the_squashed_log_probability_is_the_numeric_density_out_to_20(raw: float) -> None:
    mean, deviation = raw * 0.9, 1.3
    base = DiagGaussian(torch.tensor([[mean]]), torch.tensor([[math.log(deviation)]]))
    found = Squashed(base, torch.zeros(1), torch.ones(1)).log_prob(torch.tensor([[raw]])).item()
    z = (raw - mean) / deviation
    normal = -0.5 * z * z - math.log(deviation * math.sqrt(2 * math.pi))
    slope = -2 * math.log(math.cosh(raw))  # log(1 - tanh^2), in float64
    assert found == pytest.approx(normal - slope, rel=1e-5)
    if abs(raw) <= 3:  # the density integrates to the normal's mass: d tanh(u) by differences
        width = 1e-5
        numeric = (math.tanh(raw + width) - math.tanh(raw - width)) / (2 * width)
        assert found == pytest.approx(normal - math.log(numeric), rel=1e-4)


# layers that learn in another way than they act


def test_batch_renorm_standardises_by_the_batch_and_acts_by_the_running_moments() -> None:
    x = torch.tensor([[1.0], [3.0]])
    layer = BatchRenorm(1, warmup=1)
    with learning(layer):
        assert layer(x).flatten().tolist() == pytest.approx([-1 / math.sqrt(1.001), 1 / math.sqrt(1.001)])
    assert layer.mean.item() == pytest.approx(0.02) and layer.var.item() == pytest.approx(0.99 + 0.02)
    acted = layer(x).flatten().tolist()
    assert acted == pytest.approx([(v - 0.02) / math.sqrt(1.01 + 1e-3) for v in (1.0, 3.0)])
    with learning(layer):
        layer(x)
        mean, var = layer.mean.item(), layer.var.item()
        corrected = layer(x).flatten().tolist()  # within the limits, so equal to acting by the moments before
    assert corrected == pytest.approx([(v - mean) / math.sqrt(var + 1e-3) for v in (1.0, 3.0)], rel=1e-5)
    with learning(layer):
        far = layer(x + 1000.0).flatten()
    assert far.tolist() == pytest.approx([5.0 - 1 * (1.001 / (layer.var + 0)).item() ** 0.5, 6.0], abs=0.2)


def test_dropout_draws_only_while_it_learns_and_keeps_the_mean() -> None:
    layer, x = Dropout(0.25), torch.ones(4000, 1)
    layer.generator = torch.Generator().manual_seed(0)
    assert torch.equal(layer(x), x)
    with learning(layer):
        out = layer(x)
    assert out.unique().tolist() == pytest.approx([0.0, 4 / 3]) and out.mean().item() == pytest.approx(1, abs=0.05)


def test_crossq_evaluates_both_time_steps_with_shared_statistics() -> None:
    agent = SAC(BOX, SACConfig(**{**BASE, "net": NetConfig(hidden=(8,))}, batch_renorm=True), num_envs=1, seed=0)
    batch = play(agent, step(1, 4.0, reward=1.0))
    now, later = torch.tensor([[0], [1], [2]]), torch.tensor([[3], [3], [1]])
    action = torch.tensor([[0.1], [-0.5], [0.9]])
    batch = batch._replace(obs={"obs": now}, next_obs={"obs": later}, action=action)
    policy = torch.tensor([[0.3], [0.2], [-1.0]])
    assert not agent.targets
    q, after = agent.values(batch, policy)
    assert q.requires_grad and not after.requires_grad
    critics: Any = agent.network["critics"]
    with learning(critics):
        joint = critics({"obs": torch.cat([now, later])}, torch.cat([action, policy]))
        alone = critics(batch.obs, batch.action)
    assert torch.allclose(torch.cat([q, after]), joint, atol=1e-6) and not torch.allclose(q, alone, atol=1e-3)


# known optima


def train(config: Any, steps: int, env: str = "Probe/Target-v0", **options: Any) -> Any:
    world = envs.make(env, num_envs=4, seed=0, config=EnvConfig(options=options))
    agent = agents.build(config, world.spec, num_envs=4, seed=0)
    for _ in interact(world, agent, steps):
        pass
    world.close()
    return agent


LEARN: dict[str, Any] = {
    "net": NetConfig(hidden=(32, 32)),
    "lr": 3e-3,
    "batch_size": 64,
    "learning_starts": 200,
    "replay_ratio": 0.5,
    "update_every": 4,
    "target_tau": 0.05,
}


@pytest.mark.parametrize("config", [SACConfig(**LEARN), TD3Config(**LEARN)], ids=["sac", "td3"])
def test_the_action_equals_the_observation_on_asymmetric_bounds(config: Any) -> None:
    agent = train(config, 1_500, low=-1.0, high=3.0)
    shown = np.array([[-0.7], [0.0], [0.7]], np.float32)
    action = agent.predict(shown, deterministic=True)[0]
    assert action.flatten().tolist() == pytest.approx([-0.7, 0.0, 0.7], abs=0.2)
    obs, inside = {"obs": torch.zeros(2, 1)}, agent.bounds.inside(torch.tensor([[0.0], [0.5]]))
    with torch.no_grad():  # Q(0, a) = -a^2
        assert agent.network["critics"](obs, inside).mean((1, 2)).tolist() == pytest.approx([0.0, -0.25], abs=0.1)


def test_the_policy_of_a_fixed_temperature_is_the_boltzmann_distribution() -> None:
    agent = train(SACConfig(**LEARN, temperature=0.08), 2_000)
    with torch.no_grad():
        dist = agent.network["policy"]({"obs": torch.zeros(4000, 1)})
        draws = dist.action(dist.sample(torch.Generator().manual_seed(0)))
    # exp(-(a - s)^2 / 0.08) is a normal of variance 0.04
    assert draws.std().item() == pytest.approx(0.2, abs=0.05)


def test_discrete_sac_prefers_actions_by_the_boltzmann_distribution() -> None:
    agent = train(SACConfig(**LEARN, temperature=1.0), 1_500, "Probe/ActionReward-v0")
    with torch.no_grad():
        found = agent.network["policy"]({"obs": torch.zeros(1, 1)}).log_probs.exp()[0]
    assert found.tolist() == pytest.approx([0.119, 0.881], abs=0.05)  # exp(-1) and exp(1), normalised


# bad input


@pytest.mark.parametrize(
    ("kind", "spec", "fields", "words"),
    [
        (SAC, ActionSpec("box", low=(-math.inf,), high=(math.inf,)), {}, "no bounds"),
        (
            SAC,
            ActionSpec("box", low=(1.0,), high=(-1.0,)),
            {},
            "action 0 has bounds 1.0 to -1.0: the lower must be less",
        ),
        (TD3, ActionSpec("box", low=(1.0,), high=(1.0,)), {}, "action 0 has bounds 1.0 to 1.0: the lower must be less"),
        (SAC, ActionSpec("box", low=(1.0,), high=(-1.0,)), {}, "bounds 1.0 to -1.0"),
        (SAC, ActionSpec("multidiscrete", (2, 3)), {}, "try ppo"),
        (SAC, ActionSpec("discrete", (3,)), {"gsde": True}, "gsde=True is for continuous"),
        (SAC, ActionSpec("discrete", (3,)), {"quantiles": 5}, "quantiles=5 is for continuous"),
        (SAC, BOX.action, {"entropy_share": 0.7}, "entropy_share=0.7 is for discrete"),
        (TD3, ActionSpec("discrete", (3,)), {}, "td3 needs continuous"),
        (TD3, BOX.action, {"net": NetConfig(core="lstm")}, "no memory"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(kind: Any, spec: ActionSpec, fields: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        kind(EnvSpec("Table-v0", TABLE.obs, spec), kind.Config(**{**BASE, **fields}), num_envs=1, seed=0)
    assert "\n" not in str(error.value)


def test_dropping_every_quantile_is_refused() -> None:
    with pytest.raises(InputError, match="dropped 3 leaves none of 3"):
        SACConfig(quantiles=3, dropped=3)


def test_a_loss_that_is_not_finite_names_its_part_and_changes_no_weight() -> None:
    agent = table(SAC)
    play(agent, step(1, 4.0, reward=float("inf")))
    before = {k: v.clone() for k, v in agent.network.state_dict().items()}
    with pytest.raises(NonFiniteError, match="sac, update 1, step 1, critics"):
        agent.learn(agent.replay.windows(np.array([0, 0])))
    assert all(torch.equal(v, before[k]) for k, v in agent.network.state_dict().items())


@pytest.mark.parametrize("kind", [SAC, TD3])
def test_viewers_see_the_policy_in_the_environments_units_and_the_lowest_critics_value(kind: Any) -> None:
    agent = table(kind)
    actor = agent.actor(1, 0)
    action = actor.act(row(1, first=True)._replace(action=np.zeros((1, 1), np.float32)))
    (thought,) = read_thoughts(agent, actor.output, action)
    mean = math.tanh(-0.6)
    assert float(thought.mean[0]) == pytest.approx(2 + 4 * mean, rel=1e-5)  # type: ignore[index]
    assert thought.value == pytest.approx(min(2 + 2 * mean, 1 - mean), rel=1e-5)
    assert (thought.low, thought.high) == (-2.0, 6.0)


@pytest.mark.parametrize("kind", [SAC, TD3])
def test_inspection_counts_every_parameter(kind: Any) -> None:
    agent = kind(BOX, kind.Config(**{**BASE, "net": NetConfig(hidden=(8,))}), num_envs=1, seed=0)
    policy = (4 + 1) * 8 + (8 + 1) * (1 if kind is TD3 else 2)
    critics = 2 * ((4 + 1 + 1) * 8 + (8 + 1))
    assert sum(layer.parameters for layer in describe(agent.network, BOX)) == policy + critics


def test_sac_learns_from_a_picture_and_a_vector_together() -> None:
    config = SACConfig(
        net=NetConfig(hidden=(16,)),
        learning_starts=20,
        batch_size=4,
        buffer_size=90,
        replay_ratio=0.25,
        stack=2,
        normalize_obs=True,  # of the vector alone
    )
    check_agent(config, "tests.agents.pictures:PictureArm", steps=60)


def test_sac_trains_on_carracings_pictures() -> None:
    run = resolve("carracing_sac", steps=120, settings=["learning_starts=60", "batch_size=4", "buffer_size=200"])
    world = envs.make(run.env, num_envs=1, seed=0)
    agent = agents.build(run.agent, world.spec, num_envs=1, seed=0)
    for slot in interact(world, agent, run.steps):
        ts = slot.ts
    world.close()
    assert agent.updates == 15
    action = agent.actor(1, 0).act(ts)
    assert (action >= np.array([-1, 0, 0])).all() and (action <= 1).all()
