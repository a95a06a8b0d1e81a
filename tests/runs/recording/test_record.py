import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from rl.errors import InputError
from runs.folder import places, provenance
from runs.folder.places import RECIPES, ROOT
from runs.recipe import resolve as resolve_recipe
from runs.recording import record, table, tree

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

    monkeypatch.setattr(tree, "TREES", tmp_path)
    monkeypatch.setattr(record, "Meter", Busy)
    monkeypatch.setattr(record, "read_jsonl", lambda path: [])
    monkeypatch.setattr(record, "run_child", ran)
    monkeypatch.setattr(record, "read_json", lambda path: {"versions": {"torch": "2"}})
    (tmp_path / ".commit").write_text("abc")
    run = resolve_recipe("cartpole_dqn")
    assert record._train_seed("cartpole_dqn", run, "mark", 0, tmp_path, 1)["others"] == 0.712
    (tmp_path / "cartpole_dqn-mark" / "seed-0" / "checkpoints" / "step-000000010").mkdir(parents=True)
    again = record._train_seed("cartpole_dqn", run, "mark", 0, tmp_path, 1)
    assert again["others"] is None, "of the part before the interruption nobody knows"


def test_the_work_of_a_child_that_has_ended_is_not_the_work_of_others() -> None:
    meter = provenance.Meter()
    loop = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.4: pass"
    subprocess.run([sys.executable, "-c", loop], check=True)
    time.sleep(0.05)
    own, others = meter.read()
    assert own > 0.39 and others >= 0


def test_a_child_that_ends_while_it_is_measured_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def cpu_times(self) -> None:
            raise psutil.NoSuchProcess(1)

    monkeypatch.setattr(psutil.Process, "children", lambda process, recursive: [Gone()])
    assert provenance.Meter().read()[0] >= 0


def test_a_table_that_cannot_be_written_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(results: Path) -> Path:
        raise ImportError("agents/ is being edited")

    monkeypatch.setattr(record, "write_table", broken)
    monkeypatch.setattr(record, "export_tree", lambda: ROOT)
    monkeypatch.setattr(tree, "TREES", tmp_path)
    monkeypatch.setattr(record, "_train_seed", lambda recipe, run, mark, seed, *rest: {"seed": seed, **FAILED})
    said: list[str] = []
    results = record.record("cartpole_dqn", seeds=2, results=tmp_path / "results", say=said.append)
    assert [r["seed"] for r in results] == [0, 1]
    assert sum("agents/ is being edited" in line for line in said) == 2
    monkeypatch.setattr(record, "write_table", lambda results: said.append("written") or results)
    record.record("cartpole_dqn", seeds=2, results=tmp_path / "results", say=said.append)
    assert said[-1] == "written", "nothing to train, the table is mended"


def test_a_recipe_that_is_not_committed_as_it_stands_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = tmp_path / "runs" / "recipes"
    recipes.mkdir(parents=True)
    text = (RECIPES / "cartpole_dqn.py").read_text()
    (recipes / "cartpole_dqn.py").write_text(text.replace('"""', '"""Said otherwise: ', 1))
    monkeypatch.setattr(tree, "TREES", tmp_path)
    monkeypatch.setattr(record, "export_tree", lambda: tmp_path)
    monkeypatch.setattr(record, "write_table", lambda results: results)
    monkeypatch.setattr(record, "_train_seed", lambda recipe, run, mark, seed, *rest: {"seed": seed, **FAILED})
    record.record("cartpole_dqn", results=tmp_path / "same", say=print)
    run = resolve_recipe("cartpole_dqn")
    monkeypatch.setattr(
        record, "resolve_recipe", lambda name, **_: run if name == "cartpole_dqn" else resolve_recipe(name)
    )
    run = resolve_recipe("cartpole_dqn", steps=run.steps + 1)
    for name in ("cartpole_dqn", "cartpole_ppo"):  # another recipe, and one that HEAD has not
        with pytest.raises(InputError, match=f"commit runs/recipes/{name}.py first"):
            record.record(name, results=tmp_path / "results", say=print)
    assert not (tmp_path / "results").exists()


def test_a_long_training_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "TELL_SECONDS", 0.01)
    said: list[str] = []
    with record._telling(tmp_path / "run", 300, "pong seed 1", said.append):
        time.sleep(0.05)  # nothing there yet
        (tmp_path / "run").mkdir()
        for step, score in ((100, None), (200, 1.25), (300, 2.0)):
            line = json.dumps({"step": step, "train/return": score})
            (tmp_path / "run" / "metrics.jsonl").write_text(line + "\n")
            time.sleep(0.2)
    assert list(dict.fromkeys(said)) == [
        "pong seed 1: 100 of 300 steps, return -",
        "pong seed 1: 200 of 300 steps, return 1.2",
    ]


def folder_of(seed: Path, commit: str, step: int) -> None:
    """What a training leaves behind."""
    (seed / "checkpoints" / f"step-{step:09d}").mkdir(parents=True)
    (seed / "run.json").write_text(json.dumps({"commit": commit}))


def test_a_training_ends_in_the_tree_of_the_commit_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, older = tmp_path / "tree", tmp_path / "older"
    newer.mkdir()
    (newer / ".commit").write_text("new\n")
    monkeypatch.setattr(tree, "export_tree", lambda commit: older if commit == "old" else None)
    assert tree._tree_of(tmp_path / "none", 100, newer) == newer
    folder_of(tmp_path / "seed-0", "new", 100)
    assert tree._tree_of(tmp_path / "seed-0", 100, newer) == newer, "only its evaluation is missing"
    folder_of(tmp_path / "seed-1", "old", 50)
    assert tree._tree_of(tmp_path / "seed-1", 100, newer) == older
    folder_of(tmp_path / "seed-2", "old", 100)
    assert tree._tree_of(tmp_path / "seed-2", 100, newer) == newer
    assert not (tmp_path / "seed-2").exists(), "whether it was withdrawn nobody knows: trained afresh"
    assert (tmp_path / ".seed-2-old" / "checkpoints" / "step-000000100").exists()


def test_an_older_commit_is_exported_and_one_that_is_not_there_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD~1"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no git checkout")
    monkeypatch.setattr(tree, "TREES", tmp_path)
    exported = tree.export_tree(done.stdout.strip())
    assert (exported / ".commit").read_text() == done.stdout and (exported / "runs" / "recipe.py").exists()
    monkeypatch.setattr(tree, "TREES", tmp_path / "two")
    with ThreadPoolExecutor(2) as pool:  # two `rl record` begun at once
        first, second = pool.map(tree.export_tree, [done.stdout.strip()] * 2)
    assert first == second and list((tmp_path / "two").iterdir()) == [first], "whole, and no other left behind"
    with pytest.raises(InputError, match="git has no commit None"):
        tree.export_tree("None")


def test_a_training_without_a_line_of_metrics_leaves_the_table_whole(tmp_path: Path) -> None:
    recipe, mark = "cartpole_dqn", "mark"
    for seed, seconds in enumerate((None, 90.0)):
        result = {"recipe": recipe, "fingerprint": mark, "seed": seed, "status": "ok", "seconds": seconds}
        result |= {"score": SCORE, "run": {"env": "CartPole-v1", "steps": 10}, "machine": {"jobs": 1}, "commit": "abc"}
        (tmp_path / recipe / mark).mkdir(parents=True, exist_ok=True)
        (tmp_path / recipe / mark / f"seed-{seed}.json").write_text(json.dumps(result))
    assert "| 1.5 |" in table.write_table(tmp_path).read_text()


def test_seconds_are_those_that_the_training_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {**SCORE, "seconds": 1.25, "steps_per_second": 80.0}
    ran = lambda command, **options: subprocess.CompletedProcess(command, 0, json.dumps(said), "")  # noqa: E731
    monkeypatch.setattr(tree, "TREES", tmp_path)
    monkeypatch.setattr(record, "read_json", lambda path: {"versions": {"torch": "2"}})
    monkeypatch.setattr(record, "run_child", ran)
    (tmp_path / ".commit").write_text("abc")
    result = record._train_seed("cartpole_dqn", resolve_recipe("cartpole_dqn"), "mark", 0, tmp_path, 1)
    assert (result["seconds"], result["steps_per_second"]) == (1.25, 80.0), "fewer steps than `log_every`"
    assert (result["commit"], result["versions"]) == ("abc", {"torch": "2"})


def test_a_failed_seed_is_named_beside_the_mean_of_the_others(tmp_path: Path) -> None:
    done = next(iter((places.RESULTS / "cartpole_dqn").glob("*/seed-0.json")))
    result = json.loads(done.read_text())
    folder = tmp_path / "cartpole_dqn" / done.parent.name
    folder.mkdir(parents=True)
    (folder / "seed-0.json").write_text(json.dumps(result))
    (folder / "seed-1.json").write_text(json.dumps({**result, "seed": 1, "status": "failed", "score": None}))
    mean = f"{result['score']['mean']:.1f}"
    assert f"| {mean} (of 1 of 2) | {mean}, failed |" in table.write_table(tmp_path).read_text()
