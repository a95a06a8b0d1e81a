"""Matches of a run against a known player, both sides of each opening."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rl.errors import InputError
from runs.bench.match import match
from runs.folder.failure import exit_status
from runs.training.train import train


def test_a_search_of_tic_tac_toe_loses_no_game_and_both_sides_are_counted(tmp_path: Path) -> None:
    settings = ["tuples=4", "length=4", "search.solve=100", "env.options.self_play=true", "eval_episodes=1"]
    train("Boards/TicTacToe-v1", agent="ntuple", steps=64, num_envs=8, settings=settings, out=tmp_path)
    found = match(tmp_path, "random", [0, 100], games=20)
    alone, search = (found["simulations"][many] for many in ("0", "100"))
    assert search["lost"] == 0 and search["won"] == search["won_first"] + search["won_second"]
    assert all(r["won"] + r["drawn"] + r["lost"] == 20 for r in (alone, search))
    again = match(tmp_path, "random", [0, 100], games=20, beside="minimax:6")
    assert again.pop("beside")["minimax:6"]["won"] > 10 and found == again
    assert found["plies"] == 2  # a quarter of nine, and of the ten that were asked for
    assert match(tmp_path, "random", [0], games=2, plies=1)["plies"] == 1


def test_what_cannot_be_played_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be an even number, two for each opening, got 3"):
        settings = ["env.options.self_play=true", "eval_episodes=1"]
        train("Boards/TicTacToe-v1", agent="ntuple", steps=16, num_envs=8, settings=settings, out=tmp_path)
        match(tmp_path, "random", [0], games=3)
    with pytest.raises(InputError, match="plies must be at least 1, got 0"):
        match(tmp_path, "random", [0], plies=0)


@pytest.mark.parametrize("tool", ["match", "strength"])
def test_a_measuring_tool_fails_in_one_line(tool: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", f"runs.bench.{tool}", str(tmp_path / "none")]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("rl: no run at") and line.endswith("no such folder")


def test_ctrl_c_ends_a_measuring_tool_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def tool() -> None:
        raise KeyboardInterrupt

    assert exit_status(tool) == 130 and capsys.readouterr().err == "rl: interrupted\n"
