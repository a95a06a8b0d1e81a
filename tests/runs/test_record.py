import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runs import record, worker
from runs.recipe import resolve as resolve_recipe

SCORE = dict.fromkeys(("episodes", "mean", "std", "iqm", "returns", "lengths", "protocol", "sample"), 0)

FAILED = {"status": "failed", "error": "boom"}


class Busy:
    """A meter that found other work."""

    def read(self) -> tuple[float, float]:
        return 3.0, 0.71234


def test_a_recorded_result_says_how_busy_others_kept_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(command: list[str], **options: Any) -> Any:
        return subprocess.CompletedProcess(command, 0, json.dumps(SCORE), "")

    monkeypatch.setattr(record, "TREES", tmp_path)
    monkeypatch.setattr(record, "Meter", Busy)
    monkeypatch.setattr(record, "read_jsonl", lambda path: [])
    monkeypatch.setattr(record.subprocess, "run", ran)
    (tmp_path / ".commit").write_text("abc")
    run = resolve_recipe("cartpole_dqn")
    assert record._train_seed("cartpole_dqn", run, "mark", 0, tmp_path, 1)["others"] == 0.712
    (tmp_path / "cartpole_dqn-mark" / "seed-0" / "checkpoints" / "step-000000010").mkdir(parents=True)
    again = record._train_seed("cartpole_dqn", run, "mark", 0, tmp_path, 1)
    assert again["others"] is None, "of the part before the interruption nobody knows"


def test_the_work_of_a_child_that_has_ended_is_not_the_work_of_others() -> None:
    meter = worker.Meter()
    loop = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.4: pass"
    subprocess.run([sys.executable, "-c", loop], check=True)
    time.sleep(0.05)
    own, others = meter.read()
    assert own > 0.39 and others >= 0


def test_a_table_that_cannot_be_written_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(results: Path) -> Path:
        raise ImportError("agents/ is being edited")

    monkeypatch.setattr(record, "write_table", broken)
    monkeypatch.setattr(record, "export_tree", lambda: tmp_path)
    monkeypatch.setattr(record, "_train_seed", lambda recipe, run, mark, seed, *rest: {"seed": seed, **FAILED})
    said: list[str] = []
    results = record.record("cartpole_dqn", seeds=2, results=tmp_path / "results", say=said.append)
    assert [r["seed"] for r in results] == [0, 1]
    assert sum("agents/ is being edited" in line for line in said) == 2
    monkeypatch.setattr(record, "write_table", lambda results: said.append("written") or results)
    record.record("cartpole_dqn", seeds=2, results=tmp_path / "results", say=said.append)
    assert said[-1] == "written", "nothing to train, the table is mended"
