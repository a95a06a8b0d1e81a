"""Board games: the rules against a slow oracle, masks, undo, symmetries, opponents, and the suite's stream."""

from __future__ import annotations

import copy

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs import EnvConfig
from envs.boards import GAMES, BoardEnv, BoardVectorEnv, Game, benchmark
from envs.boards.env import Games
from envs.boards.rules import WIN
from rl.errors import InputError
from tests.envs.board_oracle import Oracle

EVERY = pytest.mark.parametrize("name", GAMES)
CHOICES = st.lists(st.integers(0, 10_000), max_size=130)


def agree(game: Game, oracle: Oracle) -> None:
    observation, legal = game.observe()
    assert observation[0].tolist() == oracle.observation()
    assert np.flatnonzero(legal[0]).tolist() == oracle.legal()
    state = (int(game.player[0]), int(game.winner[0]), bool(game.ended[0]))
    assert state == (oracle.player, oracle.winner, oracle.ended)


@EVERY
@settings(max_examples=30, deadline=None)
@given(choices=CHOICES)
def test_rules_equal_the_oracle_and_undo_returns_to_each_position(name: str, choices: list[int]) -> None:
    game, oracle, course = Game(name), Oracle(name), []
    for choice in choices:
        agree(game, oracle)
        if oracle.ended:
            break
        course.append((copy.deepcopy(oracle), game.rows[["mine", "theirs", "player", "ply", "last", "earlier"]].copy()))
        action = oracle.legal()[choice % len(oracle.legal())]
        game.play(action)
        oracle.play(action)
    agree(game, oracle)
    for earlier, row in reversed(course):
        game.undo()
        agree(game, earlier)
        assert game.rows[list(row.dtype.names)] == row
    game.undo()
    assert game.rows["ply"][0] == 0


@EVERY
def test_random_games_of_a_batch_equal_the_oracle_to_the_end(name: str) -> None:
    game, oracles = Game(name, 40), [Oracle(name) for _ in range(40)]
    game.rows["rng"] = np.arange(1, 41)
    passes = 0
    while not game.ended.all():
        playing = ~game.ended
        actions = game.random_actions()
        assert game.legal()[playing, actions[playing]].all()
        game.play(actions, playing)
        for oracle, action, plays in zip(oracles, actions.tolist(), playing, strict=True):
            if plays:
                passes += game.board.passes and action == game.num_actions - 1
                oracle.play(action)
    observations = game.observation()
    assert observations.tolist() == [oracle.observation() for oracle in oracles]
    assert game.winner.tolist() == [oracle.winner for oracle in oracles]
    assert all(oracle.ended for oracle in oracles)
    assert passes > 0 or not game.board.passes


def test_othello_passes_only_without_another_move_and_ends_when_neither_player_can_move() -> None:
    game = Game("Othello6")
    game.rows["mine"], game.rows["theirs"] = np.uint64(0b000001), np.uint64(0b000110 << 0)  # black a1, white b1 c1
    game.rows["theirs"] |= np.uint64(1 << 35)
    assert np.flatnonzero(game.legal()[0]).tolist() == [3]
    game.rows["mine"], game.rows["theirs"] = np.uint64(0b110), np.uint64(0b1)  # only white can move: black passes
    assert np.flatnonzero(game.legal()[0]).tolist() == [36]
    game.play(36)
    assert not game.ended[0] and np.flatnonzero(game.legal()[0]).tolist() == [3]
    game.play(3)  # all stones are white now: neither can move
    assert game.ended[0] and game.winner[0] == 1 and not game.legal().any()
    game.undo()
    game.undo()
    assert int(game.rows["mine"][0]) == 0b110 and int(game.rows["theirs"][0]) == 0b1


def test_a_board_with_equal_stones_is_a_draw() -> None:
    game = Game("Othello6")
    full = (1 << 36) - 1
    white = sum(1 << (6 * y + x) for y in range(3) for x in range(6))  # the upper half
    game.rows["mine"], game.rows["theirs"] = np.uint64((full & ~white) & ~(1 << 35)), np.uint64(white)
    assert np.flatnonzero(game.legal()[0]).tolist() == [36]  # f6 closes nothing in
    game.rows["theirs"] |= np.uint64(1 << 34)
    game.rows["mine"] &= ~np.uint64(1 << 34)  # black d6, white e6: f6 flips it
    game.play(35)
    assert game.ended[0] and game.winner[0] == -1
    tie = Game("TicTacToe")
    for action in (0, 1, 2, 4, 3, 5, 7, 6, 8):
        tie.play(action)
    assert tie.ended[0] and tie.winner[0] == -1 and tie.outcome()[0] == 0


@EVERY
def test_each_symmetry_maps_a_game_onto_a_game_with_the_same_course(name: str) -> None:
    plain = Game(name)
    maps = plain.symmetries
    kinds = len(maps.names)
    assert kinds == (2 if name == "ConnectFour" else 8)
    assert len({tuple(row) for row in maps.cells}) == kinds
    turned = Game(name, kinds)
    plain.rows["rng"] = 7
    if name.startswith("Othello"):  # half of the symmetries swap the colours of the first position
        first = plain.rows[0]
        for k in range(kinds):
            for field in ("mine", "theirs"):
                bits = [int(first[field]) >> cell & 1 for cell in maps.cells[k]]
                turned.rows[field][k] = sum(bit << j for j, bit in enumerate(bits))
    while not plain.ended[0]:
        observation, legal = plain.observe()
        shown, may = turned.observe()
        for k in range(kinds):
            assert (observation[0].reshape(-1, 2)[maps.cells[k]] == shown[k].reshape(-1, 2)).all()
            assert (legal[0][maps.actions[k]] == may[k]).all()
        action = int(plain.random_actions()[0])
        plain.play(action)
        turned.play(maps.inverse[:, action])
    assert turned.ended.all() and (turned.winner == plain.winner[0]).all()


def test_tic_tac_toe_has_5478_states_and_is_a_draw() -> None:
    found = {}
    game = Game("TicTacToe")

    def visit() -> int:
        key = (int(game.rows["mine"][0]), int(game.rows["theirs"][0]), int(game.player[0]))
        if key not in found:
            values = []
            for action in np.flatnonzero(game.legal()[0]):
                game.play(int(action))
                values.append(-visit())
                game.undo()
            found[key] = max(values, default=int(game.outcome()[0]))
        return found[key]

    assert visit() == 0
    assert len(found) == 5478


@EVERY
def test_minimax_equals_plain_search_and_prefers_the_shortest_win(name: str) -> None:
    game = Game(name)
    game.rows["rng"] = 11
    rng = np.random.default_rng(0)

    def plain(depth: int) -> int:
        if game.ended[0]:
            return int(game.outcome()[0]) * (WIN - int(game.rows["ply"][0]))
        if depth == 0:
            return int(game.board.evaluate(game.rows[0]))
        return max(after(action, depth) for action in np.flatnonzero(game.legal()[0]))

    def after(action: int, depth: int) -> int:
        game.play(int(action))
        value = -plain(depth - 1)
        game.undo()
        return value

    for _ in range(4):
        before = game.rows.copy()
        actions, values = game.minimax(3)
        game.rows["rng"] = before["rng"]
        assert game.rows == before  # the search leaves the position as it was
        exact = {int(a): after(a, 3) for a in np.flatnonzero(game.legal()[0])}
        best = max(exact.values())
        assert exact[int(actions[0])] == best
        assert {a for a in exact if values[0, a] == best} == {a for a in exact if exact[a] == best}
        game.play(int(rng.choice(list(exact))))
        if game.ended[0]:
            break


def test_minimax_takes_the_win_blocks_the_loss_and_draws_among_equal_moves() -> None:
    game = Game("ConnectFour", 200)
    game.rows["rng"] = np.arange(1, 201)
    for column in (3, 0, 3, 0, 3):
        game.play(column)
    assert (game.minimax(2)[0] == 3).all()  # block
    game.play(1)
    assert (game.minimax(1)[0] == 3).all()  # win
    corners = Game("TicTacToe", 200)
    corners.rows["rng"] = np.arange(1, 201)
    assert (corners.minimax(1)[0] == 4).all()
    corners.play(4)
    chosen = np.bincount(corners.minimax(1)[0], minlength=9)
    assert (chosen[[0, 2, 6, 8]] > 20).all() and chosen.sum() == chosen[[0, 2, 6, 8]].sum()


@EVERY
def test_a_deeper_minimax_beats_a_random_player(name: str) -> None:
    env = BoardVectorEnv(name, 32, opponent="minimax:3")
    _, info = env.reset(seed=0)
    rng, results = np.random.default_rng(0), []
    while len(results) < 60:
        actions = np.array([rng.choice(np.flatnonzero(m)) if m.any() else 0 for m in info["action_mask"]])
        _, reward, terminated, _, info = env.step(actions)
        results += reward[terminated].tolist()
    assert np.mean(results) < -0.7


def test_connect_four_plays_a_million_moves_a_second() -> None:
    assert benchmark("ConnectFour", seconds=0.5) > 1e6  # 5.9 million measured, with observations and legal actions


def test_illegal_actions_of_the_core_raise_one_line_and_change_nothing() -> None:
    game = Game("ConnectFour", 2)
    for _ in range(6):
        game.play([3, 2])
    before = game.rows.copy()
    with pytest.raises(InputError, match=r"'column 4' is not legal in position 0: choose from column 1, column 2, col"):
        game.play([3, 1])
    with pytest.raises(InputError, match="there is no action 7 in position 1"):
        game.play([0, 7])
    with pytest.raises(InputError, match=r"actions must be whole numbers of shape \(2,\)"):
        game.play([0.5, 1])
    assert (game.rows == before).all()
    over = Game("TicTacToe")
    for action in (0, 3, 1, 4, 2):
        over.play(action)
    with pytest.raises(InputError, match="the game has ended"):
        over.play(5)
    with pytest.raises(InputError, match="at least 1, got 0"):
        over.minimax(0)


@EVERY
def test_gymnasium_accepts_the_environment(name: str) -> None:
    env = gymnasium.make(f"Boards/{name}-v1", render_mode="rgb_array")
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (600, 800, 3) and picture.dtype == np.uint8
    env.close()


def test_the_first_mover_alternates_with_the_seed_and_between_unseeded_episodes() -> None:
    env = BoardEnv("ConnectFour")
    for seed in range(6):
        observation, info = env.reset(seed=seed)
        assert info["seat"] == seed % 2
        assert observation[..., 0].sum() == 0 and observation[..., 1].sum() == seed % 2
    assert [env.reset()[1]["seat"] for _ in range(4)] == [0, 1, 0, 1]


def test_observation_reward_and_mask_are_the_agents_on_both_seats() -> None:
    mine: list[list[int]] = []

    def stack(observations: np.ndarray, legal: np.ndarray) -> list[int]:
        assert not observations[..., 0].any() or observations[0, 5, 0, 0]  # its own stones are in column 1
        mine.append(observations[0, ..., 1].sum(0).tolist())
        return [0] * len(observations)

    env = BoardEnv("ConnectFour", opponent=stack)
    for seed, reward in ((0, 1.0), (1, -1.0)):  # four in a column: who moves first wins
        observation, info = env.reset(seed=seed)
        for step in range(4):
            assert info["action_mask"].all()
            observation, got, terminated, _, info = env.step(6)
            lost = seed == 1 and step == 2
            assert observation[..., 0].sum(0).tolist() == [0, 0, 0, 0, 0, 0, step + 1]
            assert (terminated, got) == ((True, reward) if lost or step == 3 else (False, 0.0))
            if terminated:
                break
        assert not info["action_mask"].any()
    assert mine[-1] == [0, 0, 0, 0, 0, 0, 3]


def test_an_illegal_action_of_the_agent_loses_and_an_opponents_raises() -> None:
    env = BoardEnv("TicTacToe")
    env.reset(seed=1)
    taken = int(np.argmin(env.reset(seed=1)[1]["action_mask"]))
    _, reward, terminated, _, _ = env.step(taken)
    assert (reward, terminated) == (-1.0, True)
    env = BoardEnv("TicTacToe", opponent=lambda observations, legal: [0] * len(legal))
    env.reset(seed=0)
    with pytest.raises(InputError, match="the opponent's action is not legal in TicTacToe"):
        env.step(0)


@pytest.mark.parametrize("opponent", ["random", "minimax:2"])
@EVERY
def test_a_saved_state_continues_exactly(name: str, opponent: str) -> None:
    env, other = BoardVectorEnv(name, 5, opponent=opponent), BoardVectorEnv(name, 5, opponent=opponent)
    _, info = env.reset(seed=3)
    rng = np.random.default_rng(1)
    for step in range(12):
        if step == 3:
            other.set_state(env.get_state())
        actions = np.array([rng.choice(np.flatnonzero(m)) if m.any() else 0 for m in info["action_mask"]])
        observation, reward, terminated, _, info = env.step(actions)
        if step >= 3:
            again = other.step(actions)
            assert (observation == again[0]).all() and (reward == again[1]).all() and (terminated == again[2]).all()
            assert (info["action_mask"] == again[4]["action_mask"]).all()
    state = env.get_state()
    state["rows"]["mine"][0] = state["rows"]["theirs"][0] = 1
    with pytest.raises(InputError, match="two stones on one cell or a stone off the board"):
        env.set_state(state)


def test_one_game_takes_the_same_course_alone_and_in_a_batch() -> None:
    batch, alone = BoardVectorEnv("Othello6", 4), BoardEnv("Othello6")
    seen, info = batch.reset(seed=10)
    one, _ = alone.reset(seed=12)
    assert (seen[2] == one).all()
    for _ in range(10):
        actions = np.array([np.flatnonzero(m)[-1] for m in info["action_mask"]])
        seen, reward, _, _, info = batch.step(actions)
        one, r, _, _, _ = alone.step(int(actions[2]))
        assert (seen[2] == one).all() and reward[2] == r


@EVERY
def test_the_stream_carries_masks_and_every_legal_move_is_accepted(name: str) -> None:
    env = envs.make(f"Boards/{name}-v1", num_envs=6, seed=0)
    assert env.spec.masked and env.spec.obs["obs"].kind == "board" and env.spec.options["vector"] == "native"
    rng, ended, row = np.random.default_rng(0), 0, env.reset()
    for _ in range(150):
        assert row.mask is not None and row.mask.any(axis=1).all()
        row = env.step(np.array([rng.choice(np.flatnonzero(m)) for m in row.mask]))
        ended += int(row.last.sum())
        assert set(np.unique(row.reward)) <= {-1.0, 0.0, 1.0} and not row.reward[~row.last].any()
    assert ended > 6
    saved = env.state_dict()
    other = envs.make(f"Boards/{name}-v1", num_envs=6, seed=0)
    other.reset()
    again = other.load_state_dict(saved)
    assert (again.obs["obs"] == row.obs["obs"]).all()
    assert other.resume_level == "exact"


def test_games_of_self_play_open_with_0_to_n_random_moves_all_equally_likely() -> None:
    games = Games("ConnectFour", 4000, "random", self_play=True, opening=7)
    games.seed(range(4000), np.ones(4000, bool))
    games.begin(np.ones(4000, bool))
    counts = np.bincount(games.rows["ply"], minlength=8)
    assert len(counts) == 8 and (np.abs(counts - 500) < 100).all()  # five standard deviations
    assert not games.rows["ended"].any()
    first = games.rows.copy()
    games.begin(np.ones(4000, bool))  # without new seeds the next games differ
    assert (games.rows["ply"] != first["ply"]).mean() > 0.8
    again = Games("ConnectFour", 4000, "random", self_play=True, opening=7)
    again.seed(range(4000), np.ones(4000, bool))
    again.begin(np.ones(4000, bool))
    assert (again.rows == first).all()
    plain = Games("ConnectFour", 8, "random", self_play=True)
    plain.begin(np.ones(8, bool))
    assert (plain.rows["ply"] == 0).all()


def test_evaluations_begin_after_the_same_number_of_random_moves_and_differ() -> None:
    options = {"opponent": "minimax:1", "self_play": True, "opening": 7, "eval_opening": 4}
    starts = {}
    for stream in ("evaluate", "watch", "train"):
        with envs.make(
            "Boards/ConnectFour-v1",
            config=EnvConfig(options=options),
            num_envs=200,
            seed=0,
            stream=stream,
            games=200 if stream == "evaluate" else None,
        ) as env:
            starts[stream] = env.reset().obs["obs"].reshape(200, -1, 2)
    stones = starts["evaluate"].sum(axis=1)
    assert set(stones.sum(axis=1)) == {4, 5}, "the opponent adds a stone where it moves first"
    assert 70 < (stones.sum(axis=1) == 5).sum() < 130
    assert len(np.unique(starts["evaluate"], axis=0)) > 150
    assert set(starts["watch"].sum(axis=(1, 2))) == {0, 1} and starts["train"].sum(axis=(1, 2)).max() == 7


@pytest.mark.parametrize(("name", "opening"), [("TicTacToe", 6), ("ConnectFour", 9)])
def test_an_opening_that_ends_the_game_is_drawn_again_and_the_seats_stay(name: str, opening: int) -> None:
    """Also where the opponent's first move would end it: the agent always has a move."""
    num = 2000
    games = Games(name, num, "minimax:2", opening=opening)
    games.seed(range(num), np.ones(num, bool))
    games.begin(np.ones(num, bool))
    seats, rng = np.arange(num) % 2, np.random.default_rng(0)
    for _ in range(12):
        fresh = games.rows["ply"] <= opening + 1
        assert (games.rows["seat"] == seats).all() and not games.rows["ended"].any()
        assert set(games.rows["ply"][fresh]) <= {opening, opening + 1}
        games.observe(np.ones(num, bool))
        assert games._legal.any(axis=1).all(), "a game in play has a legal action"
        while not games.rows["ended"].all():
            actions = np.where(games._legal, rng.random(games._legal.shape), -1).argmax(axis=1)
            going = ~games.rows["ended"]
            games.core.kernels.take(games.rows, going, actions, games._flipped, True)
            games._reply(going)
            games.observe(np.ones(num, bool))
        seats = 1 - seats
        games.advance(np.zeros(num, np.int64), True)


def test_wrong_options_are_refused_in_one_line() -> None:
    for opponent, words in (
        ("minimax:7", "searches 1 to 6 plies"),
        ("minimax:0", "searches 1 to 6 plies"),
        ("minimax", "'minimax:3'; got 'minimax'"),
        ("rondom", "unknown opponent 'rondom': did you mean 'random'"),
    ):
        with pytest.raises(InputError, match=words):
            BoardEnv("TicTacToe", opponent=opponent)
    with pytest.raises(InputError, match="unknown board game 'Chess'"):
        Game("Chess")
    with pytest.raises(InputError, match="unknown option 'opponnt'"):
        BoardEnv("TicTacToe", opponnt="random")
    with pytest.raises(InputError, match="^opening must be a whole number of random moves from 0 to 8, got 9"):
        BoardEnv("TicTacToe", self_play=True, opening=9)
    with pytest.raises(InputError, match="eval_opening must be a whole number of random moves from 0 to 8, got -1"):
        BoardEnv("TicTacToe", eval_opening=-1)
    with pytest.raises(InputError, match="num must be a whole number of at least 1, got 0"):
        Game("TicTacToe", 0)


def test_text_shows_stones_columns_and_who_moves() -> None:
    env = gymnasium.make("Boards/ConnectFour-v1", render_mode="ansi", opponent=lambda observations, legal: [3])
    env.reset(seed=0)
    env.step(3)
    assert env.render().splitlines()[-4:] == [
        "  · · · ○ · · ·",
        "  · · · ● · · ·",
        "  1 2 3 4 5 6 7",
        "● to move (last: column 4)",
    ]
    game = Game("Othello")
    game.play(19)
    lines = game.text().splitlines()
    assert lines[2] == "3 · · · ● · · · ·" and lines[-1] == "○ to move (last: d3), ● 4, ○ 1"
    assert "\033[" in Game("TicTacToe").text(colour=True)
