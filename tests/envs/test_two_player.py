"""PettingZoo's two-player games as environments for one agent."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.boards import Game
from envs.drawing import no_display
from rl.errors import InputError
from runs import train
from runs.watching.person import Person

pytest.importorskip("pettingzoo")
from envs.two_player import TwoPlayer, classic

NAMES = ("tictactoe-v3", "connect_four-v3")


@pytest.mark.parametrize("name", NAMES)
def test_gymnasiums_checker_passes_and_a_seed_gives_the_same_game(name: str) -> None:
    check_env(gymnasium.make(f"PettingZoo/{name}").unwrapped, skip_render_check=True)
    seen = []
    for _ in range(2):
        env = classic(name)
        shown, info = env.reset(seed=7)
        course = [shown]
        for _ in range(3):
            shown, _, _, _, info = env.step(info["action_mask"].argmax())
            course.append(shown)
        seen.append(np.array(course))
    assert np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize("seat", [0, 1])
def test_connect_four_is_the_game_that_our_own_rules_play(seat: int) -> None:
    """The same moves give the same board, mask, end and reward, from both seats."""
    rng, results = np.random.default_rng(seat), set()
    replies: list[int] = []

    def opponent(observation: np.ndarray, legal: np.ndarray) -> np.ndarray:
        replies.append(int(rng.choice(np.flatnonzero(legal[0]))))
        return np.array([replies[-1]])

    for episode in range(30):
        replies.clear()
        env, ours, told = classic("connect_four-v3", opponent), Game("ConnectFour"), 0
        shown, info = env.reset(seed=2 * episode + seat)
        ended, reward = False, 0.0
        while True:
            for action in replies[told:]:
                ours.play(action)
            told = len(replies)
            board = ours.observation()[0]
            mine = board if int(ours.player[0]) == seat else board[..., ::-1]
            assert np.array_equal(shown, mine) and ended == bool(ours.ended[0]) and info["seat"] == seat
            if ended:
                break
            assert reward == 0 and np.array_equal(info["action_mask"], ours.legal()[0])
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            ours.play(action)
            shown, reward, ended, _, info = env.step(action)
        winner = int(ours.winner[0])
        assert reward == (0 if winner < 0 else 1 if winner == seat else -1)
        results.add(reward)
    assert {1.0, -1.0} <= results


def test_an_illegal_action_loses_the_game() -> None:
    env = classic("tictactoe-v3")
    env.reset(seed=0)
    env.step(0)
    _, reward, ended, cut, _ = env.step(0)
    assert reward == -1 and ended and not cut


def test_a_game_is_trained_on_with_its_masks_and_played_by_a_person(tmp_path: Path) -> None:
    found = train(
        "PettingZoo/tictactoe-v3",
        agent="dqn",
        steps=300,
        settings=["learning_starts=50", "batch_size=8", "net.hidden=16", "eval_episodes=4"],
        out=tmp_path / "run",
    )
    sides = found["sides"]
    assert sides["first"]["games"] + sides["second"]["games"] == 4
    assert envs.spec("PettingZoo/tictactoe-v3").masked
    assert envs.spec("PettingZoo/tictactoe-v3").obs["obs"].kind == "board"
    with no_display(), Person("PettingZoo/tictactoe-v3", 0) as person:
        assert person.controls.fps == 0  # it waits for the player
        ts = person.step({"5"})
        assert ts.action[0] == 4 and person.picture.ndim == 3


def test_what_is_no_game_for_two_is_refused_in_one_line() -> None:
    class Three:
        possible_agents = ("a", "b", "c")

    for make, message in [
        (lambda: TwoPlayer(Three()), "two agents, this one has 3"),
        (lambda: classic("tictactoe-v3", "minimax:2"), "unknown opponent 'minimax:2'"),
        (lambda: classic("chess-v6"), "unknown PettingZoo game 'chess-v6'"),
    ]:
        with pytest.raises(InputError, match=message):
            make()


def test_a_missing_package_is_one_line_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pettingzoo.classic.go_v5", None)
    with pytest.raises(InputError, match=r"go-v5 needs .*pip install"):
        envs.make("PettingZoo/go-v5")
