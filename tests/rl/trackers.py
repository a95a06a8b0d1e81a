"""Programs that the tracking tests start: W&B's threads and patches stay out of the test process.

python -m tests.rl.trackers NAME FOLDER      prints one JSON object a line
"""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rl.checkpoint import write_checkpoint
from rl.tracking import Tracker, track

SECRET = "s3cr3t-value-of-the-environment"


def tell(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def begin(folder: Path, mode: Any = "offline", **options: Any) -> Tracker:
    command = [
        "rl",
        "train",
        "cartpole",
        "--api-key",
        "t0ken-on-the-command-line",
        "--set",
        "x.password=hunter2hunter2",
    ]
    config = {"agent": {"lr": 1e-3, "hidden": (64, 64)}, "apiKey": "in-the-config", "nan": float("nan")}
    config |= {"remote": "https://user:pa55word@example.org/repo", "note": f"has {SECRET} in it", "commit": "0f" * 20}
    given = {"env": "CartPole-v1", "agent": "dqn", "seed": 3, "config": config, "command": command, "tags": ["thesis"]}
    return track(mode, folder=folder, say=lambda line: tell(say=line), **{**given, **options})


def work(tracker: Tracker, folder: Path, first: int = 0) -> None:
    """What a run tells its tracker."""
    for step in range(first + 100, first + 600, 100):
        tracker.log(step, {"train/loss": np.float32(1 / step), "train/return": float("nan"), "time/sps": 7})
    score = {"step": first + 500, "mean": 1.5, "iqm": 1.25, "returns": [1.0, 2.0], "lengths": [10, 20], "seeds": [5, 6]}
    tracker.log_evaluation(first + 500, score)
    (folder / "game.webm").write_bytes(bytes.fromhex("1a45dfa3") + bytes(1000))
    tracker.log_video(folder / "game.webm", first + 500)
    for k in (4, 5):
        saved = write_checkpoint(folder, first + k * 100, {"agent": {"w": np.full(10, k)}})
        tracker.log_checkpoint(saved, first + k * 100)
        tracker.log_checkpoint(saved.with_name("removed meanwhile"), first + k * 100, ["best"])
    tracker.log_checkpoint(saved, first + 500, ["latest", "best"])


def offline(folder: Path) -> None:
    import torch

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    states = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]  # noqa: NPY002
    tracker = begin(folder)
    work(tracker, folder)
    tracker.finish()
    after = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]  # noqa: NPY002
    tell(mode=tracker.mode, state=tracker.state, untouched=states == after)
    again = begin(folder, "auto", state=tracker.state)
    work(again, folder, first=500)
    again.finish("failed")
    tell(mode=again.mode, state=again.state)


def faults(folder: Path) -> None:
    """Every call that is made of W&B raises in turn."""
    import wandb

    run = type(wandb.init(mode="offline", dir=str(folder), settings=wandb.Settings(silent=True)))
    wandb.finish()
    places = [(wandb, "setup"), (wandb, "Settings"), (wandb, "init"), (wandb.Table, "__init__")]
    places += [(wandb.Video, "__init__"), (wandb.Artifact, "add_file"), (run, "define_metric"), (run, "log")]
    places += [(run, "log_artifact"), (run, "finish")]
    for owner, name in places:
        original = getattr(owner, name)

        def broken(*args: Any, _fault: str = name, **kwargs: Any) -> None:
            raise RuntimeError(f"{_fault} is\nbroken, with {SECRET}")

        setattr(owner, name, broken)
        tell(fault=name)
        tracker = begin(folder)
        work(tracker, folder)
        tracker.finish()
        tell(mode=tracker.mode)
        setattr(owner, name, original)
        if name == "log":
            again = begin(folder, state=tracker.state)  # in the same process
            again.finish()
            tell(resumed=again.mode)


def unreachable(folder: Path) -> None:
    tracker = begin(folder, "auto")
    slowest = 0.0
    for step in range(3000):
        start = time.perf_counter()
        tracker.log(step, {"train/loss": 0.5, "train/return": 1.0})
        slowest = max(slowest, time.perf_counter() - start)
    start = time.perf_counter()
    tracker.finish(patience=1.0)
    tell(mode=tracker.mode, slowest=slowest, finish=time.perf_counter() - start)
    os._exit(0)  # leaves W&B's own exit handler, which would wait for its timeout


def off(folder: Path) -> None:
    """`auto` where no key can be found."""
    tracker = begin(folder, "auto")
    work(tracker, folder)
    tracker.finish()
    tell(mode=tracker.mode, state=tracker.state, imported="wandb" in sys.modules)


def demanded(folder: Path) -> None:
    tracker = begin(folder, os.environ.get("MODE", "online"))
    work(tracker, folder)
    tracker.finish()
    tell(mode=tracker.mode)


def records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file: 32 KiB blocks of checksummed pieces (LevelDB's log format) of protocol buffers."""
    from wandb.proto import wandb_internal_pb2 as pb

    data, at, record = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, piece = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if piece in (1, 4):  # whole, or the last piece
            message = pb.Record()
            message.ParseFromString(record)
            record = b""
            yield message


def dump(folder: Path) -> None:
    """What the .wandb files under `folder` hold, as JSON."""
    for path in sorted(folder.rglob("*.wandb"), key=lambda p: p.stat().st_mtime):
        run: dict[str, Any] = {"history": [], "metrics": [], "artifacts": [], "summary": {}}
        for record in records(path):
            match record.WhichOneof("record_type"):
                case "run":
                    run |= {"id": record.run.run_id, "name": record.run.display_name, "group": record.run.run_group}
                    run |= {"job_type": record.run.job_type, "tags": list(record.run.tags)}
                    run |= {"project": record.run.project, "entity": record.run.entity}
                    run["config"] = {u.key: json.loads(u.value_json) for u in record.run.config.update}
                case "history":
                    items = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
                    run["history"].append(items)
                case "metric":
                    run["metrics"].append([record.metric.name or record.metric.glob_name, record.metric.step_metric])
                case "artifact":
                    files = [entry.path for entry in record.artifact.manifest.contents]
                    run["artifacts"].append([record.artifact.type, files, sorted(record.artifact.aliases)])
                case "request" if record.request.WhichOneof("request_type") == "log_artifact":
                    artifact = record.request.log_artifact.artifact
                    files = [entry.path for entry in artifact.manifest.contents]
                    run["artifacts"].append([artifact.type, files, sorted(artifact.aliases)])
                case "summary":
                    for u in record.summary.update:
                        run["summary"][u.key or "/".join(u.nested_key)] = json.loads(u.value_json)
                case "exit":
                    run["exit"] = record.exit.exit_code
        tell(**run)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
