"""Games that count: where they end when nothing in the environment ends them."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
import envs
from agents.base import Agent
from envs.config import EnvConfig
from runs.folder.jsonl import read_jsonl
from runs.recipe import Run
from runs.training.session import Session
from runs.training.train import train
from runs.watching.player import Player

evaluate = importlib.import_module("runs.training.evaluation")  # the package's `evaluate` is the function


def endless(vector: str = "sync", **fields: Any) -> tuple[Agent, Run]:
    config = EnvConfig(vector=vector, options={"length": 10**9})
    run = Run(env="Probe/Counting-v0", agent=agents.config("dqn"), steps=2_000, env_config=config, **fields)
    return agents.build(run.agent, envs.spec(run.env, config), num_envs=1, seed=0, device="cpu"), run


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_a_game_without_a_limit_of_its_own_is_cut_and_that_is_said(
    vector: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(evaluate, "ENDLESS", 30)
    with caplog.at_level(logging.WARNING):
        score = evaluate.play_games(*endless(vector), episodes=3, seed=0, num_envs=2)
    assert score.lengths == [30] * 3 and score.returns == [sum(range(1, 31))] * 3
    assert caplog.messages == [
        "Probe/Counting-v0 names no time limit: 3 of 3 games were cut at 30 steps (eval_max_steps sets another number)"
    ]


def test_a_limit_that_was_set_is_kept_without_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(evaluate, "ENDLESS", 30)
    with caplog.at_level(logging.WARNING):
        assert evaluate.play_games(*endless(eval_max_steps=30), episodes=1, seed=0).lengths == [30]
        assert evaluate.play_games(*endless(eval_max_steps=45), episodes=1, seed=0).lengths == [45]
        agent, run = endless()
        short = EnvConfig(options={"length": 12})
        assert evaluate.play_games(agent, Run(**{**vars(run), "env_config": short}), episodes=1, seed=0).lengths == [12]
    assert not caplog.messages


def test_only_what_has_no_limit_gets_one() -> None:
    agent, run = endless()
    assert evaluate.game_config(run, agent.spec).max_steps == 27_000
    limited = Run(env="CartPole-v1", agent=run.agent, steps=2_000)
    assert evaluate.game_config(limited, envs.spec("CartPole-v1")) is limited.env_config
    arcade = Run(env="Arcade/Seaquest-v1", agent=run.agent, steps=2_000)
    assert evaluate.game_config(arcade, envs.spec(arcade.env)).max_steps == 27_000
    capped = EnvConfig(options={"max_episode_steps": 5_000})
    kept = Run(env=arcade.env, agent=run.agent, steps=2_000, env_config=capped)
    assert evaluate.game_config(kept, envs.spec(arcade.env, capped)) is capped


def test_the_games_of_an_evaluation_end_alike_when_watched() -> None:
    run = Run(env="CliffWalking-v1", agent=agents.config("dqn"), steps=2_000)
    agent = agents.build(run.agent, envs.spec(run.env), num_envs=1, seed=0, device="cpu")
    with Player(agent, run, games=2) as counted, Player(agent, run) as watched:
        assert counted.env.spec.max_episode_steps == 27_000 and watched.env.spec.max_episode_steps is None


def test_games_end_each_by_itself_however_many_are_played_side_by_side() -> None:
    config = EnvConfig(vector="sync", options={"length": 20, "random": True})
    run = Run(env="Probe/Counting-v0", agent=agents.config("dqn"), steps=2_000, env_config=config)
    agent = agents.build(run.agent, envs.spec(run.env, config), num_envs=1, seed=0, device="cpu")
    alone, three = (evaluate.play_games(agent, run, episodes=7, seed=0, num_envs=n) for n in (1, 3))
    assert alone.lengths == three.lengths and len(set(alone.lengths)) > 3
    assert alone.returns == three.returns == [n * (n + 1) / 2 for n in alone.lengths]


@pytest.mark.parametrize(("name", "settings"), [("ppo", {}), ("dqn", {"epsilon": 0.5})])
def test_a_sampled_game_depends_on_its_own_seed_alone(name: str, settings: dict[str, Any]) -> None:
    """Not on the games before it, nor on how many games are played side by side."""
    run = Run(env="CartPole-v1", agent=dataclasses.replace(agents.config(name), **settings), steps=2_000)
    agent = agents.build(run.agent, envs.spec(run.env), num_envs=1, seed=0, device="cpu")
    played = evaluate.play_games(agent, run, episodes=4, seed=5, sample=True)
    assert len(set(played.returns)) > 1
    with envs.make(run.env, seed=5, stream="evaluate", games=4) as env:
        ts, actor, returns = env.reset(), agent.actor(1, 5, stream="evaluate", sample=True), np.zeros(4)
        while ts.info["game"][0] >= 0:
            first_game = ts.info["game"][0] == 0  # another policy plays it
            ts = env.step(np.zeros(1, np.int64) if first_game and not ts.last[0] else actor.act(ts))
            returns[ts.info["game"][0]] += ts.reward[0]
    assert returns[1:].tolist() == played.returns[1:]


def test_the_seconds_of_a_training_leave_evaluations_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole, slow = evaluate.play_games, 0.4

    def slowly(*words: Any, **options: Any) -> Any:
        time.sleep(slow)
        return whole(*words, **options)

    monkeypatch.setattr("runs.training.session.play_games", slowly)
    settings = ["learning_starts=290", "buffer_size=1000", "eval_episodes=1", "save_every=0"]
    settings += ["eval_every=100", "log_every=150"]
    begun = time.perf_counter()
    told = train("CartPole-v1", agent="dqn", steps=300, settings=settings, out=tmp_path / "run")
    wall = time.perf_counter() - begun
    lines = read_jsonl(tmp_path / "run" / "evaluations.jsonl")
    assert [line["step"] for line in lines] == [100, 200, 300]
    logged = {line["step"]: line["seconds"] for line in read_jsonl(tmp_path / "run" / "metrics.jsonl")}
    assert 0 < logged[150] < logged[300] <= wall - 3 * slow and told["seconds"] == logged[300] == lines[-1]["seconds"]
    assert logged[150] <= wall - 3 * slow


def test_the_policy_of_the_last_step_is_evaluated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, before = [], Session._evaluate

    def counted(self: Session, *args: Any, **kwargs: Any) -> Any:
        steps.append(self.step)
        return before(self, *args, **kwargs)

    monkeypatch.setattr(Session, "_evaluate", counted)
    train(
        "CartPole-v1",
        agent="dqn",
        steps=60,
        settings=["eval_every=30", "eval_episodes=1", "learning_starts=10"],
        out=tmp_path / "run",
    )
    assert steps == [30, 60]
