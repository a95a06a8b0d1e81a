"""The n-tuple learner: what it learns of tic-tac-toe, its targets by hand, the contract, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
import envs
from agents.ntuple import NTuple, NTupleConfig
from agents.predict import first_row
from envs import EnvConfig
from envs.boards.game import Game
from envs.boards.judge import strength, tic_tac_toe
from rl.errors import InputError
from rl.interface import TimeStep
from rl.loop import interact
from runs.bench.strength import player
from runs.testing import check_agent
from runs.training.train import train

SELF_PLAY = EnvConfig(options={"self_play": True, "opening": 6})
SMALL = NTupleConfig(tuples=4, length=4, simulations=4, depth=1)


def made(config: NTupleConfig = SMALL, num_envs: int = 2, game: str = "TicTacToe") -> tuple[NTuple, Any]:
    world = envs.make(f"Boards/{game}-v1", num_envs=num_envs, seed=3, config=SELF_PLAY)
    return agents.build(config, world.spec, num_envs=num_envs, seed=0), world


def row(*moves: int, game: str = "TicTacToe") -> TimeStep:
    played = Game(game)
    for move in moves:
        played.play(move)
    return first_row(envs.spec(f"Boards/{game}-v1"), {"obs": played.observation()}, np.ones(1, bool))


@pytest.mark.parametrize("self_play", [True, False])
def test_it_keeps_the_contract_on_a_board(self_play: bool) -> None:
    check_agent(SMALL, "Boards/TicTacToe-v1", env_config=EnvConfig(options={"self_play": self_play}))


def test_with_one_tuple_over_all_cells_it_plays_tic_tac_toe_perfectly() -> None:
    agent, world = made(NTupleConfig(tuples=1, length=9, lr=0.05, epsilon=0.3, depth=1), num_envs=64)
    for _ in interact(world, agent, 100_000):
        pass
    world.close()
    judged = strength(player(agent, 0), tic_tac_toe())
    assert judged.wrong <= 0.002, judged  # the value after each move alone, in all 4,520 positions
    assert abs(float(agent.network.values(np.zeros((1, 2), np.uint64))[0])) < 0.1  # a draw


def taught(agent: NTuple, *rows: TimeStep) -> list[tuple[np.ndarray, float]]:
    """The positions and targets that are learned over rows of one game, from the last to the first."""
    found: list[tuple[np.ndarray, float]] = []

    def learn(positions: np.ndarray, targets: np.ndarray, rate: float) -> float:
        found.extend(zip(positions, targets.tolist(), strict=True))
        return 0.0

    agent.network.learn = learn  # type: ignore[method-assign]
    for ts in rows:
        agent.observe(ts)
        agent.update()
    return sorted(found, key=lambda pair: np.bitwise_count(pair[0]).sum(), reverse=True)


def valued(agent: NTuple, value: float) -> NTuple:
    """The agent with a network that says `value` of every position."""
    agent.network.weights.data.fill_(np.arctanh(value) / agent.network.cells[..., 0].numel())
    return agent


WON = (0, 3, 1, 4)
"""The first player wins by its third stone in the upper row."""


@pytest.mark.parametrize("trace", [0.0, 0.5, 1.0])
def test_the_targets_are_the_lambda_returns_of_both_players(trace: float) -> None:
    config = dataclasses.replace(SMALL, epsilon=0.0, gamma=0.9, trace_lambda=trace)
    agent = valued(made(config, num_envs=1)[0], 0.25)
    game = [row(*WON[:n])._replace(first=np.array([n == 0])) for n in range(5)]
    learned = taught(agent, *game)
    # after three moves the second player must answer in the upper row, where its value is -0.25; otherwise it loses
    expected, value = [], 1.0  # proved: the first player wins
    for _ in range(4):
        value = 0.9 * ((1 - trace) * -0.25 - trace * value)
        expected.append(value)
    assert [target for _, target in learned] == pytest.approx(expected)
    for (position, _), ts in zip(learned, reversed(game[:4]), strict=True):
        (state,) = agent.states(ts)
        assert position.tolist() == [state["mine"], state["theirs"]]


def test_a_random_move_cuts_the_return() -> None:
    agent = valued(made(dataclasses.replace(SMALL, epsilon=0.0, trace_lambda=1.0), num_envs=1)[0], 0.25)
    game = [row(*WON[:n])._replace(first=np.array([n == 0])) for n in range(5)]
    found = taught(agent, *game[:3])
    assert not found
    agent._waiting["greedy"][1] = False  # as if the second player had moved at random
    assert [target for _, target in taught(agent, *game[3:])] == pytest.approx([-1.0, 1.0, -0.25, 0.25])


def test_the_move_with_the_best_value_is_played() -> None:
    agent, _ = made(dataclasses.replace(SMALL, epsilon=0.0), num_envs=1)
    ts = row(4)
    states, _, _, _ = agent.model.advance(agent.states(ts), np.array([1]))
    agent.network.learn(np.stack([states["mine"], states["theirs"]], axis=1), np.array([-0.5]), 0.5)
    q = agent.prior(np.random.default_rng(0))(agent.states(ts))[0][0]
    taught(agent, ts)
    (played,) = agent.act(ts)
    assert played in (1, 3, 5, 7) and q[played] == q.max() > 0  # the middles of the sides are symmetric
    assert agent._waiting["best"][0, 0] == q.max() / agent.config.sharpness


def test_against_an_opponent_each_row_is_of_the_same_player_and_teaches_alone() -> None:
    world = envs.make("Boards/TicTacToe-v1", num_envs=1, seed=3)
    agent = valued(
        agents.build(dataclasses.replace(SMALL, epsilon=0.0, trace_lambda=1.0), world.spec, num_envs=1, seed=0), 0.25
    )
    world.close()
    game = [row(*WON[:n])._replace(first=np.array([n == 0])) for n in (0, 2, 4)]
    assert [target for _, target in taught(agent, *game)] == pytest.approx([-0.25, -0.25])


def test_the_reward_of_the_last_row_is_of_the_player_who_moved() -> None:
    agent = valued(made(dataclasses.replace(SMALL, epsilon=0.0, trace_lambda=1.0), num_envs=1)[0], 0.25)
    first, yes = row(4)._replace(first=np.array([True])), np.array([True])
    second = row(4, 0)._replace(first=~yes)
    last = row(4, 0, 2)._replace(first=~yes, last=yes, reward=np.array([1.0], np.float32))
    assert [target for _, target in taught(agent, first, second, last)] == [1.0, -1.0]
    assert agent._waiting["count"].tolist() == [0]


def test_without_simulations_it_plays_by_the_value_after_each_move() -> None:
    agent = valued(made(dataclasses.replace(SMALL, depth=2), num_envs=1)[0], 0.25)
    rng, states = np.random.default_rng(0), agent.states(row(4))
    assert (agent.prior(rng)(states)[2], agent.evaluator(rng)(states)[2]) == (-0.25, 0.25)
    assert agent.plan(row(4), np.zeros(1, np.int64), rng, noise=False).extra["root"].tolist() == [-0.25]


def test_a_game_that_is_cut_teaches_nothing() -> None:
    agent = valued(made(SMALL, num_envs=1)[0], 0.25)
    assert not taught(agent, row(4)._replace(first=np.array([True])), row(*WON)._replace(first=np.array([True])))


def test_a_proved_result_needs_no_network() -> None:
    agent = valued(made(num_envs=1)[0], 0.25)
    win, must = row(*WON), row(*WON[:3])
    assert agent.evaluator(np.random.default_rng(0))(agent.states(win))[2].tolist() == [1.0]
    q = agent.evaluator(np.random.default_rng(0))(agent.states(must))[0][0] / agent.config.sharpness
    assert q[2] == -0.25 and (q[[5, 6, 7, 8]] == -1).all()


def test_a_full_board_that_is_not_marked_as_last_teaches_nothing() -> None:
    agent, _ = made(num_envs=1)
    agent.observe(row(0, 1, 2, 4, 3, 5, 7, 6, 8))  # as the last row of a budget may show it
    assert agent.update() is None and agent._waiting["count"].tolist() == [0]


def test_a_random_move_never_is_an_illegal_one() -> None:
    agent, world = made(dataclasses.replace(SMALL, epsilon=1.0), num_envs=8)
    for slot in interact(world, agent, 300):
        playing = ~slot.ts.last
        assert slot.ts.mask is not None
        assert slot.ts.mask[np.arange(8), agent._action][playing].all()


@pytest.mark.parametrize(
    ("env", "changes", "words"),
    [
        ("CartPole-v1", {}, "plays games for two"),
        ("Boards/TicTacToe-v1", {"length": 10}, "length 10 .* 9 cells"),
        ("Boards/TicTacToe-v1", {"tuples": 0}, "tuples must be at least 1"),
        ("Boards/TicTacToe-v1", {"length": 13}, "length must be 1 to 12"),
        ("Boards/ConnectFour-v1", {"tuples": 10**7, "length": 12}, "10000000 tuples of length 12 need 4.25e.04 GB"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(env: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        agents.build(dataclasses.replace(SMALL, **changes), envs.spec(env), num_envs=1, seed=0)


@pytest.mark.parametrize("agent", ["ntuple", "mcts"])
def test_it_can_be_its_own_opponent_whose_games_are_any_number(agent: str, tmp_path: Path) -> None:
    settings = ["env.options.opponent=self", "eval_episodes=1", "simulations=2"]
    result = train("Boards/TicTacToe-v1", agent=agent, steps=40, num_envs=8, settings=settings, out=tmp_path / "run")
    assert len(result["returns"]) == 1


def test_without_self_play_a_training_says_so() -> None:
    def lines(config: EnvConfig) -> list[str]:
        world = envs.make("Boards/TicTacToe-v1", num_envs=1, seed=0, config=config)
        return agents.build(agents.config("ntuple"), world.spec, num_envs=1, seed=0).setting_warnings()

    (line,) = lines(EnvConfig())
    assert "--set env.options.self_play=true" in line and not lines(SELF_PLAY)
