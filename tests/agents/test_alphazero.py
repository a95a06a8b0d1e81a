"""AlphaZero and MCTS: targets by hand, symmetries, self-play rows, noise, refusals."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import agents
import envs
from agents.alphazero import AlphaZero, AlphaZeroConfig
from agents.mcts import MCTSConfig
from agents.predict import first_row
from envs import EnvConfig
from envs.boards.game import Game
from rl.errors import InputError
from rl.interface import TimeStep
from rl.loop import interact
from rl.networks.config import ResNetConfig
from rl.search.search import SearchConfig

SELF_PLAY = EnvConfig(options={"self_play": True})
SMALL = AlphaZeroConfig(
    net=ResNetConfig(channels=4, blocks=1),
    simulations=8,
    fast_simulations=4,
    eval_simulations=8,
    learning_starts=10**6,
    batch_size=64,
    buffer_size=400,
    root_share=0.0,
    symmetries=False,
)


def made(game: str = "TicTacToe", num_envs: int = 2, **fields: Any) -> tuple[AlphaZero, Any]:
    world = envs.make(f"Boards/{game}-v1", num_envs=num_envs, seed=3, config=SELF_PLAY)
    return agents.build(dataclasses.replace(SMALL, **fields), world.spec, num_envs=num_envs, seed=0), world


def played(steps: int = 120, **fields: Any) -> AlphaZero:
    agent, world = made(**fields)
    for _ in interact(world, agent, steps):
        pass
    return agent


def row(game: Game) -> TimeStep:
    return first_row(envs.spec(f"Boards/{game.name}-v1"), {"obs": game.observation()}, np.ones(game.num, bool))


def test_in_self_play_each_row_is_seen_by_the_player_to_move_and_rewards_the_one_who_moved() -> None:
    world = envs.make("Boards/TicTacToe-v1", num_envs=1, seed=0, config=SELF_PLAY)
    assert world.spec.alternating
    ts = world.reset()
    for move, mine, theirs in ((0, 0, 1), (3, 1, 1), (1, 1, 2), (4, 2, 2)):
        ts = world.step(np.array([move]))
        planes = ts.obs["obs"][0].sum(axis=(0, 1))
        assert planes.tolist() == [mine, theirs] and ts.reward[0] == 0 and ts.discount[0] == 1
    ts = world.step(np.array([2]))
    assert ts.reward[0] == 1.0 and ts.discount[0] == 0.0 and ts.last[0]


def test_games_that_count_have_an_opponent() -> None:
    world = envs.make("Boards/TicTacToe-v1", num_envs=1, seed=0, stream="evaluate", config=SELF_PLAY, games=1)
    assert not world.spec.alternating
    world.reset()
    assert world.step(np.array([4])).obs["obs"][0].sum() >= 2  # the move and the reply


def test_the_value_target_is_the_outcome_for_the_player_to_move() -> None:
    agent = played(200)
    ts, _ = agent.replay.newest(agent.replay.count - agent.replay.oldest)
    (ends,) = np.nonzero((ts.discount[:, 0] == 0) & ~ts.first[:, 0] & (ts.reward[:, 0] == 1))
    last = int(ends[-1])
    rows = (np.arange(last - 4, last) + agent.replay.oldest) * 2
    batch = agent.batch(agent.replay.windows(rows, 9))
    assert batch.value.tolist() == [-1.0, 1.0, -1.0, 1.0]  # the last mover won


def test_a_game_in_progress_teaches_the_value_of_the_root() -> None:
    agent = played(200)
    agent.config = dataclasses.replace(agent.config, root_share=0.25)
    newest = agent.replay.count - 1
    ts, extra = agent.replay.newest(12)
    env = int(np.flatnonzero(~ts.first[-1] & (ts.discount[-1] == 1))[0])
    batch = agent.batch(agent.replay.windows(np.array([(newest - 1) * 2 + env]), 9))
    assert batch.value[0].item() == pytest.approx(float(extra["root"][-1, env]))


def test_the_policy_target_is_that_of_a_finished_search_of_the_same_position() -> None:
    agent = played(60, full_share=1.0)
    w = agent.replay.windows(np.arange(agent.replay.oldest, agent.replay.count - 1) * 2, 9)
    keep = ~agent.replay.rows(w.rows // 2 + 1, w.rows % 2, 1)[0].first[0]
    batch = agent.batch(w)
    legal, policy = batch.legal.numpy()[keep], batch.policy.numpy()[keep]
    assert policy.sum(axis=1) == pytest.approx(1.0, abs=1e-5) and not policy[~legal].any()
    assert batch.full.numpy()[keep].all()


def test_only_full_searches_teach_the_policy() -> None:
    agent = played(60, full_share=0.0)
    windows = agent.sample()
    assert windows is not None
    batch = agent.batch(windows)
    assert not batch.full.any()
    assert agent.loss(batch)[1]["policy_loss"].item() == 0.0


@pytest.mark.parametrize("name", ["TicTacToe", "ConnectFour", "Othello6"])
def test_a_mirrored_position_has_the_mirrored_policy(name: str) -> None:
    agent, _ = made(name)
    game = Game(name, 64)
    game.rows["rng"] = np.arange(1, 65)
    for _ in range(4):  # no game ends so early
        game.play(game.random_actions())
    obs, legal = game.observe()
    policy = legal / legal.sum(axis=1, keepdims=True)
    which = np.arange(64) % len(agent.model.symmetries.names)
    boards, masks, policies = agent.transformed(which, {"obs": obs}, legal, policy)
    assert (boards["obs"] != obs).any()
    real = agent.model.observe(agent.model.positions(boards))[1]  # the rules decide what is legal there
    assert np.array_equal(masks, real)
    assert np.array_equal(policies > 0, real)


def test_positions_come_back_from_their_observations() -> None:
    game = Game("ConnectFour", 32)
    game.rows["rng"] = np.arange(1, 33)
    for _ in range(9):
        game.play(game.random_actions(), ~game.ended)
    found = envs.spec("Boards/ConnectFour-v1").simulator.positions({"obs": game.observation()})
    for name in ("mine", "theirs", "ply"):
        assert np.array_equal(found[name], game.rows[name])


def test_evaluation_plays_without_noise() -> None:
    agent, _ = made("ConnectFour")
    game = Game("ConnectFour", 8)
    actions = [agent.actor(8, seed).act(row(game)) for seed in range(4)]
    assert all(np.array_equal(a, actions[0]) for a in actions) and len(set(actions[0].tolist())) == 1
    drawn = np.concatenate([agent.actor(8, seed, sample=True).act(row(game)) for seed in range(4)])
    assert len(set(drawn.tolist())) > 1


def test_the_network_alone_takes_its_best_legal_move() -> None:
    agent, _ = made(eval_simulations=0)
    game = Game("TicTacToe")
    for move in (0, 4):
        game.play(move)
    with torch.inference_mode():
        logits = agent.network({"obs": torch.from_numpy(game.observation())})[0][0].numpy()
    best = int(np.where(game.legal()[0], logits, -np.inf).argmax())
    assert agent.actor(1, 0).act(row(game)).tolist() == [best]


def test_without_a_search_a_sampling_agent_draws_from_the_network() -> None:
    agent, _ = made(eval_simulations=0)
    game = Game("TicTacToe", 400)
    logits = agent.network({"obs": torch.from_numpy(game.observation()[:1])})[0][0].detach()
    drawn = np.bincount(agent.actor(400, 0, sample=True).act(row(game)), minlength=9) / 400
    np.testing.assert_allclose(drawn, logits.softmax(-1).numpy(), atol=0.08)


def test_in_bfloat16_the_torso_is_close_and_the_heads_stay_exact() -> None:
    exact, _ = made(precision="fp32")
    coarse, _ = made(precision="bf16")
    assert (exact.choices(), coarse.choices()) == ({"precision": "fp32"}, {"precision": "bf16"})
    obs = {"obs": torch.from_numpy(Game("TicTacToe", 2).observation())}
    (logits, value), (near, close) = exact.network(obs), coarse.network(obs)
    assert near.dtype == close.dtype == torch.float32 and not torch.equal(logits, near)
    torch.testing.assert_close(near, logits, atol=0.02, rtol=0.02)
    torch.testing.assert_close(close, value, atol=0.02, rtol=0.02)
    features = coarse.network.torso.encode(obs)  # outside of autocast: float32 weights
    assert features.dtype == torch.float32


def test_it_learns_in_bfloat16() -> None:
    agent = played(40, precision="bf16", learning_starts=8, batch_size=16, update_every=8, replay_ratio=1 / 8)
    assert agent.updates >= 4 and all(torch.isfinite(p).all() for p in agent.network.parameters())


def test_look_shows_what_the_search_saw() -> None:
    agent = agents.build(MCTSConfig(), envs.spec("Boards/TicTacToe-v1"), num_envs=1, seed=0)
    game = Game("TicTacToe")
    for move in (0, 2, 3, 5):
        game.play(move)
    (seen,) = agent.look({"obs": game.observation()}, simulations=50)
    assert seen.action == 6 and seen.line == [6] and seen.visits.sum() == 50 and seen.q[6] == 1.0 and seen.value > 0
    assert seen.proved[6] == 1 and np.isnan(seen.proved[0]), "a win; nothing is known of an illegal move"
    game.play(1)
    (seen,) = agent.look({"obs": game.observation()}, simulations=50)
    assert seen.action == 8 and seen.proved[8] == 1
    game.reset()
    solver = agents.build(
        MCTSConfig(search=SearchConfig(solve=500)), envs.spec("Boards/TicTacToe-v1"), num_envs=1, seed=0
    )
    (seen,) = solver.look({"obs": game.observation()}, simulations=100)
    assert (seen.proved == 0).all(), "every first move draws"
    for move in (0, 1, 4):
        game.play(move)
    (seen,) = solver.look({"obs": game.observation()}, simulations=100)
    assert np.array_equal(seen.proved[game.legal()[0]], [-1.0] * 6), "6 and 8 are both threatened"


def test_mcts_wins_against_a_random_player() -> None:
    world = envs.make("Boards/ConnectFour-v1", num_envs=8, seed=1, stream="evaluate", games=8)
    agent = agents.build(MCTSConfig(simulations=40), world.spec, num_envs=8, seed=0)
    actor, ts, score = agent.actor(8, 0), world.reset(), 0.0
    for _ in range(25):
        ts = world.step(actor.act(ts))
        score += float(ts.reward.sum())
    assert score >= 7


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1"])
def test_an_environment_that_is_no_game_for_two_is_refused_in_one_line(id: str) -> None:
    with pytest.raises(InputError, match=f"{id} is none") as error:
        agents.build(SMALL, envs.spec(id), num_envs=1, seed=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fields", [{"stack": 2}, {"reward_clip": 1.0}, {"optimizer": "adam"}, {"simulations": 0}])
def test_fields_that_mean_nothing_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        dataclasses.replace(SMALL, **fields)


@pytest.mark.parametrize(("options", "words"), [({}, "plays both sides"), ({"self_play": True}, "")])
def test_a_training_against_the_opponent_alone_says_so(
    options: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = EnvConfig(options=options)
    spec = envs.spec("Boards/TicTacToe-v1", config)
    agent = agents.build(AlphaZeroConfig(net=ResNetConfig(channels=4, blocks=0)), spec, num_envs=1, seed=0)
    world = envs.make("Boards/TicTacToe-v1", num_envs=1, seed=0, config=config)
    for _ in interact(world, agent, 2):
        pass
    world.close()
    assert words in caplog.text and bool(words) == bool(caplog.text)
