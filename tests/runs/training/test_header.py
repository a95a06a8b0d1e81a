"""The line that a training begins with, and a finished run that is resumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runs.recipe import resolve, values_taken
from runs.training.train import resume, train

SMALL = ["net.hidden=16", "learning_starts=20", "buffer_size=100", "eval_episodes=1", "eval_max_steps=20"]


@pytest.mark.parametrize(
    ("env", "agent", "settings", "words"),
    [
        (
            "CartPole-v1",
            "dqn",
            [],
            "CartPole-v1, 1 environment, compiled; dqn: mlp, 114 parameters; on cpu; replay of 100 rows",
        ),
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


def test_the_header_says_how_the_environments_are_stepped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for vector, words in {"auto": "8 environments, compiled; ", "sync": "8 environments; "}.items():
        settings = [*SMALL, f"env.vector={vector}"]
        train("CartPole-v1", agent="dqn", steps=40, num_envs=8, settings=settings, out=tmp_path / vector, quiet=False)
        assert f"CartPole-v1, {words}" in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize(
    ("recipe", "agent", "words"),
    [
        ("CartPole-v1", None, "default values of dqn; `rl train cartpole_dqn` takes tuned ones"),
        ("CartPole-v1", "rainbow", "default values of rainbow; `rl train cartpole_rainbow` takes tuned ones"),
        ("Probe/Nested-v0", "ppo", "default values of ppo"),
        ("cartpole_dqn", None, "values of cartpole_dqn"),
        ("cartpole_dqn", "dqn", "values of cartpole_dqn"),
        ("cartpole_c51", "rainbow", "default values of rainbow; `rl train cartpole_rainbow` takes tuned ones"),
    ],
)
def test_the_values_that_a_training_takes_are_named(recipe: str, agent: str | None, words: str) -> None:
    assert values_taken(recipe, agent, resolve(recipe, agent=agent)) == words


def until(words: str, command: list[str]) -> str:
    """The first line of `command`'s standard error with `words`. The command is ended there; empty if none has them."""
    with subprocess.Popen([sys.executable, "-m", "runs", *command], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = next((line for line in process.stderr if words in line), "")
        process.terminate()
        return found


@pytest.mark.full
def test_train_and_compare_name_the_same_recipe_for_the_same_words(tmp_path: Path) -> None:
    trained = until(
        "values of", ["train", "CartPole-v1", "--agent", "dqn", "--track", "off", "--out", str(tmp_path / "run")]
    )
    compared = until(
        "recipe",
        ["compare", "CartPole-v1", "--agents", "dqn,random", "--seeds", "1", "--out", str(tmp_path / "compared")],
    )
    assert "default values of dqn; `rl train cartpole_dqn` takes tuned ones" in trained
    assert "dqn on CartPole-v1: recipe cartpole_dqn" in compared
