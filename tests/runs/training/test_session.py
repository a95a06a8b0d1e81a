"""The training loop as a generator: `runs.train` is this loop, and each example of docs/session.md runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import runs
from rl import checkpoint
from rl.errors import InputError
from runs.cli import command_line as cli
from runs.training import session
from runs.training.automatic import EvaluationBudget
from runs.training.progress import Progress
from runs.training.session import Turn

SMALL = [
    "net.hidden=16",
    "learning_starts=20",
    "buffer_size=200",
    "eval_episodes=2",
    "eval_max_steps=20",
    "log_every=50",
]
EXAMPLES = re.findall(
    r"## (.+?)\n.*?```python\n(.*?)```", (Path(__file__).parents[3] / "docs/session.md").read_text(), re.S
)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def start(out: Path, **more: Any) -> Any:
    return runs.session("CartPole-v1", agent="dqn", steps=200, settings=SMALL, out=out, device="cpu", **more)


def weights(run: Path) -> bytes:
    (newest,) = sorted((run / "checkpoints").iterdir())[-1:]
    return (newest / "agent.safetensors").read_bytes()


def test_a_loop_that_evaluates_and_saves_at_every_turn_learns_the_same_weights_as_train(tmp_path: Path) -> None:
    result = runs.train("CartPole-v1", agent="dqn", steps=200, settings=SMALL, out=tmp_path / "a", device="cpu")
    for slot in start(tmp_path / "b"):
        if slot.step % 40 == 0:
            assert slot.evaluate(1).step == slot.step
            assert slot.save() == checkpoint.checkpoint_path(slot.folder, slot.step) == slot.save()
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert slot.step == slot.score.step == 200 and slot.score.returns == result["returns"]


def test_stop_saves_evaluates_and_leaves_a_run_that_resume_takes_to_the_weights_of_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    runs.train("CartPole-v1", agent="dqn", steps=200, settings=SMALL, out=tmp_path / "whole", device="cpu")
    for slot in start(tmp_path / "part"):
        if slot.step == 100:
            slot.stop()
    info = json.loads((tmp_path / "part/run.json").read_text())
    assert (slot.step, slot.score.step, info["stopped"]) == (100, 100, 100)
    assert runs.resume(tmp_path / "part", device="cpu")["steps"] == 200
    assert weights(tmp_path / "whole") == weights(tmp_path / "part")
    assert "stopped" not in json.loads((tmp_path / "part/run.json").read_text())


@pytest.mark.parametrize("way", ["break", "raise"])
def test_leaving_the_loop_early_saves_the_run_and_releases_its_folder(way: str, tmp_path: Path) -> None:
    def leave() -> None:
        for slot in start(tmp_path):
            if slot.step == 100:
                if way == "raise":
                    raise ZeroDivisionError
                break

    if way == "raise":
        with pytest.raises(ZeroDivisionError):
            leave()
    else:
        leave()
    assert checkpoint.checkpoint_path(tmp_path, 100).exists()
    assert runs.resume(tmp_path, device="cpu")["steps"] == 200


def test_own_numbers_and_metrics_are_those_of_the_next_line(tmp_path: Path) -> None:
    seen = {}
    for slot in start(tmp_path):
        slot.log(twice=2 * slot.step)
        seen[slot.step] = slot.metrics
    logged = lines(tmp_path / "metrics.jsonl")
    assert [line["own/twice"] for line in logged] == [2 * (line["step"] - 1) for line in logged]
    assert logged[-1]["train/loss"] == pytest.approx(seen[200]["train/loss"])


def test_nothing_starts_before_the_first_turn(tmp_path: Path) -> None:
    start(tmp_path / "never")
    with pytest.raises(InputError, match="unknown"):
        next(runs.session("no_such_recipe", out=tmp_path / "never"))
    assert not (tmp_path / "never").exists()


def test_until_ends_at_the_first_evaluation_that_reaches_it_after_all_games_confirm(tmp_path: Path) -> None:
    every = [*SMALL, "eval_every=40"]
    low = runs.train("CartPole-v1", agent="dqn", steps=200, settings=every, out=tmp_path / "low", until=5)
    high = runs.train("CartPole-v1", agent="dqn", steps=200, settings=every, out=tmp_path / "high", until=400)
    assert (low["steps"], low["step"], low["episodes"]) == (40, 40, 2) and low["mean"] >= 5
    assert [line["step"] for line in lines(tmp_path / "low/evaluations.jsonl")] == [40]
    assert high["steps"] == 200


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["record", "cartpole_dqn", "--until", "400"], "--until: a recorded or compared result has a fixed budget"),
        (["compare", "cartpole_dqn", "--agents", "dqn", "--until=9"], "--until: a recorded or compared result has"),
        (["train", "cartpole_dqn", "--until", "nan"], "expected a finite number, got 'nan'"),
        (["train", "cartpole_dqn", "--until", "high"], "expected a finite number, got 'high'"),
        (["train", "cartpole_dqn", "--until", "9", "--set", "eval_every=0"], "--until 9 needs evaluations"),
    ],
)
def test_an_end_that_cannot_be_is_refused_in_one_line(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and complaint in said[0] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_an_example_of_the_docs_runs(title: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, title, "exec"), names)
    slot: Turn = names["slot"]
    logged = lines(slot.folder / "metrics.jsonl")
    match title:
        case "Early stopping":
            assert slot.step < 4_000 and slot.score is not None and slot.score.mean >= 20
        case "A custom metric":
            assert logged[-1]["own/distance"] > 0
        case "A curriculum":
            assert [p.name for p in sorted(tmp_path.iterdir())] == ["stage-0", "stage-1", "stage-2"]
        case "A custom schedule":
            rates = [line["train/lr"] for line in logged]
            assert rates == sorted(rates, reverse=True) and rates[0] < 1e-3 and rates[-1] < 1e-5
        case _:
            raise AssertionError(f"an example without a claim: {title}")


def test_the_four_examples_are_there() -> None:
    assert [t for t, _ in EXAMPLES] == ["Early stopping", "A custom metric", "A curriculum", "A custom schedule"]


def told(out: Path, capsys: pytest.CaptureFixture[str], env: str, agent: str, *settings: str) -> list[str]:
    """What a training of 60 steps says on standard error."""
    runs.train(env, agent=agent, steps=60, settings=settings, out=out, device="cpu", quiet=False)
    return capsys.readouterr().err.splitlines()


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress says every step and every evaluation."""
    monkeypatch.setattr(Progress, "every_seconds", 0.0)
    monkeypatch.setattr(session, "SHOW_SECONDS", 0.0)


@pytest.mark.usefixtures("talkative")
@pytest.mark.parametrize(
    ("env", "agent", "settings", "result"),
    [
        ("CartPole-v1", "dqn", SMALL, r"return \d+\.\d"),
        ("Boards/TicTacToe-v1", "dqn", [*SMALL, "env.options.opponent=self"], r"\d+ games of \d steps"),
        (
            "Boards/TicTacToe-v1",
            "mcts",
            ["simulations=2", "eval_episodes=1", "env.options.self_play=true"],
            r"\d+ games of \d steps",
        ),
    ],
)
def test_progress_shows_the_return_and_of_self_play_the_number_of_games(
    env: str, agent: str, settings: list[str], result: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [line for line in told(tmp_path, capsys, env, agent, *settings) if "steps/s" in line]
    assert said[0].endswith(", no game has ended")
    assert re.fullmatch(rf"60 of 60 steps, .* s left, {result}", said[-1])


@pytest.mark.usefixtures("talkative")
def test_an_evaluation_on_the_way_says_that_the_final_one_has_more_games(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(EvaluationBudget, "allows", lambda *_: True)
    said = told(tmp_path, capsys, "CartPole-v1", "dqn", *SMALL, "eval_episodes=10")
    counted = [line for line in said if line.startswith("evaluating, ")]
    assert counted[0] == "evaluating, 0 of 5 games over (the final evaluation plays 10)"
    assert counted[-1] == "evaluating, 10 of 10 games over"
