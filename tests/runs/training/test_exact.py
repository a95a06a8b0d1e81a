"""Exact expected returns of policies, in scores and comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import runs
from runs.cli.show import exact_words

PLAN = {"eval_episodes": 5, "eval_every": 0}


def test_a_score_holds_the_exact_return_of_the_policy_and_the_optimum(tmp_path: Path) -> None:
    done = runs.train("FrozenLake-v1", agent="value_iteration", steps=150, settings=PLAN, out=tmp_path / "run")
    assert done["exact"] == pytest.approx(done["optimum"]) == pytest.approx(0.74419, abs=1e-5)
    again = runs.evaluate(tmp_path / "run", episodes=3, seed=5)
    assert again["exact"] == done["exact"]
    assert "exact" not in runs.evaluate(tmp_path / "run", episodes=1) or again["optimum"] == done["optimum"]
    assert runs.resume(tmp_path / "run")["exact"] == done["exact"]


def test_without_the_clock_the_usual_policy_loses_what_dynamic_programming_says(tmp_path: Path) -> None:
    settings = {**PLAN, "clock": False, "gamma": 0.99}
    done = runs.train("FrozenLake8x8-v1", agent="value_iteration", steps=900, settings=settings, out=tmp_path / "run")
    assert done["exact"] == pytest.approx(0.8630, abs=5e-5)
    assert exact_words(done) == "exact expected return 0.86296, 0.05 below the optimum of 0.91322"


def test_a_network_has_an_exact_return_as_well_and_a_drawn_policy_has_none(tmp_path: Path) -> None:
    small = {**PLAN, "net.hidden": 8}
    dqn = runs.train("FrozenLake-v1", agent="dqn", steps=1100, settings=small, out=tmp_path / "dqn")
    assert 0 <= dqn["exact"] <= dqn["optimum"]
    drawn = runs.evaluate(tmp_path / "dqn", episodes=1, sample=True)
    assert "exact" not in drawn and drawn["optimum"] == dqn["optimum"]
    cartpole = runs.train("CartPole-v1", agent="dqn", steps=1100, settings=small, out=tmp_path / "cartpole")
    assert "exact" not in cartpole and "optimum" not in cartpole


def test_a_comparison_gives_the_distance_to_the_optimum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = runs.compare(
        "FrozenLake-v1",
        "value_iteration,random",
        steps=200,
        seeds=1,
        videos=False,
        evaluations=1,
        out=tmp_path / "c",
        quiet=False,
    )
    below = {c["name"]: c["below"] for c in found["contenders"]}
    assert below["value_iteration"] == pytest.approx(0) and below["random"] > 0.5
    task = json.loads((tmp_path / "c" / "comparison.json").read_text())["tasks"][0]
    assert task["optimum"] == pytest.approx(0.74419, abs=1e-5)
    said = capsys.readouterr().out
    assert "FrozenLake-v1: value_iteration 0.74419 is 0 below the optimum of 0.74419" in said
    assert "below the optimum of 0.74419" in (tmp_path / "c" / "report.md").read_text()
