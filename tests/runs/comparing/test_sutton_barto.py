"""The study of Sutton and Barto's figures: its problems, and what its committed results say."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest

from runs.comparing.studies.sutton_barto import DynaMaze, page, random_walk, ten_arms
from runs.folder.places import RESULTS

FOUND = RESULTS / "studies" / "sutton_barto.json"


def test_the_dyna_maze_takes_fourteen_steps() -> None:
    maze = DynaMaze()
    maze.reset(seed=0)
    waiting, steps = deque([maze.place]), {maze.place: 0}
    while waiting:
        here = waiting.popleft()
        for action in range(4):
            maze.place = here
            _, reward, over, _, _ = maze.step(action)
            if maze.place not in steps:
                steps[maze.place] = steps[here] + 1
                waiting.append(maze.place)
            if over:
                assert reward == 1.0 and steps[maze.place] == 14
    assert len(steps) == 47  # all cells that are no wall


def test_small_studies_run_and_make_a_page() -> None:
    bed, walk = ten_arms(problems=30, pulls=20), random_walk(runs=2, episodes=2)
    assert {len(curve["reward"]) for curve in bed.values()} == {20}
    curves = {"SARSA": [1.0, 2.0]}
    parts = {"testbed": bed, "cliff": curves, "dyna": curves, "random walk": walk}
    text = page({name: {"book": "as the book says", "found": part} for name, part in parts.items()})
    assert text.count("<svg") == 5


@pytest.mark.skipif(not FOUND.exists(), reason="the study has no committed results yet")
def test_the_committed_results_reproduce_the_book() -> None:
    found = {name: part["found"] for name, part in json.loads(FOUND.read_text()).items()}
    end = {name: (np.mean(c["reward"][-50:]), np.mean(c["optimal"][-50:])) for name, c in found["testbed"].items()}
    assert end["epsilon 0.1"][0] == pytest.approx(1.4, abs=0.07) and end["epsilon 0.1"][1] == pytest.approx(
        0.8, abs=0.04
    )
    assert end["greedy"][0] < 1.15 and end["greedy"][1] < 0.45
    cliff = {name: float(np.mean(curve[-200:])) for name, curve in found["cliff"].items()}
    assert cliff["SARSA"] == pytest.approx(-25, abs=4) and cliff["Q-learning"] == pytest.approx(-50, abs=6)
    dyna = found["dyna"]
    assert np.mean(dyna["50 planning steps"][3:8]) < 25 < np.mean(dyna["0 planning steps"][3:8])
    walk = {name: min(errors) for name, errors in found["random walk"].items() if name != "step sizes"}
    assert (
        min(walk, key=lambda k: walk[k]) in ("lambda 0.4", "lambda 0.8", "lambda 0.9")
        and max(walk, key=lambda k: walk[k]) == "lambda 1"
    )
