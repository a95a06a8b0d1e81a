"""Board games of a person: in the terminal with scripted lines, in a window with scripted keys, and the records."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from envs.drawing import Window, no_display
from rl.errors import InputError
from runs.cli.command_line import main
from runs.watching.board_game import BoardGame, bars, read_record
from runs.watching.board_text import TextTable, replay_text
from runs.watching.board_window import BoardTable

Capture = pytest.CaptureFixture[str]


def played(lines: str, game: str = "ConnectFour", vs: str = "minimax:1", folder: Path | None = None) -> list[str]:
    """What the terminal shows for these lines, after which the input ends."""
    answers, said = iter(lines.split("\n")), []

    def ask(prompt: str) -> str:
        said.append(prompt)
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    TextTable(BoardGame(game, vs), folder, ask, said.append).run()
    return said


def test_an_illegal_move_is_one_line_and_the_person_is_asked_again(tmp_path: Path) -> None:
    said = played("first\n8\nx y\n4", folder=tmp_path)
    assert [line for line in said if "no move" in line] == [
        "'8' is no move: 1 to 7 (help: all commands)",
        "'x y' is no move: 1 to 7 (help: all commands)",
    ]
    assert sum("plays column" in line for line in said) == 1  # the legal move was answered
    assert said[-1] == "bye"
    full = played("first\na3\na3", "TicTacToe", folder=tmp_path)
    assert any("'a3' is not legal: choose from" in line for line in full)


def test_the_end_of_input_ends_politely_and_saves_the_game(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("second\n4\n"))
    assert main(["play", "ConnectFour", "--vs", "minimax:2", "--text", "--record", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("bye\n") and "saved: " in out
    record = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert record["players"] == ["minimax:2", "you"] and len(record["moves"]) == 3
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["play", "ConnectFour", "--text"]) == 0


def test_the_person_chooses_the_side_and_a_wrong_answer_asks_again() -> None:
    said = played("black\nsecond")
    assert "'black' is neither first nor second" in said
    assert any("minimax:1 plays column" in line for line in said)  # it moves first
    assert not any("plays column" in line for line in played("first"))


def test_piped_moves_are_moves_and_no_answer_to_who_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def moves(lines: str, *more: str) -> list[int]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        monkeypatch.setattr("sys.stdin", io.StringIO(lines))
        assert main(["play", "ConnectFour", "--vs", "minimax:1", "--text", "--record", str(folder), *more]) == 0
        record = json.loads(next(folder.glob("*.json")).read_text())
        return list(record["moves"][record["players"].index("you") :: 2])

    assert moves("2\n1\n") == moves("first\n2\n1\n") == moves("2\n1\n", "--side", "first")
    assert moves("2\n1\n")[:2] == ["column 2", "column 1"] == moves("2\n1\n", "--side", "second")[:2]
    assert moves("second\n2\n")[0] == "column 2"
    assert played("3")[1] == "you play ● against minimax:1; help shows the commands"  # a person's first move, too
    capsys.readouterr()
    assert main(["play", "CartPole-v1", "--side", "first"]) == 2
    assert "--side first is for a board game" in capsys.readouterr().err


def test_undo_takes_back_the_move_and_its_reply_and_nothing_before_the_first() -> None:
    match = BoardGame("ConnectFour", "minimax:1", seat=1)
    assert not match.undo()
    match.reply()
    assert not match.undo()  # the only move is the opponent's
    first = match.moves
    match.play(0)
    assert match.undo() and match.moves == first
    match.play(0)
    match.reply()
    assert match.undo() and match.moves == first and match.your_turn and match.helped


def test_undo_after_the_end_goes_back_to_the_persons_last_decision() -> None:
    match = BoardGame("TicTacToe", "random", seat=0)
    for action in (0, 3, 1, 4, 2):  # the person completes the top row
        match.game.play(action)
    assert match.over and match.result() == "you win"
    assert match.undo() and match.moves == [0, 3, 1, 4] and match.your_turn
    match.new(1)
    for action in (0, 3, 1, 4, 2):  # now the opponent does
        match.game.play(action)
    assert match.result() == "random wins"
    assert match.undo() and match.moves == [0, 3, 1] and match.your_turn


def test_hints_show_what_the_opponent_sees_and_can_be_switched_off(tmp_path: Path) -> None:
    said = played("first\nhint\n1\nhint\n1", folder=tmp_path)
    assert said.count("minimax:1 would see in your place:") == 2
    assert said.count("minimax:1 saw:") == 2
    at = said.index("minimax:1 would see in your place:")
    assert [line.split()[1] for line in said[at + 1 : at + 8]] == list("1234567")


def test_a_search_shows_its_principal_line_with_its_bars(tmp_path: Path) -> None:
    said = played("first\n4\nperfect\nhint", vs="mcts:50", folder=tmp_path)
    (reply,) = [line.rsplit(" ", 1)[1] for line in said if "plays column" in line]
    lines = [line.split() for line in said if line.startswith("  line ")]
    assert len(lines) == 2  # of the reply, and of the hint: perfect play has none
    assert lines[0][1] == reply and len(lines[0]) > 2
    assert all(move in "1234567..." for line in lines for move in line[1:])


def test_perfect_shows_the_solvers_scores_where_it_answers_at_once() -> None:
    match = BoardGame("ConnectFour", "random")
    assert match.perfect()["score"].tolist() == [-2, -1, 0, 1, 0, -1, -2]  # the opening book
    for column in "1725":
        match.play(int(column) - 1)
    with pytest.raises(InputError, match="fewer than 8 stones"):
        match.perfect()
    match.new(0)
    for column in "4444445226226":
        match.play(int(column) - 1)
    scores = match.perfect()["score"]
    assert np.nanargmax(scores) in range(7) and np.isnan(scores[3])  # the middle column is full
    with pytest.raises(InputError, match="no solver knows Othello6"):
        BoardGame("Othello6", "random").perfect()


def test_the_strength_is_changed_within_the_levels() -> None:
    said = played("first\nstronger\nweaker\nweaker")
    shown = [line for line in said if line.startswith("you play against")]
    assert shown == [
        "you play against minimax:2",
        "you play against minimax:1",
        "you play against minimax:1: there is no other level",
    ]


def test_a_bar_is_as_long_as_its_move_is_good() -> None:
    names = ("a", "b", "c", "d")
    rows = bars({"visits": np.array([30.0, np.nan, 60, 0]), "prior": np.array([0.5, np.nan, 0.25, 0.25])}, names)
    assert rows == [
        ("a", 0.5, "visits 30  prior 50%"),
        ("c", 1.0, "visits 60  prior 25%"),
        ("d", 0.0, "visits 0  prior 25%"),
    ]
    proved = {"visits": np.array([1.0, 1, 1, 1]), "proved": np.array([1.0, 0, -1, np.nan])}
    assert [shown for _, _, shown in bars(proved, names)] == [
        "visits 1  proved won",
        "visits 1  proved drawn",
        "visits 1  proved lost",
        "visits 1",
    ]
    many = bars({"value": np.arange(36.0)}, tuple(map(str, range(36))))
    assert [name for name, _, _ in many] == [str(k) for k in range(35, 26, -1)]


def test_a_record_is_replayed_move_by_move(tmp_path: Path) -> None:
    played("first\nb2\nquit", "TicTacToe", folder=tmp_path)
    path = next(tmp_path.glob("*.json"))
    actions, record = read_record(path, "TicTacToe")
    assert actions[0] == 4 and len(actions) == 2 and record["players"] == ["you", "minimax:1"]
    answers = iter(["", "", "b", "", ""])
    said: list[str] = []
    replay_text(path, "TicTacToe", lambda prompt: next(answers), said.append)
    assert [line.split("\n")[1].partition(" by ")[0] for line in said[1:]] == [
        f"move {k} of 2" for k in (0, 1, 2, 1, 2)
    ]


def test_a_record_names_the_opponent_of_each_move_and_the_replay_shows_it(tmp_path: Path) -> None:
    match = BoardGame("TicTacToe", "minimax:2", seat=1)
    match.reply()
    for change in (-1, 2):
        match.play(int(np.argmax(match.game.legal()[0])))
        assert match.stronger(change)
        match.reply()
        if change < 0:
            assert match.undo()  # the reply of minimax:1 and the move before it
    path = match.save(tmp_path)
    assert path is not None
    record = read_record(path, "TicTacToe")[1]
    assert record["movers"] == ["minimax:2", "you", "minimax:3"] and record["players"] == ["minimax:3", "you"]
    said: list[str] = []
    replay_text(path, "TicTacToe", lambda prompt: "", said.append)
    assert [line.split("\n")[1] for line in said[1:]] == [
        "move 0 of 3",
        "move 1 of 3 by minimax:2",
        "move 2 of 3 by you",
        "move 3 of 3 by minimax:3",
    ]


def test_a_record_names_the_simulations_of_an_opponent_that_searches(tmp_path: Path) -> None:
    played("first\n4\nsimulations 7\n4\nquit", vs="mcts:25", folder=tmp_path)
    record = read_record(next(tmp_path.glob("*.json")), "ConnectFour")[1]
    assert record["movers"][1::2] == ["mcts:25, 25 simulations", "mcts:25, 7 simulations"]


def test_what_a_record_says_cannot_control_the_terminal_and_an_older_one_names_no_movers(tmp_path: Path) -> None:
    path, hostile = tmp_path / "game.json", "\x1b[2Jx" + "y" * 200
    for movers, first in (([hostile], " by ?[2Jxyy"), ("you", ""), ([], ""), (None, "")):
        moves = {"game": "TicTacToe", "moves": ["a1"], "movers": movers}
        path.write_text(json.dumps({"kind": "board game", "players": [hostile, "z"], "result": hostile, **moves}))
        said: list[str] = []
        replay_text(path, "TicTacToe", lambda prompt: "", said.append)
        assert "\x1b" not in "".join(said) and len(said[0]) < 200
        assert said[2].split("\n")[1].startswith(f"move 1 of 1{first}") and len(said[2].split("\n")[1]) < 120


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "no record of a board game"),
        ("{", "cannot be read"),
        ('{"kind": "board game", "game": "Othello", "moves": []}', "a game of 'Othello', not of TicTacToe"),
        ('{"kind": "board game", "game": "TicTacToe", "moves": ["a1", "a1"]}', "move 2: 'a1' is not legal"),
        ('{"kind": "board game", "game": "TicTacToe", "moves": [{}]}', "move 1: '{}' is no move"),
    ],
)
def test_a_record_that_is_none_is_refused_in_one_line(
    content: str, message: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "game.json").write_text(content)
    assert main(["play", "TicTacToe", "--text", "--replay", str(tmp_path / "game.json")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_bad_input_is_one_line(capsys: Capture) -> None:
    for words, message in [
        (["CartPole-v1", "--text"], "is no board game"),
        (["ConnectFour", "--text", "--vs", "minimax:9"], "1 to 6 plies"),
        (["Othello", "--text", "--vs", "solver"], "no solver knows Othello"),
        (["ConnectFour", "--text", "--vs", "nobody"], "unknown player 'nobody'"),
    ]:
        assert main(["play", *words]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


@pytest.fixture
def table(tmp_path: Path) -> Iterator[BoardTable]:
    with no_display(), Window("test", 640, 420) as window:
        yield BoardTable(BoardGame("ConnectFour", "minimax:2"), window, tmp_path)


def typed(table: BoardTable, *keys: str) -> None:
    for key in keys:
        table.window.press(key)
    assert table.events()


def test_keys_and_clicks_play_in_the_window_and_the_panel_shows_the_opponents_bars(table: BoardTable) -> None:
    table.draw(table.window.canvas)
    typed(table, "4")
    assert table.match.moves == [3] and not table.match.your_turn
    typed(table, "4")  # not the person's turn: nothing happens
    table.reply()
    assert len(table.match.moves) == 2 and table.title == "minimax:2 saw" and "value" in table.shown
    for x in range(640):
        if table.cell_at(x, 200) == (6, 2) or (table.cell_at(x, 200) or (0,))[0] == 6:
            table.window.click(x, 200)
            break
    assert table.events() and table.match.moves[-1] == 6
    table.reply()
    table.draw(table.window.canvas, 0.5)
    typed(table, "u", "h", "=", "p", "f1")
    assert len(table.match.moves) == 2 and table.hints and table.match.opponent.name == "minimax:3"
    table.draw(table.window.canvas)
    typed(table, "x")
    assert table.match.seat == 1 and table.match.moves == [] and len(table.records) == 1


def test_the_line_of_a_search_is_not_shown_under_the_scores_of_perfect_play(tmp_path: Path) -> None:
    with no_display(), Window("test", 640, 420) as window:
        table = BoardTable(BoardGame("ConnectFour", "mcts:50"), window, tmp_path)
        typed(table, "4")
        table.reply()
        assert table.line == table.match.line != ""
        table.match.play(3)
        table.match.new(0)
        typed(table, "p")
        assert table.title == "perfect play" and table.line == ""
        typed(table, "h")
        assert table.title == "mcts:50 would see" and table.line == table.match.line != ""


def test_a_full_column_is_a_note_in_the_window(table: BoardTable) -> None:
    for _ in range(6):
        table.match.game.play(0)
    typed(table, "1")
    assert "'column 1' is not legal" in table._note and len(table.match.moves) == 6


def test_the_arrows_choose_a_cell_and_enter_plays_there(tmp_path: Path) -> None:
    with no_display(), Window("test", 640, 420) as window:
        table = BoardTable(BoardGame("TicTacToe", "random"), window, tmp_path)
        typed(table, "left", "up", "return")
        assert table.match.moves == [0]
