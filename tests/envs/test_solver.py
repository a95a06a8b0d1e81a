"""The Connect Four solver against exhaustive search and known values, and the judge that stands on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.boards import Game
from envs.boards import positions as sets
from envs.boards.judge import strength, tic_tac_toe
from envs.boards.opening_book import CENTRE, ORDER, book, key_of
from envs.boards.positions import SETS, load, plies_left
from envs.boards.solver import CELLS, ILLEGAL, Solver, opening_scores, played, solve
from rl.errors import InputError
from tests.envs.board_oracle import Oracle


def late_game(choices: list[int], stones: int) -> Game:
    """Play on from a full lower half without a row of four, by `choices`, until there are that many stones."""
    game = Game("ConnectFour")
    for column in "112233445566772211443366557711":
        if game.legal()[0, int(column) - 1]:
            game.play(int(column) - 1)
    for choice in choices:
        legal = np.flatnonzero(game.legal()[0])
        if game.ended[0] or game.rows["ply"][0] >= stones:
            break
        game.play(int(legal[choice % len(legal)]))
    return game


def exhaustive(game: Game, known: dict[tuple[int, int], int]) -> int:
    """The score by plain search over all lines, with the rules of `Game` alone."""
    row = game.rows[0]
    key, ply = (int(row["mine"]), int(row["theirs"])), int(row["ply"])
    if row["ended"]:
        return -((CELLS + 2 - ply) // 2) if row["winner"] >= 0 else 0
    if key not in known:
        values = []
        for column in np.flatnonzero(game.legal()[0]).tolist():
            game.play(column)
            values.append(-exhaustive(game, known))
            game.undo()
        known[key] = max(values)
    return known[key]


@settings(max_examples=25, deadline=None)
@given(choices=st.lists(st.integers(0, 6), min_size=20, max_size=20), stones=st.integers(31, 40))
def test_scores_equal_exhaustive_search(choices: list[int], stones: int) -> None:
    game = late_game(choices, stones)
    if game.ended[0]:
        return
    found, known = Solver(1 << 12).scores(game.rows["mine"], game.rows["theirs"])[0], {}
    for column in range(7):
        if not game.legal()[0, column]:
            assert found[column] == ILLEGAL
            continue
        game.play(column)
        assert found[column] == -exhaustive(game, known)
        game.undo()


@pytest.mark.parametrize(
    ("moves", "score"),
    [
        ("2252576253462244111563365343671351441", -1),
        ("7422341735647741166133573473242566", 1),
        ("32164625", 11),
    ],
)
def test_scores_equal_published_ones(moves: str, score: int) -> None:
    assert solve(moves).score == score


@pytest.mark.full
def test_each_move_of_a_column_that_is_nearly_full_has_its_known_score() -> None:
    assert solve("444444").moves == (-1, 0, 1, None, 1, 0, -1)
    assert solve("4444443").moves == (-16, -1, -16, None, -2, -16, -16)


@pytest.mark.full
def test_the_first_player_wins_in_the_centre_alone() -> None:
    after = [played(str(column)).rows for column in (1, 2, 3, 4)]
    solver = Solver(1 << 25)
    found = [-int(solver.values(row["mine"], row["theirs"])[0]) for row in after]
    assert found == [-2, -1, 0, 1]


def test_the_empty_board_is_answered_by_the_opening_book_at_once() -> None:
    solver = Solver(2)
    assert solver.solve("").moves == (-2, -1, 0, 1, 0, -1, -2) and solver.nodes == 0
    assert key_of(*stones("12")) == key_of(*stones("76")) != key_of(*stones("21"))


def test_the_lines_of_the_middle_column_are_answered_by_the_opening_book_and_their_scores_agree() -> None:
    solver = Solver(2)
    for line in CENTRE:
        found = solver.solve(line)
        assert found.moves == found.moves[::-1]  # the board is its own mirror image
        if line:
            assert book()[key_of(*stones(line))] == found.score
    assert solver.nodes == 0
    assert [solver.solve(line).score for line in CENTRE] == [1, -1, 1, -1, 1]


def stones(moves: str) -> tuple[int, int]:
    row = played(moves).rows[0]
    return int(row["mine"]), int(row["theirs"])


@pytest.mark.full
def test_the_scores_of_the_opening_book_are_those_of_its_moves() -> None:
    """The best reply to each position of the book whose replies are all in it has the negative score."""
    checked = 0
    for moves in ORDER:
        known, replies = book().get(key_of(*stones(moves))), opening_scores(played(moves).rows)
        if known is not None and replies is not None:
            assert max(replies) == known
            checked += 1
    assert checked


def test_mirrored_positions_have_mirrored_scores_and_the_best_reply_the_negative_score() -> None:
    for moves in ("44455554221", "3642756176227637211322113551637", "4444355551"):
        found = solve(moves)
        assert solve("".join(str(8 - int(c)) for c in moves)).moves == found.moves[::-1]
        assert solve(moves + str(found.best[0] + 1)).score == -found.score


def test_a_tiny_table_changes_no_score() -> None:
    moves = "65214673556155731566316"
    assert Solver(2).solve(moves) == Solver(1 << 20).solve(moves)


def test_wrong_moves_are_refused_in_one_line() -> None:
    for moves, words in (
        ("48", "move 2 is '8': moves are columns from 1 to 7"),
        ("4444444", "move 7 goes into column 4, which is full"),
        ("1212121", "the game has ended after '1212121'"),
        ("12121212", "the game ended before move 8"),
    ):
        with pytest.raises(InputError, match=words):
            solve(moves)
    with pytest.raises(InputError, match="power of two"):
        Solver(1000)


@pytest.mark.parametrize(("score", "ply", "left"), [(18, 6, 1), (1, 0, 41), (-1, 1, 40), (1, 41, 1), (0, 40, 2)])
def test_a_score_says_when_perfect_play_ends(score: int, ply: int, left: int) -> None:
    assert plies_left(score, ply) == left


@pytest.mark.parametrize("name", SETS)
def test_a_set_holds_different_positions_of_its_stage_and_difficulty(name: str) -> None:
    found = load(name)
    assert len(found) == 1000
    game, (stones, left) = found.play(), SETS[name]
    assert not game.ended.any()
    legal = game.legal()
    assert ((found.scores == ILLEGAL) == ~legal).all()
    best = found.scores.max(axis=1)
    for ply, score in zip(game.rows["ply"].tolist(), best.tolist(), strict=True):
        assert ply in stones and plies_left(score, ply) in left
        assert score < (CELLS + 1 - ply) // 2  # no win at once
    keys = {sets._key("".join(str(a + 1) for a in moves)) for moves in found.moves}
    assert len(keys) == len(found)


@pytest.mark.parametrize("name", SETS)
def test_the_scores_of_a_set_are_the_solvers(name: str) -> None:
    found = load(name)
    some = np.random.default_rng(0).choice(
        len(found), 20 if name == "begin-easy" else 200 if name.endswith("easy") else 6, replace=False
    )
    game = found.play()
    again = Solver(1 << 22).scores(game.rows["mine"][some], game.rows["theirs"][some])
    assert (again == found.scores[some]).all()


def test_the_sets_are_small_and_hold_no_pickle() -> None:
    assert sets.FILE.stat().st_size < 300_000
    with np.load(sets.FILE, allow_pickle=False) as file:
        assert len(file.files) == 2 * len(SETS)


def test_an_unknown_set_and_a_damaged_file_are_one_line(tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match="unknown set of positions 'begin-esy': did you mean 'begin-easy'"):
        load("begin-esy")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nonsense")
    monkeypatch.setattr(sets, "FILE", tmp_path / "bad.npz")
    with pytest.raises(InputError, match="bad.npz cannot be read"):
        load.__wrapped__("begin-easy")


def test_an_interrupted_generation_continues_as_if_it_had_not_been(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    solver = Solver(1 << 16)
    sets.generate("end-easy", tmp_path / "a", 6, solver)
    for many in (2, 6):
        sets.generate("end-easy", tmp_path / "b", many, solver)
    assert (tmp_path / "a" / "end-easy.txt").read_text() == (tmp_path / "b" / "end-easy.txt").read_text()
    committed = load("end-easy")
    first = (tmp_path / "a" / "end-easy.txt").read_text().splitlines()[0].split()
    assert "".join(str(a + 1) for a in committed.moves[0]) == first[1]
    assert committed.scores[0].tolist() == [int(v) for v in first[2].split(",")]


def test_tic_tac_toe_is_judged_exactly() -> None:
    found = tic_tac_toe()
    assert len(found) == 4520
    game = found.play()
    for k in np.random.default_rng(0).choice(len(found), 60, replace=False):
        oracle = Oracle("TicTacToe")
        for action in found.moves[k]:
            oracle.play(action)
        assert np.sign(found.scores[k].max()) == oracle.value()
    assert ((found.scores == ILLEGAL) == ~game.legal()).all()


def test_the_perfect_player_makes_no_mistake_and_the_worst_all_of_them() -> None:
    found = load("end-easy")
    legal = found.scores > ILLEGAL
    perfect = strength(lambda observations, mask: found.scores.argmax(axis=1), found)
    assert (perfect.wrong, perfect.optimal) == (0.0, 1.0)
    worst = strength(lambda observations, mask: np.where(legal, found.scores, 100).argmin(axis=1), found)
    assert (worst.wrong, worst.optimal) == (1.0, 0.0)
    assert 0 < perfect.decided <= perfect.scored <= 1000


def test_the_random_players_figures_are_its_expectation() -> None:
    rng, found = np.random.default_rng(0), tic_tac_toe()
    seen = strength(lambda observations, mask: np.array([rng.choice(np.flatnonzero(m)) for m in mask]), found)
    assert abs(seen.wrong - seen.wrong_random) < 0.03
    assert abs(seen.optimal - seen.optimal_random) < 0.03


def test_only_positions_with_a_wrong_move_count() -> None:
    scores = np.full((3, 9), ILLEGAL, np.int8)
    scores[:] = 2  # all moves win, at the same time
    scores[1, 0] = 0  # one of nine moves is wrong
    scores[2, :] = [3, 2, 2, 2, 2, 2, 2, 2, 2]  # a slower win is not wrong
    found = strength(lambda observations, mask: np.array([0, 0, 1]), sets.Positions("TicTacToe", ((), (), ()), scores))
    assert (found.decided, found.wrong, found.wrong_random) == (1, 1.0, 1 / 9)
    assert (found.scored, found.optimal) == (2, 0.0)
    assert found.optimal_random == pytest.approx((8 / 9 + 1 / 9) / 2)


def test_a_players_illegal_action_is_named() -> None:
    found = tic_tac_toe()
    with pytest.raises(InputError, match="the player's action 4 is not legal in position"):
        strength(lambda observations, mask: np.full(len(mask), 4), found)
    with pytest.raises(InputError, match="must return 4520 whole numbers"):
        strength(lambda observations, mask: np.zeros(3, int), found)
