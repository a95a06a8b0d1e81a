"""MCTS for one player: copies, chance, discounts, and what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
import pytest

import agents
import envs
from agents.mcts import MCTS, MCTSConfig
from envs import EnvConfig, simulators
from rl.errors import InputError
from rl.interface import TimeStep
from runs import train
from runs.training.evaluation import evaluate

WORLDS = "tests.agents.planned_worlds:"


def made(id: str, num_envs: int = 1, **fields: Any) -> tuple[MCTS, Any]:
    world = envs.make(id, num_envs=num_envs, seed=1, config=EnvConfig(vector="auto" if "Arcade" in id else "sync"))
    return agents.build(MCTSConfig(**fields), world.spec, num_envs=num_envs, seed=0), world


def searched(agent: MCTS, ts: TimeStep, simulations: int) -> Any:
    return agent._search(agent.states(ts), simulations, np.random.default_rng(0), noise=False)


def total(id: str, steps: int, num_envs: int = 1, **fields: Any) -> float:
    agent, world = made(id, num_envs, **fields)
    actor, ts, earned = agent.actor(num_envs, 0), world.reset(), 0.0
    for _ in range(steps):
        ts = world.step(actor.act(ts))
        earned += float(ts.reward.sum())
    return earned


@pytest.mark.parametrize(("gamma", "action"), [(0.9, 1), (0.05, 0)])
def test_the_discount_decides_between_one_now_and_ten_later(gamma: float, action: int) -> None:
    agent, world = made(WORLDS + "Corridor", gamma=gamma)
    found = searched(agent, world.reset(), 200)
    assert found.action[0] == action and found.q[0, 0] == 1.0
    if action:  # the search walks to the end: 10 * 0.9, minus the visits that left the corridor
        assert 7.0 < found.q[0, 1] < 9.0


def test_an_action_has_a_branch_for_each_outcome_and_the_mean_of_both_as_its_value() -> None:
    agent, world = made(WORLDS + "Coin")
    found = searched(agent, world.reset(), 400)
    assert np.abs(found.q[0] - 0.5).max() < 0.1
    tree = found.tree
    for action in range(2):
        node, outcomes = int(tree.child[0, 0, action]), []
        while node >= 0:
            outcomes.append(float(tree.reward[0, node]))
            node = int(tree.sibling[0, node])
        assert sorted(outcomes) == [0.0, 1.0]


def test_a_search_does_not_know_what_the_environment_will_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10 < total(WORLDS + "Coin", 80, simulations=20) < 30  # every second row ends a game

    def leaking(env: Any, rng: np.random.Generator) -> Any:
        return copy.deepcopy(env)

    monkeypatch.setattr(simulators, "_copied", leaking)
    assert total(WORLDS + "Coin", 80, simulations=20) > 36


@pytest.mark.parametrize("kind", ["new", "old", "python"])
def test_generators_beside_np_random_show_the_search_nothing_either(kind: str) -> None:
    config = EnvConfig(vector="sync", options={"kind": kind})
    with envs.make(WORLDS + "OwnCoin", seed=1, config=config) as world:
        agent = agents.build(MCTSConfig(simulations=20), world.spec, num_envs=1, seed=0)
        state = np.repeat(agent.states(world.reset()), 300)
        reward = agent.model.advance(state, np.ones(300, np.int64), np.random.default_rng(0))[1]  # type: ignore[attr-defined]
        actor, ts, earned = agent.actor(1, 0), world.reset(), 0.0
        for _ in range(80):
            ts = world.step(actor.act(ts))
            earned += float(ts.reward.sum())
    assert 0.4 < reward.mean() < 0.6 and 10 < earned < 30


def test_a_wrapper_may_add_chance_to_classic_control() -> None:
    for env, chance in (
        (gymnasium.make("CartPole-v1"), False),
        (gymnasium.wrappers.StickyAction(gymnasium.make("CartPole-v1"), 0.5), True),
    ):
        assert simulators.simulator_of(env, env.spec, None, lambda: env).stochastic == chance  # noqa: B023


def test_returns_of_any_scale_and_offset_give_the_same_search() -> None:
    counts = []
    for scale, shift in ((1.0, 0.0), (1000.0, -1500.0)):
        agent, world = made(WORLDS + "Corridor", gamma=1.0)
        plain = agent.model.advance

        def scaled(*args: Any, scale: float = scale, shift: float = shift, plain: Any = plain) -> Any:
            states, reward, ended, key = plain(*args)
            return states, (reward * scale + shift * ended).astype(np.float32), ended, key

        agent.model.advance = scaled
        agent.model.rollout = lambda states, rng, how, shift=shift: np.full(len(states), shift, np.float32)
        counts.append(searched(agent, world.reset(), 60).visits.tolist())
    assert counts[0] == counts[1]


def test_a_table_is_searched_by_its_own_probabilities() -> None:
    agent, world = made("FrozenLake-v1", gamma=1.0)
    ts = world.reset()
    states = np.repeat(agent.states(ts), 3000)
    assert states["left"][0] == 100 and agent.model.stochastic
    after, reward, ended, key = agent.model.advance(states, np.full(3000, 2), np.random.default_rng(0))
    shares = np.bincount(after["state"], minlength=5) / 3000  # right: down, right or up (the wall)
    assert shares[[0, 1, 4]] == pytest.approx(1 / 3, abs=0.04) and not reward.any() and not ended.any()
    assert len(np.unique(key)) == 3 and (after["left"] == 99).all()


def test_the_time_limit_ends_the_games_of_a_copy() -> None:
    agent, world = made("CartPole-v1")
    world._vector.environments()[0]._elapsed_steps = 499
    state = agent.states(world.reset())
    assert agent.model.advance(state, np.array([0]), None)[2][0]


def test_the_limit_of_steps_ends_the_games_of_an_arcade_copy() -> None:
    with envs.make("Arcade/Breakout-v1", num_envs=2, seed=1, config=EnvConfig(max_steps=3)) as world:
        agent = agents.build(MCTSConfig(), world.spec, num_envs=2, seed=0)
        ts = world.reset()
        for last in (False, False, True):
            ended = agent.model.advance(agent.states(ts), np.zeros(2, np.int64), np.random.default_rng(0))[2]  # type: ignore[attr-defined]
            ts = world.step(np.zeros(2, np.int64))
            assert (ended == last).all() and (ts.last == last).all()


def test_the_end_of_a_game_is_an_outcome_of_its_own_whatever_the_board_shows() -> None:
    agent, world = made("Arcade/Breakout-v1")
    states = np.repeat(agent.states(world.reset()), 2)
    states["elapsed"] = 0, 9
    agent.model._games.limit = 10
    _, _, ended, key = agent.model.advance(states, np.zeros(2, np.int64), None)
    assert ended.tolist() == [False, True] and key[0] != key[1]


@pytest.mark.parametrize("id", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0"])
def test_a_copy_of_compiled_classic_control_goes_on_as_gymnasium_does(id: str) -> None:
    found = []
    for vector in ("sync", "compiled"):
        with envs.make(id, num_envs=8, seed=1, config=EnvConfig(vector=vector, max_steps=12)) as world:
            agent = agents.build(MCTSConfig(simulations=4), world.spec, num_envs=8, seed=0)
            ts, rng = world.reset(), np.random.default_rng(0)
            for _ in range(30):
                ts = world.step(rng.integers(0, 2, 8))
                if not ts.last.any():
                    found.append(agent.model.advance(agent.states(ts), np.ones(8, np.int64), None)[1:])  # type: ignore[attr-defined]
            found.append((agent.act(ts),))  # type: ignore[arg-type]
    half = len(found) // 2
    assert any(outcome[1].any() for outcome in found[: half - 1])
    for one, other in zip(found[:half], found[half:], strict=True):
        assert all(map(np.array_equal, one, other))


def test_copies_leave_the_games_as_they_are() -> None:
    for id in ("CartPole-v1", "Arcade/Breakout-v1"):
        rows = []
        for plans in (False, True):
            agent, world = made(id, simulations=5)
            ts = world.reset()
            for t in range(6):
                if plans:
                    agent.act(ts)
                ts = world.step(np.array([t % 2]))
            rows.append(ts.obs["obs"])
        assert np.array_equal(*rows), id


def test_the_same_seed_plays_the_same_games_and_search_is_better_than_chance() -> None:
    one, again = (total("CartPole-v1", 40, simulations=8, rollout_steps=20) for _ in range(2))
    assert one == again == 40.0  # a random player falls after 22 steps
    assert total("Arcade/Breakout-v1", 60, num_envs=4, simulations=25) > 8.0


def test_a_run_trains_evaluates_and_repeats_itself(tmp_path: Any) -> None:
    fields = ["simulations=20", "eval_episodes=3", "num_envs=2"]
    result = train("FrozenLake-v1", agent="mcts", steps=10, settings=fields, out=tmp_path / "run")
    assert evaluate(tmp_path / "run")["returns"] == result["returns"]


def test_a_planner_is_not_called_untrained(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fields = ["simulations=2", "eval_episodes=1", "eval_max_steps=2"]
    train("FrozenLake-v1", agent="mcts", steps=1, settings=fields, out=tmp_path, quiet=False, device="cpu")
    printed = capsys.readouterr().err
    assert "; mcts: no network; " in printed and "untrained" not in printed


@pytest.mark.parametrize(
    ("id", "words"),
    [
        (WORLDS + "Locked", "it cannot be copied"),
        (WORLDS + "Silent", r"it cannot be copied \(AssertionError\)"),
        (WORLDS + "Foreign", "play differently"),
        ("Pendulum-v1", "needs discrete actions"),
    ],
)
def test_an_environment_that_gives_no_copy_is_refused_in_one_line(id: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        agents.build(MCTSConfig(), envs.spec(id), num_envs=1, seed=0)
    assert "\n" not in str(error.value) and id in str(error.value)


def test_an_observation_alone_is_no_state_to_plan_from() -> None:
    agent, _ = made("CartPole-v1")
    with pytest.raises(InputError, match="an observation of CartPole-v1 alone"):
        agent.predict(np.zeros(4, np.float32))


def test_environments_in_other_processes_are_refused_in_one_line() -> None:
    config = EnvConfig(vector="async")
    with envs.make("CartPole-v1", num_envs=2, config=config) as world:
        agent = agents.build(MCTSConfig(), world.spec, num_envs=2, seed=0)
        with pytest.raises(InputError, match="set vector='sync'"):
            agent.act(world.reset())
