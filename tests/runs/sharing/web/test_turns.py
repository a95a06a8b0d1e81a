"""Board games and memory tasks in JavaScript against Python, move by move."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.boards.game import Game
from runs.sharing.web.games import BOARDS
from tests.runs.sharing.web import javascript

POSITIONS = """
const game = GAMES[data.game];
return data.games.map(moves => {
  const s = begin(game, 1n, {}), rows = [];
  for (const move of [...moves, null]) {
    rows.push([[...game.look(s)], game.legal(s).map(Number), s.player, s.winner, s.ended]);
    if (move !== null) advance(game, s, move, {limit: 1e9});
  }
  return rows;
});
"""

TYPED = """
const game = GAMES.Othello6, s = begin(game, 1n, {});
const actions = () => {
  let column = null;
  return data.keys.map(key => { let action; [column, action] = typed(game, s, column, key); return action; });
};
const first = actions();
for (const move of data.moves) advance(game, s, move, {limit: 1e9});
return [first, actions()];
"""

MEMORY = """
const game = GAMES[data.game];
return data.games.map(({draws, actions}) => {
  const s = {rng: 1n, elapsed: 0, score: 0, ended: false, fed: draws}, rows = [];
  game.start(s, data.options);
  for (const action of actions) {
    const seen = game.look(s);
    rows.push([seen, advance(game, s, action, {limit: 1e9}), s.ended]);
  }
  return rows;
});
"""


def board_games(name: str, games: int) -> tuple[list[Any], list[Any]]:
    """Random games: their moves, and (observation, legal actions, player, winner, over) of every position."""
    starts, truth, game = [], [], Game(name)
    for seed in range(games):
        game.rows["rng"] = seed + 1
        game.reset()
        moves, rows = [], []
        while True:
            board, legal = game.observe()
            facts = (int(game.player[0]), int(game.winner[0]), bool(game.ended[0]))
            free = [] if game.ended[0] else legal[0].astype(int).tolist()
            rows.append([np.moveaxis(board[0], -1, 0).astype(int).ravel().tolist(), free, *facts])
            if game.ended[0]:
                break
            moves.append(int(game.random_actions()[0]))
            game.play(moves[-1])
        starts.append(moves)
        truth.append(rows)
    return starts, truth


@javascript.needs_javascript
@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("games", [20, pytest.param(1000, marks=pytest.mark.full)])
def test_board_games_equal_ours_move_by_move(name: str, games: int) -> None:
    starts, truth = board_games(name, games)
    assert {rows[-1][3] for rows in truth} >= {0, 1}
    if name.startswith("Othello"):
        assert any(max(moves) == Game(name).num_actions - 1 for moves in starts)  # somebody passes
    assert javascript.run(POSITIONS, {"game": name, "games": starts}) == truth


@javascript.needs_javascript
def test_a_cell_of_othello_is_typed_as_letter_and_number_and_any_cell_passes() -> None:
    starts, truth = board_games("Othello6", 20)
    moves, rows = next((moves, rows) for moves, rows in zip(starts, truth, strict=True) if max(moves) == 36)
    passing = moves.index(36)
    assert rows[passing][1] == [0] * 36 + [1]
    keys = ["c", "4", "4", "F", "6", "a", "b", "1", "g", "1", "d", "x", "1"]
    free = [None, 20, None, None, 35, None, None, 1, None, None, None, None, None]
    forced = [None if action is None else 36 for action in free]
    assert javascript.run(TYPED, {"moves": moves[:passing], "keys": keys}) == [free, forced]


@javascript.needs_javascript
@pytest.mark.parametrize("name", ["RememberCue", "RepeatPrevious"])
@pytest.mark.parametrize("games", [10, pytest.param(1000, marks=pytest.mark.full)])
def test_memory_tasks_equal_ours_row_by_row(name: str, games: int) -> None:
    envs.ids()
    options = {"delay": 9, "cues": 3} if name == "RememberCue" else {"k": 2, "symbols": 3, "length": 20}
    env: Any = gymnasium.make(f"Memory/{name}-v0", **options).unwrapped
    rng, starts, truth = np.random.default_rng(0), [], []
    for seed in range(games):
        seen, _ = env.reset(seed=seed)
        actions, rows, over = [], [], False
        while not over:
            actions.append(int(rng.integers(3)))
            before = seen.astype(int).tolist()
            seen, reward, ended, cut, _ = env.step(actions[-1])
            over = ended or cut
            rows.append([before, pytest.approx(float(reward), abs=1e-12), over])
        draws = [env._cue] if name == "RememberCue" else list(env._shown)
        starts.append({"draws": draws, "actions": actions})
        truth.append(rows)
    assert javascript.run(MEMORY, {"game": name, "options": options, "games": starts}) == truth
