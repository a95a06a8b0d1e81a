"""The arcade in JavaScript against our own rules: the same counter and actions give the same everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.arcade import GAMES
from envs.arcade.engine import Games
from tests.envs.arcade_player import Planner
from tests.runs.sharing.web import javascript

LISTS = ("shots", "bombs", "fish", "subs", "divers")

REPLAY = """
const game = GAMES[data.game], options = {...data.options, limit: 1e9}, found = [];
const shown = s => JSON.parse(JSON.stringify(s, (k, v) => typeof v === "bigint" ? String(v) : v));
for (const {counter, late, actions} of data.games) {
  const s = begin(game, BigInt(counter), options);
  Object.assign(s, late, late ? {rng: BigInt(late.rng)} : {});
  const rows = [[shown(s), [...game.look(s)].join(""), 0]];
  for (const action of actions) {
    const reward = advance(game, s, action, options);
    rows.push([shown(s), [...game.look(s)].join(""), reward]);
  }
  found.push(rows);
}
return found;
"""


def plain(row: Any) -> dict[str, Any]:
    """One state row as rules.js has it."""
    found: dict[str, Any] = {}
    for name in row.dtype.names:
        value = np.asarray(row[name]).tolist()
        value = [int(v) for v in value] if name not in LISTS and isinstance(value, list) else value
        found[name] = str(value) if name == "rng" else value if isinstance(value, list) else int(value)
    for name in LISTS:
        if (count := found.pop(f"num_{name}", None)) is not None:
            found[name] = found[name][:count]
    return found


def late(game: str, row: Any, rng: np.random.Generator) -> None:
    """An episode late in the difficulty ramp, which play seldom lives to see."""
    from tests.envs.test_arcade_fidelity import harden

    harden(game, row, rng)


def recorded(
    game: str, games: int, steps: int, *, sticky: float, ramping: bool, seed: int
) -> tuple[list[Any], list[Any]]:
    """What starts each game, and its rows (state, observation, reward). Half start late, most are played well."""
    rng, ours = np.random.default_rng(seed), Games(game, games, sticky, ramping)
    planner = Planner(game, games, ramping, seed)
    ours.seed(range(seed * games, (seed + 1) * games), np.ones(games, bool))
    counters = ours.rows["rng"].tolist()
    ours.begin(np.ones(games, bool))
    starts: list[Any] = [{"counter": str(c), "late": None, "actions": []} for c in counters]
    for i in range(0, games, 2):
        late(game, ours.rows[i], rng)
        starts[i]["late"] = plain(ours.rows[i])
    boards = ours.observe(np.ones(games, bool))
    truth = [[(plain(ours.rows[i]), board_text(boards[i]), 0)] for i in range(games)]
    playing = np.ones(games, bool)
    for _ in range(steps):
        playing &= ~ours.rows["ended"]
        if not playing.any():
            break
        drawn = rng.integers(len(ours.codes), size=games)
        best = planner(ours.rows)
        actions = np.where((np.arange(games) % 4 == 0) | (rng.random(games) < 0.05), drawn, best)
        _, boards, reward, _, _ = ours.advance(actions, autoreset=True)
        for i in np.flatnonzero(playing):
            starts[i]["actions"].append(int(actions[i]))
            truth[i].append((plain(ours.rows[i]), board_text(boards[i]), int(reward[i])))
    return starts, truth


def board_text(board: np.ndarray) -> str:
    return "".join(map(str, np.moveaxis(board, -1, 0).astype(int).reshape(-1).tolist()))


def differences(
    game: str, games: int, steps: int, *, sticky: float, ramping: bool, seed: int = 3
) -> tuple[int, int, int]:
    """Rows that differ in anything, rows compared, and games that ended."""
    starts, truth = recorded(game, games, steps, sticky=sticky, ramping=ramping, seed=seed)
    options = {"sticky": sticky, "ramping": ramping}
    got = javascript.run(REPLAY, {"game": game, "options": options, "games": starts})
    wrong = total = 0
    for ours, theirs in zip(got, truth, strict=True):
        assert len(ours) == len(theirs)
        for (state, board, reward), expected in zip(ours, theirs, strict=True):
            state["ended"] = int(state["ended"])
            wrong += (state, board, reward) != expected
            total += 1
    return wrong, total, sum(rows[-1][0]["ended"] for rows in truth)


@javascript.needs_javascript
@pytest.mark.parametrize("game", GAMES)
def test_eight_games_equal_ours_state_by_state(game: str) -> None:
    wrong, total, ended = differences(game, 8, 90, sticky=0.1, ramping=True)
    assert wrong == 0 and total > 200
    assert ended > 0 or game == "Freeway"


@pytest.mark.full
@pytest.mark.timeout(3600)
@javascript.needs_javascript
@pytest.mark.parametrize("game", GAMES)
def test_1_000_games_equal_ours_state_by_state(game: str) -> None:
    for part in range(50):
        wrong, total, _ = differences(game, 20, 2600, sticky=0.1 * (part % 2), ramping=part % 3 > 0, seed=part)
        assert wrong == 0
        assert total > 200


@javascript.needs_javascript
def test_the_comparison_sees_a_single_wrong_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        javascript, "source", lambda name, of=javascript.source: str(of(name)).replace("oxygen -= 1", "oxygen -= 2")
    )
    wrong, total, _ = differences("Seaquest", 4, 60, sticky=0.0, ramping=True)
    assert 0 < wrong < total
