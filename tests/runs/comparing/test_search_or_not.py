"""The study of search against no search: what its page says is what its results say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runs.comparing.studies import search_or_not
from runs.folder.places import RESULTS

FILE = RESULTS / "studies" / "search_or_not.json"
PAGE = RESULTS.parents[1] / "docs" / "search_or_not.md"


def test_the_page_has_the_shares_of_the_results() -> None:
    rows = json.loads(FILE.read_text())["rows"]
    assert len(rows) == 12 and {row["seed"] for row in rows} == {0, 1, 2}
    text = PAGE.read_text()
    for name in search_or_not.AGENTS:
        mine = [row for row in rows if row["agent"] == name]
        for many in mine[0]["simulations"]:
            shares = [100 * row["simulations"][many]["wrong"] for row in mine]
            cells = f"| {np.mean(shares):.1f} % | {min(shares):.1f} to {max(shares):.1f} % |"
            assert cells in text, f"{name}, {many} simulations: {cells}"


@pytest.mark.parametrize("name", ["alphazero", "pqn"])
def test_an_agent_is_trained_for_the_time_and_judged(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_or_not, "SECONDS", 0.1)
    row = search_or_not.trained(name, seed=0)
    assert row["moves"] > 0 and row["cpu_seconds"] >= 0.1
    assert row["simulations"]["0"]["decided"] == 3191
