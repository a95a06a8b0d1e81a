"""The line that a training begins with, and a finished run that is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.training.train import resume, train

SMALL = ["net.hidden=16", "learning_starts=20", "buffer_size=100", "eval_episodes=1", "eval_max_steps=20"]


@pytest.mark.parametrize(
    ("env", "agent", "settings", "words"),
    [
        ("CartPole-v1", "dqn", [], "CartPole-v1, 1 environment; dqn: mlp, 114 parameters; on cpu; replay of 100 rows"),
        ("CartPole-v1", "r2d2", ["core_size=8"], "; r2d2: mlp and lstm, "),
        ("Arcade/Breakout-v1", "dqn", [], "; dqn: board, "),
    ],
)
def test_a_training_says_what_it_trains(
    env: str, agent: str, settings: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(env, agent=agent, steps=30, settings=[*SMALL, *settings], out=tmp_path, quiet=False, device="cpu")
    assert words in capsys.readouterr().err.splitlines()[0]


def test_resuming_a_finished_run_changes_nothing_and_returns_its_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train("CartPole-v1", agent="dqn", steps=60, settings=SMALL, out=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = resume(tmp_path)
    assert "has finished its 60 steps; --steps gives a larger total" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    same = ("env", "agent", "step", "episodes", "mean", "std", "iqm", "returns", "lengths", "seeds", "sample", "steps")
    assert {k: again[k] for k in same} == {k: first[k] for k in same}
