"""The run folder: occupied or not, one writer, whole lines, and gone again where nothing started."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rl.checkpoint import CheckpointError, write_checkpoint
from rl.errors import InputError, RunError
from runs.folder.jsonl import JsonlWriter, read_jsonl
from runs.folder.run_folder import RunFolder, default_name, resolve


def run_in(path: Path) -> Path:
    """A run folder with two checkpoints."""
    with RunFolder.create(path) as folder:
        folder.write_info({"seed": 0})
        folder.begin()
        for step in (10, 20):
            folder.metrics.write({"step": step})
            write_checkpoint(path, step, {"agent": {"step": step}}, folder.lengths())
    return path


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_names_keep_letters_digits_dots_and_hyphens_only() -> None:
    assert re.fullmatch(r"ALE-Pong-v5_dqn_s3_\d{8}-\d{6}", default_name("ALE/Pong-v5", "dqn", 3))
    assert default_name("my_mod:Env ü", "a/b", 0).startswith("my-mod-Env--_a-b_s0_")


def test_without_out_the_folder_lies_in_runs_out_and_never_meets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with RunFolder.create(None, "x_dqn_s0_t") as one, RunFolder.create(None, "x_dqn_s0_t") as two:
        assert one.path == Path("runs/out/x_dqn_s0_t")
        assert two.path == Path("runs/out/x_dqn_s0_t-2")
        two.begin()
    assert [p.name for p in Path("runs/out").iterdir()] == ["x_dqn_s0_t-2"]


def test_an_occupied_folder_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    before = sorted(p.name for p in run.iterdir())
    with pytest.raises(InputError, match=r"--out .*run is occupied .*`rl resume .*run` continues it") as caught:
        RunFolder.create(run)
    one_line(caught)
    assert sorted({*(p.name for p in run.iterdir()), ".lock"}) == before
    unsaved = tmp_path / "unsaved"
    unsaved.mkdir()
    (unsaved / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds run.json.*: name another folder, or empty it"):
        RunFolder.create(unsaved)
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds chapter.tex.*: name another folder, or empty it"):
        RunFolder.create(other)
    assert [p.name for p in other.iterdir()] == ["chapter.tex"]
    RunFolder.open(run).close()  # the refusals left no lock behind


def test_a_place_that_cannot_be_made_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, words in [
        ("file", "it is a file"),
        ("file/run", "Not a directory"),
        (f"a/b/{'x' * 300}", "name too long"),
    ]:
        with pytest.raises(InputError, match=f"(?i){words}; name another folder") as caught:
            RunFolder.create(tmp_path / path)
        one_line(caught)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_locked_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("runs.folder.run_folder.FileLock", full)
    with pytest.raises(InputError, match="No space left on device; name another folder"):
        RunFolder.create(tmp_path / "a/b/run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_an_unwritable_parent_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied; name another folder"):
            RunFolder.create(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_where_nothing_began_no_folder_is_left(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gamma"), RunFolder.create(tmp_path / "a/b/run") as folder:
        folder.write_info({})
        folder.metrics.write({"step": 1})
        (folder.path / "wandb").mkdir()
        raise InputError("gamma must be at most 1, got 1.5")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "given").mkdir()
    RunFolder.create(tmp_path / "given").close()
    assert list((tmp_path / "given").iterdir()) == []


def test_what_began_stays_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(RunError), RunFolder.create(tmp_path / "run") as folder:
        folder.begin()
        folder.metrics.write({"step": 1})
        raise RunError("the environment raised")
    assert read_jsonl(tmp_path / "run/metrics.jsonl") == [{"step": 1}]


def test_run_json_has_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "abc123abc123abc123")
    with RunFolder.create(tmp_path / "run") as folder:
        folder.write_info(
            {"command": ["rl", "train", "--set", "x.token=t0ps3cret", "abc123abc123abc123"], "lr": math.inf, "key": "k"}
        )
        text = (folder.path / "run.json").read_text()
        assert folder.read_info()["lr"] is None
    assert "t0ps3cret" not in text
    assert "abc123" not in text


def test_lines_are_strict_json_and_there_when_write_returns(tmp_path: Path) -> None:
    writer = JsonlWriter(tmp_path / "m.jsonl")
    record = {"step": np.int64(3), "loss": torch.tensor(0.5), "x": [math.nan, np.float32(math.inf), 1.0], "none": None}
    writer.write(record)
    text = (tmp_path / "m.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "step": 3,
        "loss": 0.5,
        "x": [None, None, 1.0],
        "none": None,
    }
    assert text.endswith("}\n")
    writer.write({"é": "☃\n"})
    assert read_jsonl(tmp_path / "m.jsonl")[1] == {"é": "☃\n"}
    assert writer.sync() == writer.length == (tmp_path / "m.jsonl").stat().st_size
    writer.close()


def test_a_torn_last_line_is_left_out_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert [r["step"] for r in read_jsonl(path)] == [1, 2]
    writer = JsonlWriter(path)
    writer.write({"step": 3})
    writer.close()
    assert [r["step"] for r in read_jsonl(path)] == [1, 2, 3]
    path.write_bytes(b"x" * 200_000)  # no whole line at all
    assert read_jsonl(path) == read_jsonl(tmp_path / "none.jsonl") == []
    writer.write({"step": 1})
    writer.close()
    assert read_jsonl(path) == [{"step": 1}]
    path.write_bytes(b'{"step": 1}\n' + b"x" * 200_000)  # the last whole line lies far before the end
    writer.write({"step": 2})
    writer.close()
    assert read_jsonl(path) == [{"step": 1}, {"step": 2}]
    path.write_bytes(b'{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(InputError, match="line 2 is no JSON"):
        read_jsonl(path)


def test_resume_takes_back_the_lines_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunFolder.create(path) as folder:
        folder.write_info({})
        folder.begin()
        folder.metrics.write({"step": 1})
        folder.episodes.write({"step": 1})
        lengths = folder.lengths()
        assert lengths == {"metrics.jsonl": 12, "episodes.jsonl": 12, "evaluations.jsonl": 0}
        folder.metrics.write({"step": 2})
        folder.evaluations.write({"step": 1})
        folder.evaluations.write({"step": 2})
    with RunFolder.open(path) as folder:
        assert folder.truncate_to(lengths, step=1) == []
        folder.metrics.write({"step": 2, "again": True})
    assert read_jsonl(path / "evaluations.jsonl") == [{"step": 1}]  # of the checkpoint's own policy
    assert read_jsonl(path / "metrics.jsonl") == [{"step": 1}, {"step": 2, "again": True}]
    (path / "episodes.jsonl").write_bytes(b"")
    with RunFolder.open(path) as folder:
        (remark,) = folder.truncate_to(lengths, step=1)
    assert "episodes.jsonl is shorter" in remark


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(tmp_path: Path) -> None:
    import resource

    writer = JsonlWriter(tmp_path / "m.jsonl")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        writer.write({"step": 1})
        with pytest.raises(RunError, match="the disk is full"):
            writer.write({"text": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "m.jsonl").read_text() == '{"step": 1}\n'
    writer.write({"step": 2})
    writer.close()
    assert [r["step"] for r in read_jsonl(tmp_path / "m.jsonl")] == [1, 2]


HOLDER = """
import os, sys, time
from runs.folder.run_folder import RunFolder
folder = RunFolder.open(sys.argv[1])
if hasattr(os, "fork") and os.fork() == 0:
    os.write(1, f"worker {os.getpid()}\\n".encode())  # in one piece, whoever else writes
    time.sleep(60)
os.write(1, f"held by {os.getpid()}\\n".encode())
time.sleep(60)
"""


def test_a_second_process_is_refused_with_the_pid_and_a_killed_one_frees_the_run(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(run)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    worker = 0
    try:
        for _ in range(2 if hasattr(os, "fork") else 1):
            line = holder.stdout.readline()
            worker = int(line.split()[1]) if line.startswith("worker") else worker
        with pytest.raises(InputError, match=rf"is being written by process {holder.pid} on .*: wait for it") as caught:
            RunFolder.open(run)
        one_line(caught)
        with pytest.raises(InputError, match="occupied|being written"):
            RunFolder.create(run)
        assert resolve(run).checkpoint.name == "step-000000020"  # readers are not kept out
        holder.kill()
        holder.wait()
        RunFolder.open(run).close()  # though the worker, forked from it, still lives
        if worker:
            os.kill(worker, 0)
    finally:
        holder.kill()
        if worker:
            os.kill(worker, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()


def test_one_process_does_not_write_a_run_twice(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    with RunFolder.open(run), pytest.raises(InputError, match=f"already being written by this process .{os.getpid()}"):
        RunFolder.open(run)
    with RunFolder.open(run):  # and the refusal did not give the lock away
        code = f"from runs.folder.run_folder import RunFolder; RunFolder.open({str(run)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"is being written by process {os.getpid()}" in done.stderr


def test_opening_sweeps_what_a_killed_process_left(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    (run / ".run.json.tmp").write_text("{")
    (run / "checkpoints/.step-000000030.new").mkdir()
    (run / "checkpoints/.step-000000030.new/agent.json").write_text("{")
    RunFolder.open(run).close()
    assert sorted(p.name for p in run.rglob(".*")) == [".lock"]


def test_a_run_is_its_newest_good_checkpoint_or_the_one_named(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    found = resolve(run)
    assert (found.run, found.checkpoint.name, found.manifest["step"], found.skipped) == (run, "step-000000020", 20, [])
    older = resolve(run / "checkpoints/step-000000010")
    assert (older.run, older.manifest["step"]) == (run.resolve(), 10)
    (run / "checkpoints/step-000000020/agent.json").write_text("")
    found = resolve(run)
    assert found.checkpoint.name == "step-000000010"
    assert len(found.skipped) == 1
    with pytest.raises(CheckpointError, match="damaged"):
        resolve(run / "checkpoints/step-000000020")
    alone = tmp_path / "mailed"
    (run / "checkpoints/step-000000010").rename(alone)
    assert resolve(alone).run is None
    with pytest.raises(InputError, match="no good checkpoint") as caught:
        resolve(run)
    one_line(caught)


def test_a_checkpoint_without_its_run_can_be_played_and_not_resumed(tmp_path: Path) -> None:
    lone = tmp_path / "step-000000005"
    lone.mkdir()
    (lone / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="is a checkpoint alone: resuming needs the run folder with its replay"):
        resolve(lone, replay=True)


def test_a_run_that_is_not_there_is_one_line_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/out/CartPole-v1_dqn_s0_20260101-000000").mkdir(parents=True)
    with pytest.raises(
        InputError, match=re.escape(str(Path("did you mean runs/out/CartPole-v1_dqn_s0_20260101-000000")))
    ):
        resolve("runs/out/CartPole-v1_dqn_s0_20260101-00000")
    with pytest.raises(InputError, match="no run at nowhere: no such folder"):
        resolve("nowhere")
    with pytest.raises(InputError, match="neither a run folder"):
        resolve("runs")
    with pytest.raises(InputError, match="is no run folder"):
        RunFolder.open("runs")
