"""Default runs save and evaluate by themselves, within their share of the training's time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from runs.folder.jsonl import read_jsonl
from runs.folder.places import ROOT
from runs.training.automatic import EvaluationBudget, SaveClock
from runs.training.train import resume, train
from tests.runs.training.test_resume import assert_equal, final_state

SMALL = ["net.hidden=16", "learning_starts=50", "eval_max_steps=30", "eval_episodes=2"]


def test_a_save_is_due_after_ten_seconds_then_in_less_than_a_minute() -> None:
    clock = SaveClock()
    assert not clock.due(9.9) and clock.due(10.0)
    clock.saved(10.0, cost=0.1)
    assert not clock.due(59.9) and clock.due(60.0), "with an evaluation in between a kill costs at most a minute"


def test_saves_take_at_most_a_fiftieth_of_the_time() -> None:
    clock = SaveClock()
    clock.saved(10.0, cost=3.0)  # 2% of 150 seconds
    assert not clock.due(159.0) and clock.due(160.0)
    assert not clock.allows(159.0) and clock.allows(160.0), "nor may an evaluation bring one forward"


def test_a_watched_run_saves_every_five_seconds() -> None:
    clock = SaveClock(watched=True)
    assert clock.due(5.0)
    clock.saved(5.0, cost=0.01)
    assert not clock.due(9.0) and clock.due(10.0)


def test_automatic_evaluations_take_at_most_a_tenth_of_the_time() -> None:
    budget = EvaluationBudget()
    assert not budget.allows(10.0, 1000, None, 5), "no training episode has ended: nobody knows how long a game is"
    assert budget.allows(10.0, 1000, 20.0, 5)  # 5 games of 20 steps at 10 ms: 1 second of 10
    assert not budget.allows(10.0, 1000, 21.0, 5)
    budget.evaluated(cost=0.5, steps=100)
    assert budget.allows(11.0, 1100, 20.0, 6)  # 0.5 spent + 6 games of 20 steps at 5 ms = 1.1
    assert not budget.allows(10.9, 1100, 20.0, 6)
    budget.evaluated(cost=0.6, steps=120)
    assert budget.allows(17.0, 1700, 20.0, 6) and not budget.allows(16.9, 1700, 20.0, 6)  # 1.1 spent and 0.6


def test_a_run_without_settings_evaluates_about_ten_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EvaluationBudget, "allows", lambda *_: True)
    train("CartPole-v1", agent="dqn", steps=300, settings=SMALL, out=tmp_path)
    lines = read_jsonl(tmp_path / "evaluations.jsonl")
    assert [line["step"] for line in lines] == list(range(30, 301, 30))
    assert {len(line["returns"]) for line in lines} == {2}


def test_recorded_trainings_evaluate_and_save_as_before(tmp_path: Path) -> None:
    words = [*SMALL, "eval_every=0", "save_every=0"]
    train("CartPole-v1", agent="dqn", steps=300, settings=words, out=tmp_path)
    assert [line["step"] for line in read_jsonl(tmp_path / "evaluations.jsonl")] == [300]
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000000300"]


KILLED = """
    import os, signal, sys
    from runs.training import automatic
    automatic.FIRST_SAVE = automatic.SAVE_SECONDS = 0.15
    automatic.SAVE_SHARE = 1.0
    from runs import train
    from runs.training import session
    if sys.argv[2] == "kill":
        steps, save = [], session.Session.save
        def once(self):
            saved = save(self)
            steps.append(self.step)
            if len(steps) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return saved
        session.Session.save = once
    train("CartPole-v1", agent="dqn", steps=3000, settings=["net.hidden=16", "learning_starts=50", "eval_episodes=2"],
          out=sys.argv[1])
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_default_run_that_is_killed_goes_on_to_the_bit(tmp_path: Path) -> None:
    code = textwrap.dedent(KILLED)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name in ("kill", "whole"):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / name), name], env=env, check=False)
        assert done.returncode == (-signal.SIGKILL if name == "kill" else 0)
    resume(tmp_path / "kill")
    killed, whole = final_state(tmp_path / "kill"), final_state(tmp_path / "whole")
    for part in ("agent", "learner", "session", "rows", "episodes"):
        assert_equal(killed[part], whole[part])


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_viewer_sees_that_its_trainer_was_killed(tmp_path: Path) -> None:
    report = tmp_path / "report"
    viewer = f"""
    import time
    from pathlib import Path
    from runs.folder.processes import trainer_has_ended
    Path({str(report)!r}).write_text(str(trainer_has_ended()))
    while not trainer_has_ended():
        time.sleep(0.02)
    Path({str(report)!r}).write_text("ended")
    """
    trainer = f"""
    import os, subprocess, sys, time
    from runs.folder.processes import TRAINER
    env = {{**os.environ, TRAINER: str(os.getpid())}}
    subprocess.Popen([sys.executable, "-c", {textwrap.dedent(viewer)!r}], env=env)
    time.sleep(60)
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(trainer)], env=env)

    def wait(word: str) -> None:
        deadline = time.monotonic() + 30
        while not report.exists() or report.read_text() != word:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    wait("False")
    process.kill()
    process.wait()
    wait("ended")


def test_a_stop_during_an_evaluation_saves_first_and_the_evaluation_is_played_on_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs.training import session

    whole = session.play_games

    def stopped(agent: Any, run: Any, **options: Any) -> Any:
        if agent.step < run.steps and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            signal.raise_signal(signal.SIGINT)
        return whole(agent, run, **options)

    monkeypatch.setattr(session, "play_games", stopped)
    words = [*SMALL, "eval_every=100", "save_every=0"]
    with pytest.raises(session.Stopped, match="stopped by SIGINT at step 100"):
        train("CartPole-v1", agent="dqn", steps=200, settings=words, out=tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000000100"]
    assert read_jsonl(tmp_path / "run" / "evaluations.jsonl") == []
    resume(tmp_path / "run")
    train("CartPole-v1", agent="dqn", steps=200, settings=words, out=tmp_path / "whole")
    texts = [read_jsonl(tmp_path / name / "evaluations.jsonl") for name in ("run", "whole")]
    for line in (line for text in texts for line in text):
        del line["seconds"]
    assert json.dumps(texts[0]) == json.dumps(texts[1])


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_five_ctrl_c_within_fifty_milliseconds_save_once_and_end_in_one_line(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["train", "CartPole-v1", "--agent", "dqn", "--steps", "1000000", "--out", str(tmp_path / "run"), "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "runs", *words], env=env, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    lines = [line for line in err.splitlines() if not line.startswith("W&B")]
    assert process.returncode == 130 and len(lines) == 1 and "stopped by SIGINT at step" in lines[0]
    last = read_jsonl(metrics)[-1]["step"]
    assert max(int(p.name[5:]) for p in (tmp_path / "run" / "checkpoints").iterdir()) >= last
