"""`rl tune SUITE`: one search a task, one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rl.errors import InputError, RunError
from runs.comparing import compare as comparing
from runs.comparing.senders import failed
from runs.comparing.suites import SUITES
from runs.tuning import tune as tuning
from runs.tuning.suite import tune_suite
from tests.runs.tuning.made_up import STEPS, Job, answer

TASKS = ("CartPole-v1", "Acrobot-v1", "Taxi-v4")


def searched(monkeypatch: pytest.MonkeyPatch, out: Path, send: Any = answer, **options: Any) -> dict[str, Any]:
    monkeypatch.setitem(SUITES, "three", TASKS)
    monkeypatch.setattr(tuning, "sender", lambda on, plan: send)
    monkeypatch.setattr(comparing, "sender", lambda on, plan: send)
    given = {"agent": "dqn", "trials": 2, "seeds": 1, "steps": STEPS, "settings": ["agent.learning_starts=100"]}
    return tune_suite("three", out=out, **(given | options))


def test_each_task_has_one_search_in_its_own_folder_and_a_line_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = searched(monkeypatch, tmp_path / "s")
    names = ["cartpole_dqn", "acrobot_dqn", "Taxi-v4"]
    assert [r["task"] for r in found["results"]] == names, "the agent's recipe where there is one"
    assert all((tmp_path / "s" / name / "report.html").exists() for name in names)
    better = sum(r["candidates"][0]["verdict"] == "better" for r in found["results"])
    assert found["headline"].startswith(f"{better} of 3 searches found better values than the start values")
    page = (tmp_path / "s" / "report.md").read_text()
    assert all(f"- [{name}]({name}/report.html)" in page for name in names) and "2 + 0 pruned + 0 failed" in page
    assert "Data as CSV" not in (tmp_path / "s" / "report.html").read_text(), "that button writes a comparison's table"
    again = searched(monkeypatch, tmp_path / "s", send=lambda job: pytest.fail("trained twice"))
    assert again["results"] == found["results"]


def test_a_search_that_fails_is_a_line_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(job: Job) -> dict[str, Any]:
        return failed(job, "no <b>memory</b>") if job["env"] == "Acrobot-v1" else answer(job)

    found = searched(monkeypatch, tmp_path / "s", send)
    assert ["error" in r for r in found["results"]] == [False, True, False]
    page = (tmp_path / "s" / "report.html").read_text()
    assert "acrobot_dqn: none of 2 trials finished, the first failed: no &lt;b&gt;memory&lt;/b&gt;" in page
    with pytest.raises(RunError, match="every search of three failed, the first: none of 2 trials finished"):
        searched(monkeypatch, tmp_path / "t", lambda job: failed(job, "no"))


def test_bad_input_starts_nothing_and_another_folder_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options, words in (({"trials": None}, "give --minutes or --trials"), ({"agent": "td3"}, "td3")):
        with pytest.raises(InputError, match=words):
            searched(monkeypatch, tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    with pytest.raises(InputError, match="holds something else: name a new folder or that of this suite"):
        searched(monkeypatch, tmp_path / "mine")
    assert (tmp_path / "mine" / "report.html").read_text() == "mine"
