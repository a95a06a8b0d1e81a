"""TensorBoard's own reader finds what was tracked, live and afterwards."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl import tracking
from rl.errors import InputError
from runs.folder.jsonl import read_jsonl
from runs.sharing.sync import sync
from runs.training.train import train
from runs.watching.video import VideoWriter
from tests.rl.test_tracking import ROOT, program

OPTIONS: dict[str, Any] = {"env": "E", "agent": "a", "seed": 0, "config": {}}


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"histograms": 0, "images": 0, "scalars": 0})
    found.Reload()
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    settings = [
        "learning_starts=20",
        "save_every=0",
        "eval_episodes=3",
        "eval_every=100",
        "log_every=50",
        "net.hidden=8",
    ]
    train("CartPole-v1", agent="dqn", steps=300, out=str(folder), track="tensorboard", quiet=True, settings=settings)
    return folder


def test_a_training_writes_every_row_of_metrics_and_every_evaluation(run: Path) -> None:
    rows, judged, found = read_jsonl(run / "metrics.jsonl"), read_jsonl(run / "evaluations.jsonl"), events(run)
    for name in ("train/return", "time/sps"):
        wanted = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        assert [(e.step, e.value) for e in found.Scalars(name)] == [(s, pytest.approx(v, rel=1e-6)) for s, v in wanted]
        assert wanted
    assert [(e.step, e.value) for e in found.Scalars("evaluation/mean")] == [
        (line["step"], pytest.approx(line["mean"], rel=1e-6)) for line in judged
    ]
    assert [e.histogram_value.num for e in found.Histograms("evaluation/returns")] == [3] * len(judged)


def test_sync_writes_a_finished_run_as_the_training_does(run: Path, tmp_path: Path) -> None:
    for name in ("run.json", "metrics.jsonl", "evaluations.jsonl"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "videos").mkdir()
    with VideoWriter(tmp_path / "videos" / "step-000000200.gif", 10) as film:
        for shade in range(0, 200, 20):
            film.write(np.full((40, 60, 3), shade, np.uint8))
    result = sync(tmp_path, track="tensorboard")
    assert result["films"] == 1 and result["metrics"] == len(read_jsonl(run / "metrics.jsonl"))
    live, later = events(run), events(tmp_path)
    names = set(later.Tags()["scalars"])
    assert later.Tags()["histograms"] == live.Tags()["histograms"] and names <= (known := set(live.Tags()["scalars"]))
    assert all(name.startswith("evaluation/") for name in known - names)  # evaluations.jsonl holds a part of a score
    for name in names:
        assert [(e.step, e.value) for e in later.Scalars(name)] == [(e.step, e.value) for e in live.Scalars(name)], name
    (picture,) = later.Images("video")
    shown = Image.open(io.BytesIO(picture.encoded_image_string))
    assert (
        picture.step == 200
        and shown.format == "GIF"
        and shown.n_frames >= 5
        and (picture.width, picture.height) == (240, 160)
    )


def test_a_second_sync_replaces_the_first(run: Path, tmp_path: Path) -> None:
    for name in ("run.json", "metrics.jsonl", "evaluations.jsonl"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    sync(tmp_path, track="tensorboard")
    once = [(e.step, e.value) for e in events(tmp_path).Scalars("train/return")]
    sync(tmp_path, track="tensorboard")
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert [(e.step, e.value) for e in events(tmp_path).Scalars("train/return")] == once


def test_sync_shows_the_page_of_rl_explain_in_wandb(run: Path, tmp_path: Path) -> None:
    """Read back from W&B's own offline file; TensorBoard shows no pages."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "metrics.jsonl", "evaluations.jsonl"):
        (folder / name).write_bytes((run / name).read_bytes())
    page = "<!doctype html><title>Why it learned</title>\u2260"
    (folder / "explain.html").write_text(page, encoding="utf-8")
    env = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | {"HOME": str(tmp_path)}
    command = [sys.executable, "-m", "runs", "sync", str(folder), "--track", "offline", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and json.loads(done.stdout)["explained"] is True, done.stderr
    (stored,) = program("dump", folder)
    (row,) = [row for row in stored["history"] if "report/path" in row]
    (shown,) = folder.rglob(Path(row["report/path"]).name)
    assert shown.read_text(encoding="utf-8") == page and row["report/_type"] == "html-file"
    assert sync(folder, track="tensorboard")["explained"] is False


def test_rows_beyond_a_resumed_checkpoint_are_hidden(tmp_path: Path) -> None:
    for steps in ((1, 2, 3, 4), (3, 4, 5)):
        tracker = tracking.track("tensorboard", folder=tmp_path, **OPTIONS)
        for step in steps:
            tracker.log(step, {"loss": step * len(steps), "none": None, "text": "no number"})
        tracker.finish()
    found = events(tmp_path)
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(1, 4), (2, 8), (3, 9), (4, 12), (5, 15)]
    assert found.Tags()["scalars"] == ["loss"]


def test_auto_goes_on_with_tensorboard_and_both_trackers_get_every_call(tmp_path: Path) -> None:
    assert type(tracking.track("off", folder=tmp_path, **OPTIONS)) is tracking.Tracker
    (tmp_path / "tensorboard").mkdir()
    both = tracking.track("auto", folder=tmp_path, say=lambda line: None, **OPTIONS)
    assert isinstance(both, tracking.Trackers) and both.state is None
    calls: list[str] = []

    class Notes(tracking.Tracker):
        def log(self, step: int, metrics: Any) -> None:
            calls.append(f"log {step}")

        def finish(self, status: str = "done", patience: float = 60.0) -> None:
            calls.append(status)

    pair = tracking.Trackers(Notes(), Notes())
    pair.log(3, {})
    pair.finish("stopped")
    assert calls == ["log 3", "log 3", "stopped", "stopped"]


def test_a_failure_of_tensorboard_is_one_line_and_ends_it(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file where the folder would be")
    said: list[str] = []
    tracker = tracking.track("tensorboard", folder=tmp_path, say=said.append, **OPTIONS)
    for step in range(3):
        tracker.log(step, {"loss": 1.0})
    tracker.finish()
    assert len(said) == 1 and said[0].startswith("TensorBoard is off from here on (")


@pytest.mark.parametrize("mode", ["nowhere", "tensorboard,nowhere", "online,offline", "tensorboard,tensorboard", ""])
def test_an_unknown_or_double_mode_is_refused(mode: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tracking mode"):
        tracking.track(mode, folder=tmp_path, **OPTIONS)


def test_sync_refuses_a_folder_that_is_no_run_and_a_mode_that_writes_nowhere(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run folder"):
        sync(tmp_path)
    with pytest.raises(InputError, match="--track off writes nowhere"):
        sync(run, track="off")
