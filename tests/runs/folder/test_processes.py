"""`rl record` and `rl compare` train in processes of their own, which end with them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from rl.errors import RunError
from runs.folder import processes as children
from runs.folder.places import ROOT
from runs.folder.processes import run_child

RECORD = f"""
import sys
from pathlib import Path
from runs import cli
from runs.recording import record, tree
record.export_tree = lambda: Path({str(ROOT)!r})
record.commit_of = tree.commit_of = lambda tree: "abc"
tree.TREES = Path("trees")
record.record.__kwdefaults__["results"] = Path("results")
sys.exit(cli.main(["record", "cartpole_dqn", "--seeds", "2"]))
"""
COMPARE = ["compare", "CartPole-v1", "--agents", "dqn,ppo", "--seeds", "2", "--steps", "1000000", "--out", "trees"]


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize(
    ("number", "status", "command", "said"),
    [
        (signal.SIGTERM, 143, ["-c", RECORD], "rl: interrupted; `rl record cartpole_dqn` continues it"),
        pytest.param(
            signal.SIGINT,
            130,
            ["-c", RECORD],
            "rl: interrupted; `rl record cartpole_dqn` continues it",
            marks=pytest.mark.full,
        ),
        (signal.SIGTERM, 143, ["-m", "runs", *COMPARE], "rl: interrupted; the same command continues it"),
    ],
)
def test_a_signal_to_the_command_ends_its_trainings(
    number: int, status: int, command: Sequence[str], said: str, tmp_path: Path
) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not any(path.stat().st_size for path in tmp_path.glob("trees/**/metrics.jsonl")):
        assert parent.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    trainings = psutil.Process(parent.pid).children(recursive=True)
    assert trainings
    parent.send_signal(number)
    _, err = parent.communicate(timeout=60)
    assert parent.returncode == status, err
    assert err.splitlines()[-1] == said
    assert not [child for child in trainings if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert len(list(tmp_path.glob("trees/**/checkpoints/step-*"))) == 1, "saved, and the next one not begun"
    kept = [path.name for path in tmp_path.glob("**/results/*.jsonl") if path.stem != "reference"]  # the random policy
    assert not kept, "an interrupted training is no failed seed"


def test_what_a_child_said_comes_back_with_its_exit_status() -> None:
    command = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"]
    done = children.run_child(command, env=dict(os.environ), interrupted="interrupted")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_letter_of_another_encoding_costs_no_result() -> None:
    command = [sys.executable, "-c", r"import sys; sys.stderr.buffer.write(b'f\x81r'); print('ü')"]
    done = children.run_child(command, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, interrupted="interrupted")
    assert (done.stdout, done.stderr) == ("ü\n", "f\ufffdr")


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), signal.SIGTERM)", "os.kill(os.getpid(), 1)", "sys.exit(129)"])
def test_a_child_that_somebody_interrupted_is_said_to_be(ending: str) -> None:
    command = [sys.executable, "-c", f"import os, signal, sys; {ending}"]
    with pytest.raises(RunError, match="seed 3 was interrupted"):
        children.run_child(command, env=dict(os.environ), interrupted="seed 3 was interrupted")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows kills the child alone")
def test_after_the_timeout_a_child_and_what_it_started_are_killed(tmp_path: Path) -> None:
    code = "import os, sys, time\nif os.fork() == 0: open(sys.argv[1], 'w').write(str(os.getpid()))\ntime.sleep(1000)"
    pid = tmp_path / "pid"
    with pytest.raises(subprocess.TimeoutExpired):
        run_child([sys.executable, "-S", "-c", code, str(pid)], env=os.environ, interrupted="", timeout=3)
    for _ in range(100):  # a killed orphan is reaped by the system's first process
        status = Path(f"/proc/{pid.read_text()}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return
        time.sleep(0.1)
    raise AssertionError("the child's own child still runs")


@pytest.mark.parametrize("variable", [children.PARENT, children.TRAINER])
def test_on_windows_a_variable_tells_whether_the_parent_lives(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment's python.exe starts another one there, so the parent's number says nothing."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(children.sys, "platform", "win32")
    for number, gone in ((os.getpid(), False), (ended.pid, True)):
        monkeypatch.setenv(variable, str(number))
        assert children._gone(os.getppid(), variable) is gone
    monkeypatch.delenv(variable)
    assert not children._gone(os.getppid(), variable), "a command that no process of ours has started"
