"""`rl grade`: good runs are ranked on the same games, and everything else is a row with its reason."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rl.errors import InputError
from runs import evaluate, train
from runs.cli.command_line import main
from runs.comparing.grading import grade as grading
from runs.comparing.grading import worker
from runs.comparing.grading.grade import grade, printable, ranked, submissions
from runs.comparing.grading.page import table
from runs.recipe import resolve
from runs.settings.plain import to_json
from tests.runs.test_trust import rewrite_manifest

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "little"
    train("cartpole_dqn", steps=1_100, out=folder, track="off", settings=["eval_every=0"])
    return folder


def copy(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    return to


def checkpoint(run: Path) -> Path:
    return max(run.glob("checkpoints/step-*"))


def write_recipe(run: Path, **changes: Any) -> None:
    """Changes the recipe in the manifest, which is what a run is read from."""
    for path in run.glob("checkpoints/*/manifest.json"):
        rewrite_manifest(path, lambda found: {**found, "extra": {"recipe": {**found["extra"]["recipe"], **changes}}})


def job(folder: Path, recipe: str = "cartpole_dqn", **changes: Any) -> dict[str, Any]:
    task = {"run": to_json(resolve(recipe)), "recipe": recipe, "free": recipe == "CartPole-v1", "games": 2, "seed": 3}
    return {**task, "limits": {"seconds": 60, "memory": 1 << 33, "trust": False}, "folder": str(folder), **changes}


def row(name: str, low: float, high: float, weights: str = "") -> dict[str, Any]:
    found = grading._failed({"name": name, "folder": name}, "")
    middle = (low + high) / 2
    return {**found, "status": "ok", "iqm": middle, "interval": [low, high], "weights": weights or name}


def test_runs_with_overlapping_intervals_may_share_a_rank() -> None:
    rows = [row("d", 1, 2), row("c", 4, 6), row("a", 9, 10), row("b", 5, 9.5), row("e", 1.5, 1.6)]
    assert [(r["name"], r["rank"]) for r in ranked(rows)] == [("a", 1), ("b", 1), ("c", 2), ("e", 4), ("d", 4)]


def test_equal_weights_are_named() -> None:
    rows = ranked([row("bob", 1, 2, "x"), row("ann", 1, 2, "x"), row("eve", 1, 2, "y")])
    assert [(r["name"], r["same_as"]) for r in rows] == [("ann", None), ("bob", "ann"), ("eve", None)]


def test_submissions_are_found_in_their_folders_and_what_is_none_has_a_reason(tmp_path: Path) -> None:
    for name in ("ann/run.json", "bob/deep/er/run.json", "cat/one/checkpoints/x", "cat/two/run.json", "dan/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("eve.zip", "readme.txt", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "fay").symlink_to(tmp_path / "ann")
    found = [(r["name"].replace(os.sep, "/"), r["reason"]) for r in submissions([tmp_path])]
    assert found == [
        *(("ann", ""), ("bob/deep/er", ""), ("cat/one", ""), ("cat/two", "")),
        ("dan", "holds no run folder (no run.json)"),
        ("eve.zip", "is an archive: unpack it"),
        ("fay", "is a link: copy the folder itself"),
    ]
    with pytest.raises(InputError, match="there is no folder"):
        list(submissions([tmp_path / "none"]))


def test_a_run_scores_what_it_scores_by_evaluate(run: Path) -> None:
    answer = worker.work(job(run))
    assert answer["returns"] == evaluate(run, episodes=2, seed=3)["returns"]
    assert (answer["agent"], answer["steps"]) == ("dqn", 1_100)


def test_a_run_of_another_recipe_is_refused_and_of_an_environment_every_agent_may_play(
    run: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="agent dqn, cartpole_ppo has ppo"):
        worker.work(job(run, "cartpole_ppo"))
    with pytest.raises(InputError, match=r"of environment CartPole-v1, not LunarLander-v3"):
        worker.work(job(run, "lunarlander_dqn"))
    assert worker.work(job(run, "CartPole-v1"))["returns"] == worker.work(job(run))["returns"]
    little = {**job(run)["run"], "steps": 1_050}
    with pytest.raises(InputError, match=r"trained for 1,100 steps, cartpole_dqn allows 1,050"):
        worker.work(job(run, run=little))


def test_a_damaged_run_is_refused(run: Path, tmp_path: Path) -> None:
    for words, damage in {
        "1 bytes": lambda f: (checkpoint(f) / "agent.safetensors").write_bytes(b"x"),
        "no JSON": lambda f: (checkpoint(f) / "manifest.json").write_text("[" * 100_000),
        "no object": lambda f: (checkpoint(f) / "manifest.json").write_text("[]"),
        "agent": lambda f: write_recipe(f, agent=7),
        "names code": lambda f: write_recipe(f, agent={"name": "evil:Agent"}),
    }.items():
        folder = copy(run, tmp_path / words)
        for path in folder.glob("checkpoints/step-*"):
            if path != checkpoint(folder):
                shutil.rmtree(path)
        damage(folder)
        with pytest.raises(InputError, match=words):
            worker.work(job(folder))


HUNGRY = "data = bytearray(16 << 30)\n"
ENDLESS = """
import os, time
if os.fork() == 0:
    time.sleep(1000)
while True:
    pass
"""


def with_code(run: Path, to: Path, code: str) -> None:
    """A submission whose run names a module beside it."""
    write_recipe(copy(run, to / "run"), agent={"name": f"own_{to.name}:Agent"})
    (to / f"own_{to.name}.py").write_text(code)


@POSIX
def test_a_folder_of_submissions_is_graded_whatever_lies_in_it(run: Path, tmp_path: Path, capsys: Any) -> None:
    ours, out = tmp_path / "class", tmp_path / "out"
    copy(run, ours / "=ann")
    with_code(run, ours / "hungry", HUNGRY)
    (ours / "no\n<b>run").mkdir()
    words = ["grade", str(ours), "--recipe", "cartpole_dqn", "--games", "2", "--seed", "3", "--trust"]
    words += ["--out", str(out), "--jobs", "2", "--quiet"]
    assert main([*words, "--csv"]) == 0
    rows = {r["name"]: r for r in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert rows["'=ann"]["rank"] == "1"
    assert float(rows["'=ann"]["mean"]) == pytest.approx(evaluate(run, episodes=2, seed=3)["mean"])
    assert rows["hungry/run"]["reason"] == "needs more than 4 GB of memory"
    assert rows["no\\n<b>run"]["reason"] == "holds no run folder (no run.json)"

    page = (out / "report.html").read_text()
    assert "2 of 3 could not be graded" in page and "<script src" not in page
    assert not [file for file in ("report.html", "report.md") if "<b>run" in (out / file).read_text()]
    before = (out / "rows.jsonl").stat().st_mtime_ns
    assert main([*words, "--json"]) == 0  # the same command goes on: nothing is played again
    assert [r["status"] for r in json.loads(capsys.readouterr().out)["rows"]] == ["ok", "failed", "failed"]
    assert (out / "rows.jsonl").stat().st_mtime_ns == before
    assert main(["grade", str(ours), "--recipe", "cartpole_dqn", "--games", "3", "--out", str(out)]) == 2
    assert "holds a grading with another recipe, seed or number of games" in capsys.readouterr().err


@POSIX
def test_a_run_whose_code_never_ends_is_a_row(run: Path, tmp_path: Path) -> None:
    with_code(run, tmp_path / "class" / "endless", ENDLESS)
    found = grade([tmp_path / "class"], "cartpole_dqn", games=2, seconds=1, out=tmp_path / "out", trust=True)
    assert [r["reason"] for r in found["rows"]] == ["did not end within 1 seconds"]


@POSIX
def test_a_run_may_take_the_seconds_of_processor_time_and_no_more() -> None:
    """By the clock it may take four times as long."""
    code = "from runs.comparing.grading.worker import limit\nlimit(1, 1 << 33)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    assert done.returncode == -signal.SIGXCPU


def test_a_change_of_code_alone_is_graded_again_with_trust(run: Path, tmp_path: Path) -> None:
    """The kept row would otherwise show the score of the code before."""
    ours = tmp_path / "class" / "ann"
    with_code(run, ours, "raise ValueError('first')")
    for code, reason in (("raise ValueError('first')", "first"), ("raise ValueError('second')", "second")):
        for module in ours.rglob("*.py"):
            module.write_text(code)
        (found,) = grade([ours.parent], "cartpole_dqn", games=1, out=tmp_path / "out", trust=True)["rows"]
        assert reason in found["reason"]


def test_a_reason_is_shown_once(run: Path, tmp_path: Path, capsys: Any) -> None:
    write_recipe(copy(run, tmp_path / "class" / "ben"), env="Acrobot-v1")
    words = ["grade", str(tmp_path / "class"), "--recipe", "cartpole_dqn", "--games", "1"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("is of environment Acrobot-v1") == 1


def test_without_trust_no_code_is_imported(run: Path, tmp_path: Path) -> None:
    with_code(run, tmp_path / "own", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="names code that it would import and run: 'own_own:Agent'"):
        worker.work(job(tmp_path / "own" / "run"))
    assert not (tmp_path / "ran").exists()


def test_names_are_escaped_for_terminals_and_spreadsheets() -> None:
    assert printable("a\x1b[2Jb\udcff") == "a\\x1b[2Jb\\udcff"
    assert table([row("@SUM(A1)", 1, 2) | {"rank": 1, "same_as": None}]).splitlines()[1].startswith("1,'@SUM(A1),ok")
