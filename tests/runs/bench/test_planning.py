"""The figures of search without training and of self-play: small runs, and the pages beside the files."""

from __future__ import annotations

import json

from runs.bench import planning, self_play
from runs.folder.places import RESULTS

DOCS = RESULTS.parents[1] / "docs"


def test_the_page_has_the_recorded_figures_of_mcts() -> None:
    text = (DOCS / "agents" / "alphazero.md").read_text()
    rows = json.loads((RESULTS / "planning" / "mcts.json").read_text())["rows"]
    assert set(rows) == {f"{env}, {fields['simulations']} simulations" for env, _, fields in planning.ROWS}
    for name, row in rows.items():
        line = next(
            x
            for x in text.splitlines()
            if x.startswith(f"| {name.split(',')[0]} |") and f" {row['simulations']} x" in x
        )
        assert f"| {row['mean']:.1f} |" in line and line.endswith(f"| {row['cpu_ms_per_move']:.0f} |")


def test_the_page_has_the_recorded_speed_of_self_play() -> None:
    text = (DOCS / "boards.md").read_text()
    for row in json.loads((RESULTS / "planning" / "self_play.json").read_text())["rows"]:
        assert f"| {row['moves_per_second']:.0f} | {row['games_per_second']:.1f} |" in text


def test_small_measurements_count_moves_and_evaluations() -> None:
    row = planning.measure("FrozenLake-v1", 1, {"simulations": 2})
    assert row["moves"] >= 2 and 0.744 < row["optimum"] < 0.7443
    found = self_play.measure(4, 0, 1.0, games=2, precision="bf16", slots=3)
    assert 1 < found["evaluations_per_move"] <= 33 and 0 < found["network_share"] < 1
