"""`rl train --seeds`: one folder, one page, one line."""

from pathlib import Path
from typing import Any

import pytest

from rl.errors import InputError
from runs.cli import command_line as cli
from runs.cli import verbs
from runs.comparing import senders
from runs.comparing.many_seeds import summary, train_seeds
from runs.comparing.senders import failed
from runs.comparing.worker import work

QUICK: dict[str, Any] = {"steps": 60, "settings": ["learning_starts=20", "eval_episodes=1"]}


def answer(job: dict[str, Any]) -> dict[str, Any]:
    score = 10.0 * job["seed"]
    found = {"status": "ok", "error": None, "score": score, "returns": [score], "steps": 60}
    return {**failed(job, "lost"), **({} if job["seed"] == 3 else found)}


def test_each_seed_has_a_folder_that_can_be_evaluated_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[int] = []

    def here(job: dict[str, Any]) -> dict[str, Any]:
        if job["kind"] == "random":
            return answer(job)
        done.append(job["seed"])
        return work(job)

    monkeypatch.setattr(senders, "run_job", here)
    found = train_seeds("cartpole_dqn", seeds=2, out=tmp_path / "m", **QUICK)
    assert [p.name for p in sorted((tmp_path / "m").glob("seed-*/run.json"))] == ["run.json"] * 2
    assert found["seeds"] == [0, 1] and len(found["scores"]) == 2 and Path(found["report"]).exists()
    train_seeds("cartpole_dqn", seeds=3, out=tmp_path / "m", **QUICK)
    assert done == [0, 1, 2], "the same command trains what is missing"

    assert cli.main(["evaluate", str(tmp_path / "m"), "--episodes", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all("CartPole-v1 dqn step 60" in line for line in lines)
    assert cli.main(["resume", str(tmp_path / "m" / "seed-1"), "--steps", "70", "--track", "off", "-q"]) == 0

    with pytest.raises(InputError, match="holds other trainings"):
        train_seeds("cartpole_dqn", seeds=2, out=tmp_path / "m", **QUICK | {"steps": 80})


def test_the_summary_is_one_line_with_iqm_interval_and_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "run_job", answer)
    found = train_seeds("cartpole_dqn", seeds=6, jobs=2, out=tmp_path / "m", **QUICK)
    assert [f["seed"] for f in found["failed"]] == [3] and found["scores"][3] == 0.0, "the random policy's score"
    assert "trainings are still to come" not in Path(found["report"]).read_text()
    line = summary(found)
    assert line.startswith(f"CartPole-v1 dqn: IQM {found['iqm']:.3g} [") and "6 seeds, 1 failed" in line


@pytest.mark.parametrize(
    "words, line",
    [
        (["--seeds", "2", "--seed", "1"], "--seed is for one training: leave it or --seeds out"),
        (["--seeds", "2", "--watch"], "--watch is for one training"),
        (["--seeds", "2", "--until", "9"], "--until is for one training"),
        (["--jobs", "2"], "--jobs 2 needs --seeds"),
        (["--seeds", "0"], "must be at least 1"),
    ],
)
def test_options_of_one_training_are_refused(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verbs, "_call", lambda *a, **k: pytest.fail("it was started"))
    assert cli.main(["train", "cartpole_dqn", *words]) == 2
    assert line in capsys.readouterr().err


def test_a_suite_is_trained_by_one_agent_into_one_page_with_one_line_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(senders, "run_job", answer)
    words = [
        "train",
        "classic",
        "--agent",
        "ppo",
        "--seeds",
        "2",
        "--steps",
        "9000",
        "--out",
        str(tmp_path / "m"),
        "-q",
    ]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    envs = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3"]
    assert [line.split()[0] for line in lines[:4]] == envs and lines[-1].endswith("report.html")
    assert cli.main(["train", "classic", "-q"]) == 2
    assert "rl train classic needs --agent, which has recipes here for a2c" in capsys.readouterr().err


def test_the_page_of_a_running_training_says_what_is_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []

    def send(job: dict[str, Any]) -> dict[str, Any]:
        page = tmp_path / "m" / "report.html"
        pages.append(page.read_text() if page.exists() else "")
        return answer(job)

    monkeypatch.setattr(senders, "run_job", send)
    monkeypatch.setattr("runs.comparing.comparison.PAGE_SECONDS", 0.0)
    found = train_seeds("cartpole_dqn", seeds=3, out=tmp_path / "m", **QUICK)
    assert "2 trainings are still to come" in pages[2] and 'http-equiv="refresh"' in pages[2]
    assert 'http-equiv="refresh"' not in Path(found["report"]).read_text()
