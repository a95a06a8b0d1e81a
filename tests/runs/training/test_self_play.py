"""Self-play: who plays which game, what is kept, exact resume, and both sides at the evaluation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
import envs
from agents.ppo import PPOConfig
from envs.boards import Game
from envs.boards.env import Games
from rl.checkpoint import checkpoints
from rl.errors import InputError
from runs import load, resume, train
from runs.cli.command_line import main
from runs.comparing.league.players import generations
from runs.recipe import Run
from runs.training.self_play import SelfPlay

ID = "Boards/TicTacToe-v1"
SMALL = ["env.options.opponent=self:minimax:1", "eval_episodes=10", "net.hidden=16", "eval_every=0", "save_every=1400"]
AGENTS = {
    "ppo": ["agent.rollout=16", "agent.minibatch_size=32"],
    "dqn": ["learning_starts=50", "batch_size=8", "replay_ratio=0.25"],
    "pqn": ["agent.rollout=16", "agent.minibatches=2"],
}


def trained(agent: str, steps: int, out: Path) -> dict[str, Any]:
    return train(ID, agent=agent, steps=steps, num_envs=4, settings=[*SMALL, *AGENTS[agent], "lr=0.001"], out=out)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_resumed_self_play_equals_the_whole_one_bit_for_bit(agent: str, tmp_path: Path) -> None:
    whole = trained(agent, 1700, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    last, *_, before = sorted(checkpoints(tmp_path / "part").values(), reverse=True)
    shutil.rmtree(last)  # as after a kill: the newest checkpoint is of the time between two generations
    assert 1400 <= int(before.name.removeprefix("step-")) < 1564
    part = resume(tmp_path / "part")
    assert part["returns"] == whole["returns"] and part["sides"] == whole["sides"]
    networks = [load(tmp_path / name).network.state_dict() for name in ("whole", "part")]
    assert all(torch.equal(networks[0][key], networks[1][key]) for key in networks[0])
    kept = [list(checkpoints(tmp_path / name / "generations")) for name in ("whole", "part")]
    assert kept[0] == kept[1] and len(kept[0]) == 3  # after 1000, 1250 and 1562 steps
    assert [path.name for path in generations(tmp_path / "whole")][-1] == "step-000001700"
    episodes = [(tmp_path / name / "episodes.jsonl").read_bytes() for name in ("whole", "part")]
    assert episodes[0] == episodes[1]


class Known:
    """An actor that plays the first or the last legal action and counts its rows."""

    def __init__(self, agent: Any, last: bool) -> None:
        self.agent, self.last, self.rows = agent, last, 0

    def act(self, ts: Any) -> np.ndarray:
        self.rows += len(ts.mask)
        return ts.mask.shape[1] - 1 - ts.mask[:, ::-1].argmax(1) if self.last else ts.mask.argmax(1)


def test_the_learner_plays_its_games_and_the_earlier_self_those_marked_past(tmp_path: Path) -> None:
    trained("dqn", 1100, tmp_path / "run")
    agent = load(tmp_path / "run")
    from runs.recipe import from_run_json

    opponent = SelfPlay(from_run_json(tmp_path / "run" / "run.json"), agent)
    opponent.folder = tmp_path / "kept"
    opponent._actors = [Known(agent, last=False), Known(agent, last=True)]  # type: ignore[list-item]
    game, mask = Game("TicTacToe", 6), np.array([True, True, True, True, False, False])
    game.rows["past"] = [False, True, False, True, True, False]
    assert opponent(game, mask)[:4].tolist() == [0, 0, 0, 0]  # there is no earlier self yet
    opponent.keep(900, 1004)
    assert opponent(game, mask)[:4].tolist() == [0, 8, 0, 8]
    assert list(checkpoints(tmp_path / "kept")) == [1004]
    past, now = opponent._past.network.state_dict(), agent.network.state_dict()
    assert all(torch.equal(past[key], now[key]) for key in now)
    with torch.no_grad():  # learning goes on: the earlier self does not follow
        next(iter(agent.network.parameters())).add_(1)
    assert not all(torch.equal(past[key], now[key]) for key in now)


def test_the_earlier_self_computes_in_the_learners_precision() -> None:
    run = Run(env="Boards/TicTacToe-v1", agent=PPOConfig(), steps=100)
    agent = agents.build(PPOConfig(precision="bf16"), envs.spec(run.env), num_envs=1, seed=0)
    assert SelfPlay(run, agent)._past.choices()["precision"] == "bf16"


def test_one_game_in_five_is_against_an_earlier_self_from_both_seats() -> None:
    games = Games("TicTacToe", 2000, "self")
    games.seed(list(np.random.default_rng(0).integers(2**62, size=2000)), np.ones(2000, bool))
    games.begin(np.ones(2000, bool))
    past, seat = games.rows["past"], games.rows["seat"]
    assert 0.17 < past.mean() < 0.23
    assert 0.4 < seat[past].mean() < 0.6


def test_without_a_learner_the_named_opponent_plays() -> None:
    rows = []
    for opponent in ("minimax:2", "self:minimax:2"):
        config = envs.EnvConfig(options={"opponent": opponent})
        with envs.make("Boards/ConnectFour-v1", num_envs=4, seed=3, config=config, games=4) as env:
            ts = env.reset()
            seen = [ts.obs["obs"].copy()]
            for _ in range(6):
                assert ts.mask is not None
                ts = env.step(ts.mask.argmax(1))
                seen.append(ts.obs["obs"].copy())
        rows.append(np.array(seen))
    assert np.array_equal(rows[0], rows[1])


def test_an_attached_opponent_answers_and_the_reward_is_that_of_the_agents_seat() -> None:
    config = envs.EnvConfig(options={"opponent": "self"})
    with envs.make(ID, num_envs=8, seed=0, config=config) as env:
        env.face(lambda game, mask: np.asarray(game.legal().argmax(1)))  # a3, b3, c3: the top row
        ts, lost, won = env.reset(), 0, 0
        for _ in range(40):
            assert ts.mask is not None
            ts = env.step(8 - ts.mask[:, ::-1].argmax(1))  # c1, b1, a1: the bottom row
            lost, won = lost + int((ts.reward == -1).sum()), won + int((ts.reward == 1).sum())
        assert lost > 10 and won > 10  # who moves first wins the race, and the seats alternate
    with envs.make(ID, config=envs.EnvConfig()) as env, pytest.raises(InputError, match="opponent='self'"):
        env.face(lambda game, mask: np.zeros(1, np.int64))


def test_evaluations_report_the_wins_from_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = trained("dqn", 1100, tmp_path / "run")
    sides = found["sides"]
    assert sides["first"]["games"] + sides["second"]["games"] == 10
    for side in sides.values():
        assert side["won"] + side["drawn"] + side["lost"] == side["games"]
    assert sum(side["won"] - side["lost"] for side in sides.values()) == sum(found["returns"])
    line = json.loads((tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()[-1])
    assert line["sides"] == sides
    assert resume(tmp_path / "run")["sides"] == sides  # finished: read from its files
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "moving first: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stack=2"], "frame stack and memory"),
        (["env.vector=sync"], "vector='auto'"),
        (["env.options.opponent=self:minimax:9"], "1 to 6 plies"),
    ],
)
def test_what_cannot_play_itself_is_refused_in_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [part for word in [*SMALL, *AGENTS["dqn"], *words] for part in ("--set", word)]
    status = main(["train", ID, "--agent", "dqn", "--steps", "500", *settings, "--out", str(tmp_path / "run"), "-q"])
    error = capsys.readouterr().err
    assert status == 2 and message in error.splitlines()[-1]
    assert not (tmp_path / "run").exists()
