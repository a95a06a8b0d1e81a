"""Scores after equal time: by hand on a small comparison; the network study's page has those of its results."""

from __future__ import annotations

from typing import Any

import pytest

from rl.storage import read_json
from runs.comparing.studies.equal_time import equal_time, markdown
from runs.folder.places import RESULTS

STUDY = RESULTS / "compare" / "networks_six" / "comparison.json"
PAGE = RESULTS.parents[1] / "docs" / "networks.md"


def result(name: str, *curve: tuple[int, float, float], status: str = "ok") -> dict[str, Any]:
    return {"contender": name, "task": "T", "status": status, "curve": [list(point) for point in curve]}


def test_a_contender_counts_with_its_newest_evaluation_when_the_fastest_has_finished() -> None:
    slow = ((50, 9.0, 10.0), (100, 20.0, 40.0))
    comparison = {
        "tasks": [{"env": "T"}],
        "contenders": [{"name": "fast"}, {"name": "slow"}, {"name": "slowest"}],
        "results": [
            *(result("fast", (50, 5.0, 1.0), (100, seconds, seconds)) for seconds in (9.0, 10.0, 14.0)),
            *(result("slow", *slow), result("slow", *slow), result("slow", status="failed")),
            *(result("slowest", (50, 11.0, 5.0), (100, 22.0, 9.0)) for _ in range(3)),
        ],
    }
    time, rows = equal_time(comparison)["T"]
    assert time == 10.0, "the median of the fastest"
    assert rows["fast"] == (10.0, 11.0), "all its steps: the mean of 9, 10 and 14"
    assert rows["slow"] == (20.0, 10.0) and rows["slowest"] == (22.0, None)
    assert markdown(comparison).splitlines()[2] == "| T | 10 | 11 | 10 | – |"


@pytest.mark.skipif(not STUDY.exists(), reason="not recorded")
def test_the_page_of_the_network_study_has_the_tables_of_its_results() -> None:
    assert markdown(read_json(STUDY)).strip() in PAGE.read_text()
