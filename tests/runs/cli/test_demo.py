"""`make demo` leaves what it promises, and says where."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from runs.cli import demo


@pytest.mark.filterwarnings("ignore")
def test_the_demo_leaves_a_video_and_a_learning_curve_and_says_where(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    words = ["--steps", "1500", "--num-envs", "4", "--set", "eval_episodes=2", "--track", "off", "--quiet"]
    monkeypatch.setattr(sys, "argv", ["demo", *words])
    assert demo.main() == 0
    said = dict(
        line.split(":", 1) for line in capfd.readouterr().out.splitlines() if line.startswith(("video:", "learn"))
    )
    picture = cv2.imread(said["learning curve"].strip())
    assert picture.shape == (540, 960, 3)
    assert (picture != 255).any()
    video = Path(said["video"].strip())
    assert video.parent.parent.parent == tmp_path / "runs" / "out"
    ok, frame = cv2.VideoCapture(str(video)).read()
    assert ok
    assert frame.shape[2] == 3


def test_a_demo_that_cannot_start_returns_the_status_and_draws_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo", "--set", "gamma=2"])
    assert demo.main() == 2
    assert list(tmp_path.iterdir()) == []
    assert "gamma must lie in [0, 1], got 2" in capfd.readouterr().err


def test_the_command_of_make_test_full_is_one_that_pytest_takes():
    """An option of ours given apart from its value is a path to pytest, which then finds no option of that name."""
    root = Path(__file__).parents[3]
    line = next(line for line in (root / "Makefile").read_text().splitlines() if "--summary" in line)
    words = shlex.split(line.partition("-m pytest")[2])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--markers"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
