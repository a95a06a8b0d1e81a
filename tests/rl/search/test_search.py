"""The search against exact values of tic-tac-toe, and its parts against hand-computed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import agents
import envs
from agents.mcts import MCTSConfig
from envs.boards.game import Game
from envs.boards.judge import tic_tac_toe
from envs.boards.model import BoardModel
from envs.boards.positions import Positions, load
from rl.errors import InputError
from rl.search.model import Evaluate, random_rollouts
from rl.search.search import SearchConfig, _bounds, principal_line, search
from rl.search.tree import NONE, SOONER, halving, improved

MODEL = BoardModel("TicTacToe")
PLAIN = np.array([1.0, 0.0, np.inf, -np.inf])
"""The scale of two players."""
RULES = [SearchConfig(rule="gumbel"), SearchConfig(rule="puct")]


def blank(model: BoardModel = MODEL, value: float = 0.0) -> Evaluate:
    """Knows nothing: equal logits and one value."""

    def evaluate(states: np.ndarray) -> Any:
        assert not states["ended"].any(), "a position that ended was evaluated"
        legal = model.observe(states)[1]
        return np.zeros(legal.shape, np.float32), legal, np.full(len(states), value, np.float32)

    return evaluate


def positions(least: int) -> tuple[np.ndarray, np.ndarray]:
    """Every third position of tic-tac-toe with at least this many stones: states, and the score of every move."""
    every = tic_tac_toe()
    rows = [i for i, moves in enumerate(every.moves) if len(moves) >= least][::3]
    return every.play().rows[rows], np.sign(every.scores[rows].astype(int))


def after(moves: str, model: str = "TicTacToe") -> np.ndarray:
    game = Game(model)
    for move in moves:
        game.play(int(move))
    return game.rows.copy()


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_values_converge_to_minimax(config: SearchConfig) -> None:
    states, scores = positions(least=4)
    found = search(MODEL, blank(), states, 400, config)
    legal = MODEL.observe(states)[1]
    best = np.where(legal, scores, -2).max(axis=1)
    chosen = scores[np.arange(len(states)), found.action]
    assert (chosen == best).mean() > 0.99
    assert np.abs(found.value - best).mean() < 0.12


def test_random_games_are_evaluation_enough_to_choose_well() -> None:
    states, scores = positions(least=3)
    found = search(MODEL, random_rollouts(MODEL, np.random.default_rng(0)), states, 300, RULES[1])
    best = np.where(MODEL.observe(states)[1], scores, -2).max(axis=1)
    assert (scores[np.arange(len(states)), found.action] == best).mean() > 0.98


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_the_sign_flips_at_every_ply(config: SearchConfig) -> None:
    # x: a1 a2, o: c1 c2, x to move wins with a3 (cell 6); o's win is at cell 8
    wins = search(MODEL, blank(), after("0235"), 60, config)
    assert wins.action[0] == 6 and wins.q[0, 6] == 1.0  # one ply: my win
    # x must stop o at cell 8 and has no win: after any other move o wins at once
    must = search(MODEL, blank(), after("0215"), 200, config)
    assert must.action[0] == 8
    assert must.q[0, 4] < -0.5  # two plies: the opponent's win
    # every value of the evaluation is +0.5 for the player to move there, so that an edge with one visit returns -0.5
    flat = search(MODEL, blank(value=0.5), after(""), 9, config)
    assert flat.q[0][flat.visits[0] == 1] == pytest.approx(-0.5)


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_illegal_actions_are_never_visited_and_have_no_share(config: SearchConfig) -> None:
    states, _ = positions(least=2)
    found = search(MODEL, blank(), states, 40, config, np.random.default_rng(1))
    legal = MODEL.observe(states)[1]
    assert not found.visits[~legal].any() and not found.policy[~legal].any() and not found.prior[~legal].any()
    assert legal[np.arange(len(states)), found.action].all()
    assert found.policy.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_a_search_makes_all_of_its_simulations_before_it_answers(config: SearchConfig) -> None:
    found = search(MODEL, blank(), positions(least=5)[0], 37, config)
    assert (found.visits.sum(axis=1) == 37).all()


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_the_same_seed_gives_the_same_search_and_no_generator_gives_no_noise(config: SearchConfig) -> None:
    states = np.repeat(after(""), 64)
    one, two = (search(MODEL, blank(), states, 16, config, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.action, two.action) and np.array_equal(one.policy, two.policy)
    assert len(np.unique(one.action)) > 3
    quiet = search(MODEL, blank(), states, 16, config)
    assert len(np.unique(quiet.action)) == 1 and (quiet.policy == quiet.policy[0]).all()


def test_sequential_halving_gives_equal_visits_to_ever_fewer_actions() -> None:
    assert halving(4, 16)[4].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert halving(4, 5)[1].tolist() == [0, 1, 2, 3, 4]
    assert halving(2, 4)[2].tolist() == [0, 0, 1, 1]


def test_the_completed_values_are_those_of_the_paper() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    out = np.zeros(3)
    least, most = -np.ones(3), np.ones(3)
    visits, total = np.array([3, 1, 0]), np.array([1.5, -0.4, 0.0])
    mixed = improved(logits, visits, total, least, most, np.float32(0.1), PLAIN, 50.0, 0.1, out)
    mean = (0.5 * 0.5 + 0.3 * -0.4) / 0.8
    assert mixed == pytest.approx((0.1 + 4 * mean) / 5)
    sigma = (50 + 3) * 0.1 * 0.5 * (np.array([0.5, -0.4, mixed]) + 1)
    assert out == pytest.approx(logits + sigma, abs=1e-5)
    none = np.array([0.0, NONE], np.float32)
    improved(none, np.zeros(2, int), np.zeros(2), least[:2], most[:2], np.float32(0.1), PLAIN, 50.0, 0.1, out[:2])
    assert out[1] == NONE


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_a_proved_outcome_is_exact_and_decides_the_move_against_every_prior(config: SearchConfig) -> None:
    states, scores = positions(least=5)
    legal = MODEL.observe(states)[1]
    worst = np.where(legal, -10.0 * scores, 0.0).astype(np.float32)

    def misled(leaves: np.ndarray) -> Any:  # hates every good move of a root, and takes every position for lost
        flat = np.zeros((len(leaves), 9), np.float32)
        logits = worst if len(leaves) == len(states) and (leaves == states).all() else flat
        return logits, MODEL.observe(leaves)[1], np.full(len(leaves), -0.9, np.float32)

    best = np.where(legal, scores, -2).max(axis=1)
    with_proofs = search(MODEL, misled, states, 150, config)
    assert (scores[np.arange(len(states)), with_proofs.action] == best).all()
    assert np.abs(with_proofs.value - best).max() < 0.01  # sooner by a thousandth for every ply
    without = search(MODEL, misled, states, 150, replace(config, proofs=False))
    assert (scores[np.arange(len(states)), without.action] == best).mean() < 0.98


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_a_proof_wins_at_once_and_loses_as_late_as_it_can(config: SearchConfig) -> None:
    # x wins at once with cell 6; 4 and 7 would also win, two plies later
    assert search(MODEL, blank(), after("0235"), 300, config).value[0] == 1.0
    # every move of x loses: cell 8 stops the win at once, and o wins two plies later than after any other move
    lost = search(MODEL, blank(), after("0215"), 300, config)
    assert lost.action[0] == 8 and lost.value[0] == pytest.approx(-(SOONER**3))


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_a_lost_position_plays_a_move_whose_proved_defence_is_the_longest(config: SearchConfig) -> None:
    states, scores = positions(least=2)
    lost = states[np.where(MODEL.observe(states)[1], scores, -2).max(axis=1) < 0]
    found = search(MODEL, blank(), lost, 200, config)
    root_least = np.where(MODEL.observe(lost)[1], found.tree.least[:, 0], -2)
    assert (root_least[np.arange(len(lost)), found.action] == root_least.max(axis=1)).all()


def test_the_principal_line_begins_with_the_move_and_follows_the_most_visits() -> None:
    found = search(MODEL, blank(), after("0235"), 60, RULES[1])
    assert principal_line(found) == [6]  # the win ends the line
    long = search(MODEL, blank(), after("0215"), 200, RULES[1])
    assert principal_line(long)[0] == 8 and len(principal_line(long)) > 1


def test_a_position_without_a_placement_passes_in_the_tree() -> None:
    model, game = BoardModel("Othello6"), Game("Othello6", 64)
    game.rows["rng"] = np.arange(1, 65)
    for _ in range(60):
        passing = game.legal()[:, -1]
        if passing.any():
            break
        game.play(game.random_actions(), ~game.ended)
    found = search(model, blank(model), game.rows[passing].copy(), 20, RULES[0])
    assert (found.action == 36).all()


class Flipped(BoardModel):
    """Rewards the wrong player."""

    def advance(self, *args: Any) -> Any:
        states, reward, ended, key = super().advance(*args)
        return states, -reward, ended, key


def proofs(model: BoardModel, config: SearchConfig) -> tuple[int, int]:
    """Moves of 300 late positions of Connect Four whose outcome a search proves, and how many contradict the solver."""
    late = load("end-easy")
    some = Positions(late.game, late.moves[:300], late.scores[:300])
    found = search(model, blank(model), some.play().rows, 60, config)
    least, most = found.tree.least[:, 0], found.tree.most[:, 0]
    proved = (found.visits > 0) & ((least > 0) | (most < 0) | (least == most))
    outcome = np.where(least > 0, 1, np.where(most < 0, -1, 0))
    return int(proved.sum()), int((proved & (outcome != np.sign(some.scores.astype(int)))).sum())


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_every_outcome_that_a_search_proves_is_the_solvers(config: SearchConfig) -> None:
    many, contradictions = proofs(BoardModel("ConnectFour"), config)
    assert many > 400 and contradictions == 0
    assert proofs(Flipped("ConnectFour"), config)[1] > 100  # a wrong sign is found


def test_what_is_foreseen_is_what_perfect_play_gives() -> None:
    every = tic_tac_toe()
    states, legal = every.play().rows, every.play().observe()[1]
    outcome = np.sign(every.scores.astype(int))
    for depth in (1, 2, 5, 9):
        least, most, plies = MODEL.foresee(states, depth)
        best = np.where(legal, least, -2).max(axis=1)
        assert (least <= outcome)[legal].all() and (most >= outcome)[legal].all()
        assert ((plies > 0) == (least == most))[legal].all() and plies.max() <= depth
        if depth == 9:  # the whole game; after a win the other actions are left open
            assert (best == np.where(legal, outcome, -2).max(axis=1)).all()
            assert (least == most)[legal & (best < 1)[:, None]].all()


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_wins_and_losses_are_foreseen_within_the_depth_and_not_before(depth: int) -> None:
    """The exact scores of Connect Four tell how many plies a result takes."""
    given = load("middle-easy")
    game = given.play()
    states, legal, scores = game.rows, game.observe()[1], given.scores.astype(int)
    left = (42 - states["ply"])[:, None]
    stones = (left + 1) // 2  # that the player to move has left, this action's among them
    win, loss = 2 * (stones - scores + 1) - 1, 2 * (left // 2 + scores + 1)
    least, most, plies = BoardModel("ConnectFour").foresee(states, depth)
    soonest = np.where(legal & (scores > 0), win, 99).min(axis=1, keepdims=True)
    won, lost = legal & (scores > 0) & (win == soonest) & (win <= depth), legal & (scores < 0) & (loss <= depth)
    lost &= ~(soonest < loss)  # after a win nothing more is looked for
    assert won.any(axis=1).sum() > 20 and lost.sum() > 20
    assert (least == 1).any(axis=1).tolist() == won.any(axis=1).tolist() and (plies == win)[least == 1].all()
    assert (most == -1)[lost].all() and (plies == loss)[lost].all() and not (most == -1)[legal & (scores >= 0)].any()


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_a_search_that_looks_ahead_knows_what_a_few_simulations_cannot(config: SearchConfig) -> None:
    given = load("end-easy")
    given = Positions(given.game, given.moves[:200], given.scores[:200])
    model, states = BoardModel("ConnectFour"), given.play().rows
    best = np.where(given.play().observe()[1], np.sign(given.scores.astype(int)), -2).max(axis=1)

    def wrong(ahead: int) -> float:
        found = search(model, blank(model), states, 7, replace(config, lookahead=ahead))
        assert (np.abs(found.value) <= 1).all()
        return float((np.sign(given.scores.astype(int))[np.arange(200), found.action] < best).mean())

    assert wrong(6) < 0.05 and wrong(6) < wrong(0) / 3
    # o's win at cell 8 is two plies away, and is seen from the root itself
    assert search(MODEL, blank(), after("0215"), 1, replace(config, lookahead=2)).action[0] == 8


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
@pytest.mark.parametrize("simulations", [1, 30, 400])
def test_a_lost_position_keeps_the_longest_defence_that_is_foreseen(config: SearchConfig, simulations: int) -> None:
    state = after("42221520415414455550466262666", "ConnectFour")
    model = BoardModel("ConnectFour")
    assert model.foresee(state, 6)[2].tolist() == [[4, 6, 0, 2, 0, 0, 0]], "plies until each loss"
    found = search(model, blank(model), state, simulations, replace(config, lookahead=6))
    assert found.action[0] == 1 and found.tree.most[0, 0, 1] == found.tree.least[0, 0, 1] == -np.float32(SOONER**5)


def outcome(model: BoardModel, state: np.ndarray) -> int:
    """Of perfect play, for the player to move: every game to its end."""
    if state["ended"][0]:
        return 0 if state["winner"][0] < 0 else 1 if state["winner"][0] == state["player"][0] else -1
    actions = np.flatnonzero(model.legal(state)[0])
    return max(-outcome(model, model.advance(state, np.array([a]))[0]) for a in actions)


def test_othello_is_foreseen_to_its_end_with_passes() -> None:
    model, rng = BoardModel("Othello6"), np.random.default_rng(0)
    seen, passing = 0, 0
    for _ in range(30):
        state = Game("Othello6").rows.copy()
        while not state["ended"][0] and state["ply"][0] < 29:
            state = model.advance(state, rng.choice(np.flatnonzero(model.legal(state)[0]), 1))[0]
        if state["ended"][0]:
            continue
        least, most, _ = (x[0] for x in model.foresee(state, 12))
        actions = np.flatnonzero(model.legal(state)[0])
        exact = np.array([-outcome(model, model.advance(state, np.array([a]))[0]) for a in actions])
        assert (least[actions] <= exact).all() and (most[actions] >= exact).all()
        assert least[actions].max() == exact.max()
        seen, passing = seen + 1, passing + (actions[-1] == model.num_actions - 1)
    assert seen >= 20 and passing


@pytest.mark.parametrize("name", ["end-easy", "middle-easy", "middle-medium", "begin-easy"])
def test_what_few_positions_prove_is_the_solvers_and_more_prove_more(name: str) -> None:
    given = load(name)
    given = Positions(given.game, given.moves[:100], given.scores[:100])
    states, legal = given.play().rows, given.play().observe()[1]
    outcome, model, proved = np.sign(given.scores.astype(int)), BoardModel("ConnectFour"), []
    for positions in (100, 10_000, 100_000):
        least, most, plies = model.foresee(states, model.longest, positions)
        assert (least <= outcome)[legal].all() and (most >= outcome)[legal].all()
        assert ((plies > 0) == (least == most))[legal].all()
        proved.append((least == most)[legal].sum())
    assert proved[0] < proved[1] <= proved[2]
    if name == "end-easy":  # draws too
        open_still = legal & (least < most) & (np.where(legal, outcome, -2).max(axis=1) < 1)[:, None]
        assert not open_still.any() and (outcome[legal] == 0).sum() > 20
    once, twice = (model.foresee(np.repeat(states, n), model.longest, 3_000) for n in (1, 2))
    assert all((np.repeat(a, 2, axis=0) == b).all() for a, b in zip(once, twice)), "rows do not help each other"


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
def test_a_solved_root_is_played_perfectly_and_searched_no_further(config: SearchConfig) -> None:
    given = load("end-easy")
    given = Positions(given.game, given.moves[:200], given.scores[:200])
    model, states, scores = BoardModel("ConnectFour"), given.play().rows, given.scores.astype(int)
    found = search(model, blank(model), states, 8, replace(config, solve=20_000), np.random.default_rng(0))
    low = np.where(found.prior > 0, found.tree.least[:, 0], -2).max(axis=1)
    high = np.where(found.prior > 0, found.tree.most[:, 0], -2).max(axis=1)
    solved = (low > 0) | (high < 0) | (low == high)
    assert solved.mean() > 0.95 and (found.visits.sum(axis=1) == np.where(solved, 0, 8)).all()
    best = np.where(found.prior > 0, scores, -99).max(axis=1)
    played = scores[np.arange(200), found.action]
    assert (np.sign(played) == np.sign(best))[solved].all() and (np.sign(found.value) == np.sign(best))[solved].all()
    decided = solved & ((best > 0) | (best < 0) & (config.rule == "gumbel"))  # PUCT's noise draws among lost moves
    assert (played == best)[decided].all(), "the soonest win, the longest defence"
    shown = search(model, blank(model), states, 8, replace(config, solve=20_000))
    assert (shown.visits.sum(axis=1) == 8).all(), "without noise there is something to show"
    assert (scores[np.arange(200), shown.action] == best)[solved & (best != 0)].all(), "and proofs stay"
    assert (found.policy[solved].sum(axis=1) > 0.999).all()
    wrong = np.sign(scores) < np.sign(best)[:, None]
    assert not (found.policy[solved & (best >= 0)] * wrong[solved & (best >= 0)]).any()


@pytest.mark.parametrize("config", RULES, ids=["gumbel", "puct"])
@pytest.mark.parametrize("fields", [{"solve": 1_000}, {"solve": 1_000, "lookahead": 4}, {"lookahead": 4}])
@pytest.mark.parametrize("name", ["ConnectFour", "Othello6"])
def test_bounds_of_all_proofs_agree(config: SearchConfig, fields: dict[str, int], name: str) -> None:
    """Where they do not, a tree has no edge left to walk along, and takes an illegal one."""
    model, rng, late = BoardModel(name), np.random.default_rng(0), []
    while len(late) < 60:
        state = Game(name).rows.copy()
        while not state["ended"][0]:
            if len(model.board.cells) - int(state["mine"][0] | state["theirs"][0]).bit_count() in (4, 9, 14):
                late.append(state.copy())
            state = model.advance(state, rng.choice(np.flatnonzero(model.legal(state)[0]), 1))[0]
    found = search(model, blank(model), np.concatenate(late), 150, replace(config, **fields))
    tree = found.tree
    assert (tree.least <= tree.most)[tree.logits > NONE].all()


def test_a_player_without_stones_has_lost_and_it_is_foreseen() -> None:
    model = BoardModel("Othello6")
    board = np.zeros((1, 6, 6, 2), np.bool_)
    board[0, 2, 2, 0], board[0, 2, 3, 1] = True, True  # cells 14 and 15: 16 takes the only stone
    state = model.positions({"obs": board})
    for depth in (1, 4):
        least, most, plies = (x[0, 16] for x in model.foresee(state, depth))
        assert (least, most, plies) == (1, 1, 1)
    assert model.foresee(state, model.longest, 100_000)[0][0, 16] == 1
    for config in RULES:  # the search straight to the end does not know that the win comes at once
        found = search(model, blank(model), state, 60, replace(config, solve=1_000))
        assert found.action[0] == 16 and (found.tree.least <= found.tree.most)[found.tree.logits > NONE].all()


def test_what_a_look_ahead_does_not_prove_comes_after_it() -> None:
    least, most, plies = (
        np.array([[-1, -1, -1], [-1, 1, -1]]),
        np.array([[-1, 1, 1], [-1, 1, 1]]),
        np.zeros((2, 3), int),
    )
    plies[0, 0], plies[1, :2] = 2, (2, 3)
    low, high = _bounds(least, most, plies, 4)
    assert low == pytest.approx(np.array([[-SOONER, -(SOONER**4), -(SOONER**4)], [-SOONER, SOONER**2, -(SOONER**2)]]))
    assert high == pytest.approx(np.array([[-SOONER, SOONER**4, SOONER**4], [-SOONER, SOONER**2, SOONER**2]]))


def test_one_player_has_nothing_to_look_ahead_to() -> None:
    config = MCTSConfig(search=SearchConfig(rule="puct", lookahead=2))
    with pytest.raises(InputError, match="^search.lookahead 2 is for board games, and Taxi-v4 is none: leave it out"):
        agents.build(config, envs.spec("Taxi-v4"), num_envs=1, seed=0)
    with pytest.raises(InputError, match="search.lookahead 2 finds proofs: leave search.proofs on"):
        SearchConfig(lookahead=2, proofs=False)


def test_of_equally_many_visits_puct_takes_the_better_mean() -> None:
    model, rng = BoardModel("ConnectFour"), np.random.default_rng(0)

    def noisy(states: np.ndarray) -> Any:
        legal = model.observe(states)[1]
        return np.zeros(legal.shape, np.float32), legal, rng.uniform(-0.2, 0.2, len(states)).astype(np.float32)

    states = np.concatenate([after(f"{a}{b}", "ConnectFour") for a in range(7) for b in range(7)])
    found = search(model, noisy, states, 25, SearchConfig(rule="puct", proofs=False))
    most = found.visits == found.visits.max(axis=1, keepdims=True)
    assert (most.sum(axis=1) > 1).sum() >= 5, "there are ties"
    best = np.where(most, found.q, -np.inf).max(axis=1)
    np.testing.assert_array_equal(found.q[np.arange(len(states)), found.action], best)
