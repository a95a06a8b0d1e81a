import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from rl.errors import InputError
from runs.folder import provenance
from runs.folder.places import ROOT
from runs.recipe import resolve as resolve_recipe
from runs.recording import record, table, tree
from runs.recording.results import newest, read_results, thin, write_result

SCORE = dict.fromkeys(("episodes", "mean", "std", "iqm", "returns", "lengths", "protocol", "sample"), 0)

RECORDING = record.Recording("cartpole_dqn", resolve_recipe("cartpole_dqn"), "mark", jobs=1)


def failing(recording: record.Recording, seed: int, tree: Path) -> dict[str, Any]:
    same = {"recipe": recording.recipe, "fingerprint": recording.mark, "seed": seed}
    return {**same, "status": "failed", "error": "boom"}


class Busy:
    """A meter that found other work."""

    def read(self) -> tuple[float, float]:
        return 3.0, 0.71234


def test_a_recorded_result_says_how_busy_others_kept_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(words: list[str], **options: Any) -> Any:
        return subprocess.CompletedProcess(words, 0, json.dumps(SCORE), "")

    monkeypatch.setattr(tree, "TREES", tmp_path)
    monkeypatch.setattr(record, "Meter", Busy)
    monkeypatch.setattr(record, "read_jsonl", lambda path: [])
    monkeypatch.setattr(record, "train_child", ran)
    monkeypatch.setattr(record, "read_json", lambda path: {"versions": {"torch": "2"}})
    (tmp_path / ".commit").write_text("abc")
    assert record._train_seed(RECORDING, 0, tmp_path)["others"] == 0.712
    (tmp_path / "cartpole_dqn-mark" / "seed-0" / "checkpoints" / "step-000000010").mkdir(parents=True)
    again = record._train_seed(RECORDING, 0, tmp_path)
    assert again["others"] is None, "of the part before the interruption nobody knows"


@pytest.mark.parametrize(("status", "recorded"), [(2, False), (1, True)])
def test_a_missing_package_is_no_failed_seed(
    status: int, recorded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "rl: HalfCheetah-v5 cannot be made: MuJoCo is not installed\n"
    done = subprocess.CompletedProcess(["rl"], status, "", words)
    monkeypatch.setattr(tree, "TREES", tmp_path)
    monkeypatch.setattr(record, "export_tree", lambda: ROOT)
    monkeypatch.setattr(record, "check_committed", lambda *_: None)
    monkeypatch.setattr(record, "tree_of", lambda *_: ROOT)
    monkeypatch.setattr(record, "train_child", lambda words, **_: done)
    monkeypatch.setattr(record, "commit_of", lambda tree: "abc")
    if recorded:
        assert [r["status"] for r in record.record("cartpole_dqn", results=tmp_path)] == ["failed"]
    else:
        with pytest.raises(InputError, match="^cartpole_dqn seed 0: HalfCheetah-v5 cannot be made: MuJoCo is not"):
            record.record("cartpole_dqn", results=tmp_path)
    assert bool(read_results(tmp_path, "cartpole_dqn")) == recorded


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
    monkeypatch.setattr(record, "_train_seed", failing)
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
    committed = tmp_path / "tree"
    for package in ("rl", "agents", "envs", "runs"):
        ignored = shutil.ignore_patterns("results", "out", "__pycache__")
        shutil.copytree(ROOT / package, committed / package, ignore=ignored)
    file = committed / "runs" / "recipes" / "classic" / "cartpole.py"
    file.write_text(file.read_text().replace('"""', '"""With other words: ', 1).replace("cartpole_ppo =", "other ="))
    run = resolve_recipe("cartpole_dqn")
    tree.check_committed(committed, "cartpole_dqn", run)
    monkeypatch.setattr(record, "export_tree", lambda: committed)
    monkeypatch.setattr(record, "resolve_recipe", lambda name, **_: resolve_recipe(name, steps=run.steps + 1))
    for name in ("cartpole_dqn", "cartpole_ppo"):  # another recipe, and one that HEAD does not have
        with pytest.raises(InputError, match=f"commit the recipe {name} first"):
            record.record(name, results=tmp_path / "results", say=print)
    assert not (tmp_path / "results").exists()


OWN = """
from agents.dqn import DQNConfig
from runs.recipe import Run

fast = Run(env="CartPole-v1", agent=DQNConfig(learning_starts=50), steps=200, eval_episodes=1)
"""


def test_a_recipe_of_ones_own_is_recorded_outside_git_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tree, "in_git", lambda: False)
    (tmp_path / "mine.py").write_text(OWN)
    said: list[str] = []
    (result,) = record.record("mine.py:fast", say=said.append)
    assert result["status"] == "ok", result["error"]
    assert (result["recipe"], result["steps"], result["commit"]) == ("mine_fast", 200, None)
    assert [r["seed"] for r in read_results(Path("runs/out/results"))] == [0]
    assert "| mine_fast | CartPole-v1 |" in Path("runs/out/results/README.md").read_text()
    assert record.record("mine.py:fast", say=said.append) == [result]
    assert said[-1] == f"mine_fast {result['fingerprint']}: every seed has a result, nothing to train"


def test_two_processes_that_write_results_at_once_lose_none(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: write_result(failing(RECORDING, seed, tmp_path), tmp_path), range(20)))
    assert [r["seed"] for r in read_results(tmp_path)] == list(range(20))
    write_result({**failing(RECORDING, 3, tmp_path), "error": "newer"}, tmp_path)
    assert [r["error"] for r in read_results(tmp_path)].count("newer") == 1 and len(read_results(tmp_path)) == 20


def test_results_of_an_earlier_version_stand_in_the_second_table(tmp_path: Path) -> None:
    (present,) = [r for r in newest(read_results(recipe="cartpole_dqn")) if r["seed"] == 0]
    for mark in (present["fingerprint"], "0" * 12):
        write_result({**present, "fingerprint": mark}, tmp_path)
    first, second = table.write_table(tmp_path).read_text().split("## Earlier versions")
    assert first.count("| cartpole_dqn |") == second.count("| cartpole_dqn |") == 1


@pytest.mark.parametrize(
    ("recipe", "first", "second"),
    [("pong_ppo", "return -", "return 1.2"), ("connect_four_ntuple", "0 games", "1,250 games")],
)
def test_a_long_training_says_how_far_it_is(
    recipe: str, first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = resolve_recipe(recipe, steps=300)
    monkeypatch.setattr(record, "REPORT_SECONDS", 0.01)
    said: list[str] = []
    with record._progress(tmp_path / "run", run, "seed 1", said.append):
        time.sleep(0.05)  # nothing there yet
        (tmp_path / "run").mkdir()
        for step, score, games in ((100, None, 0), (200, 1.25, 1_250), (300, 2.0, 2_000)):
            line = json.dumps({"step": step, "train/return": score, "train/episodes": games})
            (tmp_path / "run" / "metrics.jsonl").write_text(line + "\n")
            time.sleep(0.2)
    assert list(dict.fromkeys(said)) == [
        f"seed 1: 100 of 300 steps, {first}",
        f"seed 1: 200 of 300 steps, {second}",
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
    assert tree.tree_of(tmp_path / "none", 100, newer) == newer
    folder_of(tmp_path / "seed-0", "new", 100)
    assert tree.tree_of(tmp_path / "seed-0", 100, newer) == newer, "only its evaluation is missing"
    folder_of(tmp_path / "seed-1", "old", 50)
    assert tree.tree_of(tmp_path / "seed-1", 100, newer) == older
    folder_of(tmp_path / "seed-2", "old", 100)
    assert tree.tree_of(tmp_path / "seed-2", 100, newer) == newer
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
        write_result(result, tmp_path)
    assert "| 1.5 |" in table.write_table(tmp_path).read_text()


def test_seconds_are_those_that_the_training_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {**SCORE, "seconds": 1.25, "steps_per_second": 80.0}
    ran = lambda command, **options: subprocess.CompletedProcess(command, 0, json.dumps(said), "")  # noqa: E731
    monkeypatch.setattr(tree, "TREES", tmp_path)
    monkeypatch.setattr(record, "read_json", lambda path: {"versions": {"torch": "2"}})
    monkeypatch.setattr(record, "train_child", ran)
    (tmp_path / ".commit").write_text("abc")
    result = record._train_seed(RECORDING, 0, tmp_path)
    assert (result["seconds"], result["steps_per_second"]) == (1.25, 80.0), "fewer steps than `log_every`"
    assert (result["commit"], result["versions"]) == ("abc", {"torch": "2"})


def test_a_failed_seed_is_named_beside_the_mean_of_the_others(tmp_path: Path) -> None:
    result = newest(read_results(recipe="cartpole_dqn"))[0]
    write_result(result, tmp_path)
    write_result({**result, "seed": 1, "status": "failed", "score": None}, tmp_path)
    mean = f"{result['score']['mean']:.1f}"
    assert f"| {mean} (of 1 of 2) | {mean}, failed |" in table.write_table(tmp_path).read_text()


def test_a_thinned_curve_keeps_its_ends() -> None:
    points = list(range(1_000))
    kept = thin(points)
    assert len(kept) == 60 and (kept[0], kept[-1]) == (0, 999) and kept == sorted(set(kept))
    assert thin(points[:60]) == points[:60]
