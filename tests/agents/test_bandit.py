"""Bandits: updates by hand, the textbook's figures, regret, exact resume, refusals."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

import agents
import envs
from agents.tabular.bandit import Bandit, BanditConfig
from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf, TimeStep
from runs.testing import check_agent

RULES = ["epsilon_greedy", "optimistic", "ucb1", "gradient", "thompson", "exp3"]
ARMS = EnvSpec("B", {"obs": ObsLeaf((1,), "int64", "index", nvec=(1,))}, ActionSpec("discrete", (2,)))


def row(action: Any, reward: Any, first: bool = False, obs: Any = None) -> TimeStep:
    n = len(np.atleast_1d(action))
    return TimeStep(
        {"obs": np.zeros((n, 1), np.int64) if obs is None else np.asarray(obs, np.float32)},
        None,
        np.atleast_1d(np.asarray(action, np.int64)),
        np.atleast_1d(np.asarray(reward, np.float32)),
        np.full(n, 1 - first, np.float32),
        np.full(n, first),
        np.zeros(n, bool),
        {},
    )


def make(spec: EnvSpec = ARMS, **fields: Any) -> Bandit:
    agent: Bandit = agents.build(BanditConfig(**fields), spec, num_envs=1, seed=0)
    return agent


def memory_after(agent: Bandit, *rows: TimeStep) -> np.ndarray:
    actor = agent.actor(1, 0)
    for ts in rows:
        actor.act(ts)
    return np.asarray(actor.memory[0])


@pytest.mark.parametrize("rule", [*RULES, "linucb"])
def test_every_rule_keeps_the_contract(rule: str) -> None:
    env = "Bandit/Contextual-v1" if rule == "linucb" else "Bandit/Stationary-v1"
    check_agent(BanditConfig(rule=rule), env, steps=60)  # type: ignore[arg-type]


def test_values_are_averages_or_weigh_the_newest_reward() -> None:
    rows = [row(0, 0, first=True), row(1, 4.0), row(1, 2.0)]
    assert memory_after(make(rule="epsilon_greedy"), *rows)[:4].tolist() == [0, 2, 0, 3]
    assert memory_after(make(rule="optimistic", step_size=0.5, optimism=8.0), *rows)[2:4].tolist() == [8, 4]


def test_a_new_problem_forgets_the_old_one() -> None:
    memory = memory_after(make(rule="ucb1"), row(0, 0, first=True), row(1, 4.0), row(0, 0, first=True))
    assert not memory.any()


def test_ucb1_adds_the_textbooks_bound_and_tries_every_arm_first() -> None:
    agent, rng = make(rule="ucb1", width=2.0), np.random.default_rng(0)
    memory = np.array([[3.0, 1.0, 0.5, 1.0, 0, 0, 4.0, 0]])
    score, _ = agent.scores(memory, np.zeros((1, 1)), rng)
    assert score[0].tolist() == pytest.approx([0.5 + 2 * np.sqrt(np.log(4) / 3), 1 + 2 * np.sqrt(np.log(4))])
    assert agent.scores(np.array([[3.0, 0, 9.0, 0, 0, 0, 3.0, 0]]), np.zeros((1, 1)), rng)[0][0, 1] == np.inf


def test_the_gradient_bandit_follows_the_advantage_of_the_arm() -> None:
    memory = memory_after(make(rule="gradient", step_size=0.5), row(0, 0, first=True), row(0, 1.0), row(1, 3.0))
    # the first reward equals its baseline; the second one is 1 above the mean of 2
    assert memory[2:4].tolist() == [-0.25, 0.25]


def test_exp3_divides_the_reward_by_its_probability() -> None:
    memory = memory_after(make(rule="exp3", epsilon=0.2), row(0, 0, first=True), row(1, 1.0))
    assert memory[2:4].tolist() == pytest.approx([0, 0.2 * (1 / 0.5) / 2])


def test_thompson_samples_from_the_posterior() -> None:
    agent, rng = make(rule="thompson"), np.random.default_rng(0)
    memory = np.repeat([[3.0, 0.0, 2.0, 0.0, 0, 0, 3.0, 0]], 20_000, 0)
    drawn, _ = agent.scores(memory, np.zeros((20_000, 1)), rng)
    assert drawn.mean(0).tolist() == pytest.approx([1.5, 0.0], abs=0.03)
    assert drawn.std(0).tolist() == pytest.approx([0.5, 1.0], abs=0.03)


def test_linucb_is_ridge_regression_with_its_confidence() -> None:
    spec = EnvSpec("C", {"obs": ObsLeaf((2,), "float32", "vector")}, ActionSpec("discrete", (2,)))
    agent = make(spec, rule="linucb", width=1.0)
    x, y, z = [[1.0, 2.0]], [[3.0, 1.0]], [[1.0, 1.0]]
    memory = memory_after(agent, row(0, 0, True, x), row(1, 2.0, obs=y), row(1, 5.0, obs=z))
    data, target = np.array([x[0], y[0]]), np.array([2.0, 5.0])
    matrix = np.eye(2) + data.T @ data
    theta = np.linalg.solve(matrix, data.T @ target)
    score, _ = agent.scores(memory[None], np.array(z), np.random.default_rng(0))
    now = np.array(z[0])
    expected = theta @ now + np.sqrt(now @ np.linalg.inv(matrix) @ now)
    assert score[0].tolist() == pytest.approx([np.sqrt(2.0), expected])


def test_regret_is_the_distance_to_the_best_arm() -> None:
    env = gymnasium.make("Bandit/Stationary-v1").unwrapped
    env.reset(seed=1)
    means = env.means.copy()  # type: ignore[attr-defined]
    _, _, over, cut, info = env.step(3)
    assert info == {"regret": means.max() - means[3], "optimal": float(means.argmax() == 3)} and not over and not cut


def test_the_adversarys_regret_is_against_the_best_fixed_arm_and_an_episode_ends_after_its_pulls() -> None:
    env = gymnasium.make("Bandit/Adversarial-v1", pulls=40).unwrapped
    env.reset(seed=1)
    lost, gained, cut = 0.0, 0.0, False
    while not cut:
        _, reward, _, cut, info = env.step(2)
        lost, gained = lost + info["regret"], gained + float(reward)
    assert env.t == 40 and lost + gained == env._table.sum(0).max()  # type: ignore[attr-defined]


def test_learning_rules_lose_less_than_random_pulls_and_log_their_regret() -> None:
    world = envs.make("Bandit/Stationary-v1", num_envs=20, seed=0)
    agent = agents.build(BanditConfig(rule="ucb1"), world.spec, num_envs=20, seed=0)
    from rl.loop import interact

    last = [s.metrics for s in interact(world, agent, 20 * 300) if s.metrics][-1]
    world.close()
    assert last["regret"] < 0.5 * 300 * 1.54 and last["optimal"] > 0.4  # random pulls lose 1.54 each


@pytest.mark.parametrize("kind", ["Stationary", "Drifting", "Adversarial", "Contextual"])
def test_each_testbed_repeats_with_its_seed_and_draws_itself(kind: str) -> None:
    def play() -> list[float]:
        env = gymnasium.make(f"Bandit/{kind}-v1", render_mode="rgb_array")
        env.reset(seed=5)
        rewards = [float(env.step(k % 10)[1]) for k in range(30)]
        assert env.render().shape == (360, 480, 3)  # type: ignore[union-attr]
        return rewards

    assert play() == play()


def test_refusals_are_one_line() -> None:
    with pytest.raises(InputError, match="rule=linucb needs a vector as its context, B shows none: use rule=ucb1"):
        make(rule="linucb")
    with pytest.raises(InputError, match="low must be below high, got 1.0 and 1.0"):
        BanditConfig(low=1.0)
    with pytest.raises(InputError, match="unknown rule 'greedy'"):
        BanditConfig(rule="greedy")  # type: ignore[arg-type]
