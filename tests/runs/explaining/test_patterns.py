"""The panel on an n-tuple network against naive sums and counts, and its page."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs.boards.model import BoardModel
from envs.boards.rules import STATE
from runs import train
from runs.explaining import patterns
from runs.explaining.explain import PANELS, explain
from runs.explaining.subject import NotShown, Subject
from tests.rl.test_networks_tuples import GAMES, boards, network

SELF_PLAY = ["env.options.self_play=true", "env.options.opening=2"]
SMALL = [*SELF_PLAY, "tuples=6", "length=4", "simulations=0", "depth=1", "eval_episodes=1", "snapshots=3"]


def rows_of(positions: np.ndarray) -> np.ndarray:
    """Positions uint64 [N, 2] as the rows of a game, the first player to move."""
    rows = np.zeros(len(positions), STATE)
    rows["mine"], rows["theirs"] = positions.T
    return rows


def made(name: str, **how: int) -> Any:
    """What the panel reads of an agent: the game and a network with random weights."""
    return SimpleNamespace(model=BoardModel(name), network=network(name, **how))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training in tic-tac-toe."""
    folder = tmp_path_factory.mktemp("patterns") / "run"
    train("Boards/TicTacToe-v1", agent="ntuple", steps=12_000, num_envs=64, settings=SMALL, out=folder)
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> dict[str, Any]:
    return explain(run)


@pytest.mark.parametrize("name", GAMES)
def test_the_cells_shares_add_up_to_the_sum_of_the_network(name: str) -> None:
    agent, positions = made(name), boards(name, 1)
    found = patterns.shares(agent.network, patterns.stones_of(agent.model, rows_of(positions)))
    assert np.tanh(found.sum(axis=1)) == pytest.approx(agent.network.values(positions), abs=1e-6)
    assert (found != 0).any(axis=0).sum() > found.shape[1] / 2, "the tuples under all symmetries reach most cells"


def test_a_share_is_the_weight_by_the_number_of_cells() -> None:
    agent = made("TicTacToe", count=1, length=3)
    agent.network.weights.data.zero_()
    stones = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0]])
    cells = agent.network.cells[:, 0].numpy()  # [symmetries, 3]
    (corner,) = np.nonzero(cells[:, 0] == 0)  # where the tuple's first cell is the stone
    agent.network.weights.data[1, 0, 1] = 0.6  # odd number of stones, mine on the first cell
    expected = np.zeros(9)
    for k in corner:
        expected[cells[k]] += 0.2
    assert patterns.shares(agent.network, stones)[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", GAMES)
def test_a_transformed_position_has_the_transformed_shares(name: str) -> None:
    agent = made(name)
    stones = patterns.stones_of(agent.model, rows_of(boards(name, 2)))
    before = patterns.shares(agent.network, stones)
    for cells in agent.model.symmetries.cells:
        assert patterns.shares(agent.network, stones[:, cells]) == pytest.approx(before[:, cells], abs=1e-6)


def test_the_patterns_are_those_of_a_naive_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SHOWN", 10_000)
    agent, rows = made("TicTacToe", count=2, length=3), rows_of(boards("TicTacToe", 3))
    counts: Counter[tuple[int, int, tuple[int, ...]]] = Counter()
    for board in patterns.stones_of(agent.model, rows).tolist():
        parity = sum(x > 0 for x in board) % 2
        for cells in agent.model.symmetries.cells.tolist():
            seen = [board[c] for c in cells]
            for t, tuple_ in enumerate(agent.network.cells[0].tolist()):
                counts[parity, t, tuple(seen[c] for c in tuple_)] += 1
    found = patterns.patterns(agent, rows)
    names = ["even number of stones", "odd number of stones"]
    listed = {(names.index(p["table"]), p["tuple"], tuple(p["stones"])): p for p in found["good"] + found["bad"]}
    assert {key: p["count"] for key, p in listed.items()} == {k: n for k, n in counts.items() if any(k[2])}
    assert found["seen"] == len(counts) and found["read"] == len(rows)
    for (parity, t, stones), p in listed.items():
        number = sum(digit * 3**k for k, digit in enumerate(stones))
        weight, met = float(agent.network.weights[parity, t, number]), counts[parity, t, stones] / len(rows)
        assert (p["weight"], p["met"], p["effect"]) == pytest.approx((weight, met, weight * met**0.5))
        assert p["cells"] == agent.network.cells[0, t].tolist()
    for kind, sign in (("good", 1), ("bad", -1)):
        sizes = [sign * p["effect"] for p in found[kind]]
        assert sizes == sorted(sizes, reverse=True) and min(sizes) > 0


def test_a_large_network_reads_fewer_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, rows = made("TicTacToe", count=2, length=3), rows_of(boards("TicTacToe", 3))
    monkeypatch.setattr(patterns, "READS", 5 * 8 * 2)
    assert patterns.patterns(agent, rows)["read"] == 5


def test_the_games_are_the_agents_training_play_and_their_outcomes_are_of_the_player_to_move(run: Path) -> None:
    agent: Any = Subject.open(run).agent
    played, again = (patterns.self_play(agent, 2, seed=5, count=40) for _ in range(2))
    assert np.array_equal(played.rows, again.rows) and np.array_equal(played.action, again.action)
    assert not agent.model.look_ahead(played.rows, 1, agent.network.net)[2].any(), "the network is asked for each"
    legal = agent.model.legal(played.rows)
    assert legal[np.arange(len(legal)), played.action].all()
    signed = played.outcome * np.where(played.rows["player"] == 0, 1, -1)  # of the first player
    assert all(len(set(signed[played.game == k])) == 1 for k in np.unique(played.game))
    assert set(played.outcome.tolist()) == {-1, 0, 1}


def test_the_panel_is_plain_json_with_a_row_for_each_checkpoint(page: dict[str, Any]) -> None:
    (one,) = page["runs"]
    panel = one["patterns"]
    assert json.loads(json.dumps(panel, allow_nan=False)) == panel
    steps = [row["step"] for row in panel["rows"]]
    assert steps[0] == 0 and steps[-1] == 12_000 and len(steps) == len(set(steps)) == panel["checkpoints"] + 1 > 3
    first, last = panel["rows"][0], panel["rows"][-1]
    assert last["agrees"] == {"same best move": 1.0}
    assert first["used"]["weights that are not zero"] == 0 < last["used"]["weights that are not zero"] < 1
    assert last["error"]["mean squared difference"] < first["error"]["mean squared difference"]
    assert last["strength"]["won"] + last["strength"]["drawn"] <= panel["matches"]
    for shown in panel["shown"]:
        assert shown["sum"] == pytest.approx(sum(shown["shares"]))
        assert shown["value"] == pytest.approx(np.tanh(shown["sum"]))
        assert sum(move["played"] for move in shown["moves"]) == 1 and len(shown["shares"]) == 9
    assert all("why_not" in one[name] for name in PANELS) and not any("no states" in x for x in one["missing"])


def test_the_page_draws_the_panel_and_folds_what_does_not_apply(page: dict[str, Any]) -> None:
    text, panel = Path(page["html"]).read_text(encoding="utf-8"), page["runs"][0]["patterns"]
    boards_ = len(panel["patterns"]["good"] + panel["patterns"]["bad"]) + len(panel["shown"])
    assert 'id="patterns"' in text and text.count('class="board"') == boards_
    assert text.count('class="bars"') == len(panel["shown"]) and text.count('class="chart"') == 4
    assert 'id="update"' not in text and "Panels that do not apply" in text and "No panel applies" not in text
    last = panel["rows"][-1]["strength"]
    assert f"The value alone wins {last['won']} and draws {last['drawn']} of 100 games" in text


def test_another_agent_has_no_such_panel(tmp_path: Path) -> None:
    train("CliffWalking-v1", agent="q_learning", steps=200, settings={"eval_episodes": 1}, out=tmp_path / "q")
    found = explain(tmp_path / "q")
    assert "patterns" not in found["runs"][0] and 'id="patterns"' not in Path(found["html"]).read_text(encoding="utf-8")
    with pytest.raises(NotShown, match="its network has no tuples of cells"):
        patterns.patterns_panel(Subject.open(tmp_path / "q"))
