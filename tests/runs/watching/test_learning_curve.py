"""The learning curve is drawn from what a run leaves, finished or not."""

import json

import numpy as np
import pytest

from rl.errors import InputError
from runs.watching.learning_curve import learning_curve, smoothed


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_curve_of_a_growing_run(tmp_path):
    with pytest.raises(InputError, match="no finished episode yet"):
        learning_curve(tmp_path)
    write(tmp_path / "run.json", [{"recipe": {"env": "CartPole-v1", "agent": {"name": "dqn"}, "seed": 3}}])
    write(tmp_path / "episodes.jsonl", [{"step": 100 * k, "return": float(k), "length": 3} for k in range(1, 60)])
    before = learning_curve(tmp_path).read_bytes()
    assert before.startswith(b"\x89PNG")
    scores = [{"step": 2000 * k, "mean": 4.0 * k, "returns": [3.0 * k, 5.0 * k]} for k in range(1, 4)]
    write(tmp_path / "evaluations.jsonl", [*scores, {"step": 8000, "mean": None, "returns": []}])
    with open(tmp_path / "episodes.jsonl", "a") as file:
        file.write('{"step": 6000, "ret')  # a line that is being written
    assert learning_curve(tmp_path, tmp_path / "other.png").read_bytes() != before
    write(tmp_path / "evaluations.jsonl", scores[:1])
    with_spread = learning_curve(tmp_path).read_bytes()
    write(tmp_path / "evaluations.jsonl", [{**scores[0], "returns": [4.0, 4.0]}])
    assert learning_curve(tmp_path).read_bytes() != with_spread, "one evaluation's spread is seen too"
    assert sorted(p.name for p in tmp_path.glob("*.png")) == ["learning-curve.png", "other.png"]


def test_smoothing_takes_means_of_neighbours():
    steps, values = smoothed(np.arange(5.0), np.array([1.0, 3.0, 5.0, 7.0, 9.0]), 2)
    assert steps.tolist() == [1, 2, 3, 4]
    assert values.tolist() == [2, 4, 6, 8]
