"""Scores in a run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs import evaluate, train
from runs.folder.jsonl import read_jsonl


@pytest.mark.parametrize("vector", ["sync", "async"])
def test_every_score_of_a_run_is_a_sum_of_float64(vector: str, tmp_path: Path) -> None:
    """Five rewards of 100,000,001, which float32 rounds to 100,000,000."""
    settings = ["rollout=20", "eval_episodes=2", f"vector={vector}", "normalize_return=true"]
    out = tmp_path / "run"
    score = train("tests.envs.test_numbers:Rich", agent="ppo", steps=60, num_envs=2, settings=settings, out=out)
    assert score["returns"] == [500_000_005.0] * 2 == evaluate(out, episodes=2)["returns"]
    assert {line["return"] for line in read_jsonl(out / "episodes.jsonl")} == {500_000_005.0}
    assert {line["mean"] for line in read_jsonl(out / "evaluations.jsonl")} == {500_000_005.0}
