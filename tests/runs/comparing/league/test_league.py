"""`rl league`: players, matches from both sides, the page and the refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from envs.boards import Game
from envs.boards.rules import WIN
from rl.errors import InputError
from runs import train
from runs.cli.command_line import main
from runs.comparing.league import arena, players
from runs.comparing.league.league import league
from runs.comparing.league.page import caution
from runs.comparing.league.players import Player, Thoughts, generations, make_player, strengths


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "little"
    train(
        "Boards/TicTacToe-v1", agent="dqn", steps=400, settings=["eval_episodes=2", "learning_starts=100"], out=folder
    )
    return folder


class Scripted:
    """Plays the first legal action of a preference."""

    def __init__(self, name: str, order: tuple[int, ...]) -> None:
        self.name, self.order = name, order

    def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
        legal = states.legal()
        return np.array([next(a for a in self.order if row[a]) for row in legal])

    def thoughts(self, states: Game) -> Thoughts:
        return {}


def test_a_match_is_scored_for_the_player_who_moves_first() -> None:
    """The left column against the right one: whoever begins has three in a row first."""
    left, right = Scripted("left", (0, 3, 6)), Scripted("right", (2, 5, 8))
    seats, none = np.array([[0, 1], [1, 0]]), np.zeros((2, 0), np.int64)
    assert arena.play("TicTacToe", [left, right], seats, none).result.tolist() == [1, 1]
    begun = np.array([[0], [0]])  # cell a3 is taken: the player of the second seat moves now
    both = Scripted("row", (0, 1, 2, 3, 4, 5, 6, 7, 8))
    assert arena.play("TicTacToe", [both, right], seats, begun).result.tolist() == [-1, 1]


def test_an_illegal_choice_names_the_player() -> None:
    class Stubborn(Scripted):
        def moves(self, states: Game, rng: np.random.Generator) -> np.ndarray:
            return np.zeros(states.num, np.int64)

    with pytest.raises(InputError, match=r"stubborn chose 0 in TicTacToe, which is not legal"):
        arena.play("TicTacToe", [Stubborn("stubborn", ())], np.zeros((1, 2), int), np.zeros((1, 0), np.int64))


def test_openings_are_of_one_length_and_nobody_can_force_a_win_within_six_plies() -> None:
    found = arena.openings("ConnectFour", 30, seed=3)
    games = Game("ConnectFour", 30)
    for actions in found.T:
        games.play(actions)
    assert found.shape == (30, 10) and not games.ended.any()
    assert (np.abs(games.minimax(6)[1].max(axis=1)) < WIN // 2).all()
    assert len(np.unique(found, axis=0)) > 25
    assert np.array_equal(found, arena.openings("ConnectFour", 30, seed=3))


def test_the_solver_never_loses_and_plays_the_best_score() -> None:
    both: list[Player] = [make_player(name, "TicTacToe") for name in ("solver", "random")]
    seats = np.array([[0, 1], [1, 0]] * 100)
    result = arena.play("TicTacToe", both, seats, np.zeros((200, 0), np.int64)).result.reshape(-1, 2)
    assert (result[:, 0] >= 0).all() and (result[:, 1] <= 0).all()
    game = Game("ConnectFour")
    for column in "4444445226226":
        game.play(int(column) - 1)
    perfect = make_player("solver", "ConnectFour")
    scores = perfect.thoughts(game)["score"]
    assert scores[perfect.moves(game, np.random.default_rng(0))[0]] == np.nanmax(scores)


def test_players_draw_only_from_the_generator_they_are_given() -> None:
    game = Game("ConnectFour", 50)
    for name in ("random", "minimax:2"):
        player = make_player(name, "ConnectFour")
        chosen = [player.moves(game, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
        assert chosen[0] == chosen[1] != chosen[2]


def test_a_league_writes_its_page_and_gives_the_same_ratings_again(run: Path, tmp_path: Path) -> None:
    def rated(name: str) -> dict[str, Any]:
        return league([run], games=8, players=["minimax:1", "minimax:6"], out=tmp_path / name)

    found = rated("a")
    assert {row["name"] for row in found["players"][:2]} == {"minimax:1", "minimax:6"}, "a few games do not part them"
    assert next(row["losses"] for row in found["players"] if row["name"] == "minimax:6") == 0
    elos = [row["elo"] for row in found["players"]]
    assert elos == sorted(elos, reverse=True)
    assert {row["name"] for row in found["players"]} >= {"random", "little@400"}
    saved = json.loads((tmp_path / "a" / "league.json").read_text())
    assert saved["players"] == found["players"]
    for row in found["players"]:
        assert row["wins"] + row["draws"] + row["losses"] == row["games"] == 8 * (len(found["players"]) - 1)
    scores = np.array([[0.5 if x is None else x for x in row] for row in found["scores"]])
    assert np.allclose(scores + scores.T, 1)
    text = (tmp_path / "a" / "report.html").read_text()
    assert "little@400" in text and "<svg" in text
    assert "| minimax:6 |" in (tmp_path / "a" / "report.md").read_text()
    again = rated("b")
    ratings = [[(row["name"], row["elo"], row["interval"]) for row in one["players"]] for one in (found, again)]
    assert ratings[0] == ratings[1]


def test_every_checkpoint_of_a_run_takes_part(run: Path) -> None:
    steps = [int(path.name.removeprefix("step-")) for path in generations(run)]
    assert steps == sorted(steps) and steps[-1] == 400
    assert generations(generations(run)[0]) == generations(run)[:1]


def test_bad_input_is_one_line_and_writes_nothing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("keep me")
    out = ["--out", str(tmp_path / "out")]
    for words, message in [
        (["ConnectFour", str(run), *out], "a league has one game"),
        (["CartPole-v1", *out], "is no board game"),
        ([str(tmp_path / "missing"), *out], "no run at"),
        ([str(run), "--games", "7", *out], "even number"),
        ([str(run), "--players", "minimax:9", *out], "1 to 6 plies"),
        ([str(run), "--players", "alphago", *out], "unknown player 'alphago'"),
        (["Othello6", "--players", "solver", *out], "no solver knows Othello6"),
        ([str(run), "--out", str(tmp_path / "full")], "holds other files"),
        ([str(run), str(run), "--players", "random", *out], "takes part twice"),
    ]:
        assert main(["league", *words]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_a_run_of_another_game_is_refused_by_name(run: Path) -> None:
    with pytest.raises(InputError, match=r"is a run of Boards/TicTacToe-v1, not of Boards/ConnectFour-v1"):
        make_player(str(run), "ConnectFour")


needs_mcts = pytest.mark.skipif("mcts" not in agents.names(), reason="agent mcts is not here yet")


@needs_mcts
def test_mcts_is_a_player_whose_bars_are_those_of_its_search() -> None:
    player = make_player("mcts:64", "TicTacToe")
    game = Game("TicTacToe")
    for action in (0, 3, 1, 4):  # c3 completes the top row
        game.play(action)
    assert player.moves(game, np.random.default_rng(0)).tolist() == [2]
    seen = player.thoughts(game)
    assert list(seen) == ["visits", "value", "prior", "proved"] and np.nanargmax(seen["visits"]) == 2
    assert seen["proved"][2] == 1
    assert np.isnan(seen["visits"][[0, 1, 3, 4]]).all() and seen["value"][2] == 1
    assert strengths("mcts:64")[0][strengths("mcts:64")[1]] == "mcts:64"
    with pytest.raises(InputError, match="number of simulations"):
        make_player("mcts:none", "TicTacToe")


@needs_mcts
def test_mcts_of_a_large_batch_is_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    player = make_player("mcts:8", "TicTacToe")
    monkeypatch.setattr(players, "CELLS", 3 * 8 * 9)
    chosen = player.moves(Game("TicTacToe", 10), np.random.default_rng(0))
    assert chosen.shape == (10,) and ((chosen >= 0) & (chosen < 9)).all()


def test_few_openings_are_said_to_be_too_few_for_intervals() -> None:
    assert caution({"games": 2}) == "Intervals need at least 10 openings, here 1: set --games 20"
    assert caution({"games": 20}) == ""
