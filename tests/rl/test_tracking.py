"""W&B is told everything, learns no secret, and can neither stop, slow nor change a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl.errors import InputError
from rl.redact import HIDDEN, is_secret, redact, redact_command
from rl.tracking import Tracker, track
from tests.rl.trackers import SECRET

ROOT = Path(__file__).parents[2]


def program(name: str, folder: Path, path: Path | None = None, **environment: str) -> list[dict[str, Any]]:
    """What a program of `tests/rl/trackers.py` tells, in an environment without W&B settings and keys."""
    folder.mkdir(exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    home = folder.parent / "home"
    env |= {"HOME": str(home), "USERPROFILE": str(home), "NETRC": str(home / "netrc"), "MY_API_KEY": SECRET}
    env |= {"OMP_NUM_THREADS": "1", **environment}
    flags = []
    if path is not None:  # only what lies there can be imported
        flags, env["PYTHONPATH"] = ["-S"], os.pathsep.join([str(path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *flags, "-m", "tests.rl.trackers", name, str(folder)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]  # W&B adds nothing to standard output


def says(told: list[dict[str, Any]]) -> list[str]:
    lines = [line["say"] for line in told if "say" in line]
    return [line for line in lines if not line.startswith("waiting for W&B")]  # a busy machine


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], list[dict[str, Any]]]:
    """(folder, what the program told, what its two .wandb files hold): a run and its resumption."""
    folder = tmp_path_factory.mktemp("offline") / "run"
    return folder, program("offline", folder), program("dump", folder)


def test_an_offline_run_holds_all_it_was_told(offline: Any) -> None:
    folder, _, (run, _) = offline
    assert run["name"].startswith("CartPole-v1__dqn__3__")
    assert (run["group"], run["job_type"], run["project"]) == ("CartPole-v1__dqn", "train", "ludo-rl")
    assert run["tags"] == ["CartPole-v1", "dqn", "seed 3", "thesis"]
    assert run["config"]["agent"] == {"lr": 1e-3, "hidden": [64, 64]}
    assert run["config"]["commit"] == "0f" * 20
    assert run["metrics"] == [["global_step", ""], ["*", "global_step"]]
    rows = [row for row in run["history"] if "train/loss" in row]
    assert [row["global_step"] for row in rows] == [100, 200, 300, 400, 500]
    assert rows[1]["train/loss"] == pytest.approx(1 / 200)
    assert "train/return" not in rows[0]  # not a number: left out
    assert rows[0]["_timestamp"] < rows[-1]["_timestamp"]
    (evaluation,) = [row for row in run["history"] if "evaluation/mean" in row]
    assert (evaluation["evaluation/mean"], evaluation["evaluation/iqm"], evaluation["global_step"]) == (1.5, 1.25, 500)
    (table_file,) = folder.rglob(Path(evaluation["evaluation/games/path"]).name)
    table = json.loads(table_file.read_text())
    assert table["columns"] == ["global_step", "game", "seed", "return", "length"]
    assert table["data"] == [[500, 0, 5, 1.0, 10], [500, 1, 6, 2.0, 20]]
    (video,) = [row for row in run["history"] if "video/path" in row]
    assert (table_file.parents[3] / video["video/path"]).read_bytes() == (folder / "game.webm").read_bytes()
    assert (run["summary"]["status"], run["exit"]) == ("done", 0)


def test_checkpoints_become_artifacts_the_latest_not_at_every_save(offline: Any) -> None:
    _, _, (run, _) = offline
    models = [artifact for artifact in run["artifacts"] if artifact[0] == "model"]
    files = ["agent.json", "agent.safetensors", "manifest.json"]
    assert models == [["model", files, ["latest"]], ["model", files, ["best", "latest"]]]


def test_a_resumed_run_continues_the_same_wandb_run(offline: Any) -> None:
    _, told, (first, second) = offline
    states = [line["state"] for line in told if "state" in line]
    assert states[0] == states[1]
    assert first["id"] == second["id"] == states[0]["id"]
    assert first["name"] == second["name"]
    assert [row["global_step"] for row in second["history"]][:5] == [600, 700, 800, 900, 1000]
    assert (second["summary"]["status"], second["exit"]) == ("failed", 1)


def test_tracking_leaves_the_global_generators_alone(offline: Any) -> None:
    assert [line["untouched"] for line in offline[1] if "untouched" in line] == [True]


def test_no_secret_reaches_any_file(offline: Any) -> None:
    folder, _, (run, _) = offline
    assert run["config"]["command"][-3:] == [HIDDEN, "--set", f"x.password={HIDDEN}"]
    assert run["config"]["note"] == f"has {HIDDEN} in it"
    words = [SECRET, "t0ken-on-the-command-line", "hunter2hunter2", "in-the-config", "pa55word"]
    files = [p for p in folder.parent.rglob("*") if p.is_file()]
    assert any(p.suffix == ".wandb" for p in files)
    for path in files:
        data = path.read_bytes()
        assert not [word for word in words if word.encode() in data], path


def test_wandb_s_variables_are_honoured(tmp_path: Path) -> None:
    told = program(
        "demanded",
        tmp_path / "run",
        MODE="auto",
        WANDB_MODE="offline",
        WANDB_PROJECT="course",
        WANDB_ENTITY="lab",
        WANDB_RUN_GROUP="week 3",
        WANDB_RUN_ID="myid",
        WANDB_NAME="first try",
        WANDB_TAGS="a,b",
        WANDB_DIR=str(tmp_path),
    )
    assert told[-1] == {"mode": "offline"}
    assert [p.name for p in (tmp_path / "run").iterdir() if p.name == "wandb"] == []
    (run,) = program("dump", tmp_path / "wandb")
    assert (run["project"], run["entity"], run["id"], run["name"]) == ("course", "lab", "myid", "first try")
    assert run["group"] == "week 3"
    assert run["tags"][-2:] == ["a", "b"]


def test_whatever_call_of_wandb_raises_the_run_goes_on_after_one_warning(tmp_path: Path) -> None:
    told = program("faults", tmp_path / "run")
    faults = [line["fault"] for line in told if "fault" in line]
    assert len(faults) == 10
    assert [line["resumed"] for line in told if "resumed" in line] == ["offline"]
    for k, line in enumerate(told):
        if "mode" in line:
            assert line["mode"] == "off"
        if "fault" in line:
            end = next((j for j in range(k + 1, len(told)) if "fault" in told[j]), len(told))
            warnings = [x for x in says(told[k:end]) if "off from here on" in x]
            assert len(warnings) == 1
            assert warnings[0].startswith(f"W&B is off from here on (RuntimeError: {line['fault']} is broken")
            assert SECRET not in warnings[0]
            assert "\n" not in warnings[0]


def test_an_unreachable_wandb_costs_the_caller_nothing(tmp_path: Path) -> None:
    start = time.perf_counter()
    told = program("unreachable", tmp_path / "run", WANDB_API_KEY="0" * 40, WANDB_BASE_URL="http://127.0.0.1:9")
    assert time.perf_counter() - start < 30
    (line,) = [x for x in told if "slowest" in x]
    assert line["mode"] == "off"
    assert line["slowest"] < 0.5  # seconds: the slowest of 3,000 calls, other processes' share included
    assert line["finish"] < 1.5
    overflow, warning = says(told)
    assert "some of its rows are left out" in overflow
    assert "it did not answer for 1 s" in warning


def test_auto_without_a_key_is_one_hint_and_does_not_import_wandb(tmp_path: Path) -> None:
    told = program("off", tmp_path / "run")
    (hint,) = says(told)
    assert "no key found; `wandb login`" in hint
    assert told[-1] == {"mode": "off", "state": None, "imported": False}
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "netrc").write_text("machine other.example login a password bbbbbbbb")
    told = program("off", tmp_path / "run")  # asked, and still none
    assert says(told) == [hint]
    assert told[-1]["mode"] == "off"
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "run.json").write_text("{}")
    assert says(program("off", tmp_path / "run")) == [], "whoever has trained before knows it"
    (tmp_path / "home" / "netrc").unlink()
    assert says(program("off", tmp_path / "run")) == []


def test_online_without_a_key_is_one_line_and_off(tmp_path: Path) -> None:
    told = program("demanded", tmp_path / "run")
    (line,) = says(told)
    assert "no key found" in line
    assert told[-1] == {"mode": "off"}


def test_a_missing_or_broken_wandb_is_one_line_and_off(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    packages = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (site / name).symlink_to(packages / name, target_is_directory=True)
    assert program("off", tmp_path / "run", site) == [{"mode": "off", "state": None, "imported": False}]
    told = program("demanded", tmp_path / "run", site)
    assert says(told) == ["W&B is off: --track online needs `pip install wandb`"]
    (site / "wandb.py").write_text("raise ImportError('libfoo.so is missing')")
    told = program("demanded", tmp_path / "run", site)
    (line,) = says(told)
    assert "off from here on (ImportError: libfoo.so is missing)" in line
    assert told[-1] == {"mode": "off"}


def test_off_is_off_and_an_unknown_mode_is_named(tmp_path: Path) -> None:
    options: dict[str, Any] = {"folder": tmp_path, "env": "e", "agent": "a", "seed": 0, "config": {}}
    tracker = track("off", **options)
    assert type(tracker) is Tracker
    tracker.log(1, {"x": 1})
    tracker.finish()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="unknown tracking mode 'ofline': did you mean 'offline'"):
        track("ofline", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name,secret",
    [
        *((name, True) for name in ("WANDB_API_KEY", "--api-key", "x.token", "apiKey", "password", "key", "DB_PASSWD")),
        *((name, False) for name in ("agent.lr", "keys", "tokens", "monkey", "key_size", "n_tokens", "env", "")),
    ],
)
def test_secrets_are_told_by_the_end_of_their_name(name: str, secret: bool) -> None:
    assert is_secret(name) == secret


def test_texts_lose_their_secrets_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "verysecretvalue")
    monkeypatch.setenv("SHORT_KEY", "dqn")
    for text, left in [
        ("git clone https://me:pw@host/x", f"git clone https://{HIDDEN}@host/x"),
        ("https://host/x?api_key=abc&b=1", f"https://host/x?api_key={HIDDEN}&b=1"),
        ("--set a.secret=abc lr=0.1", f"--set a.secret={HIDDEN} lr=0.1"),
        ("got verysecretvalue!", f"got {HIDDEN}!"),
        ("ghp_0123456789abcdefABCDEF", HIDDEN),
        ("train dqn on ALE/Pong-v5 at 0f0f0f0f", "train dqn on ALE/Pong-v5 at 0f0f0f0f"),
        ("unknown key: foo", "unknown key: foo"),
    ]:
        assert redact(text) == left
    value = {"token": "x", "n": [{"key": "y", "lr": 0.1}], "key": 3, "password": "", "t": ("a",), "none": None}
    assert redact(value) == {
        "token": HIDDEN,
        "n": [{"key": HIDDEN, "lr": 0.1}],
        "key": 3,
        "password": "",
        "t": ["a"],
        "none": None,
    }
    command = ["rl", "--token", "abc", "--key=abc def", "--set", "agent.lr=1", "cartpole"]
    assert redact_command(command) == ["rl", "--token", HIDDEN, f"--key={HIDDEN}", "--set", "agent.lr=1", "cartpole"]
