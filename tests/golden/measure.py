"""Reads run and comparison folders without the suite's own code, and makes digests of them."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shutil
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
import torch
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits

import runs
from tests.golden.cases import Case

HERE = Path(__file__).parent
WALL_CLOCK = ("seconds", "time/sps")
UNSTABLE = (
    *("seconds", "cpu_seconds", "steps_per_second", "peak_memory", "wall", "alone", "timed", "others", "jobs"),
    *("machine", "versions", "commit", "commits", "created", "command", "run", "resumed"),
)
"""Keys of a comparison that hold times, memory, places, the machine or the version."""


def machine_kind() -> dict[str, str]:
    """Digests hold on machines of one kind: the same processor as numba sees it too, instructions, PyTorch, NumPy."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1] for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].strip() if models else name
    return {
        "processor": name,
        "compiled_for": llvmlite.binding.get_host_cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def train(case: Case, folder: Path) -> dict[str, Any]:
    """Trains `case` into `folder` with one thread, and reads the folder."""
    with threadpool_limits(1):
        said = runs.train(
            case.env,
            agent=case.agent,
            steps=case.steps,
            num_envs=case.num_envs,
            settings=case.words,
            out=folder,
            device="cpu",
        )
    return read_run(folder, said)


def read_run(folder: Path, said: dict[str, Any]) -> dict[str, Any]:
    """Digests and plain numbers of a run folder whose training or resuming returned `said`."""
    saved = max((folder / "checkpoints").glob("step-*"))
    weights, learner = (arrays(saved / f"{name}.safetensors") for name in ("agent", "learner"))
    metrics = lines(folder / "metrics.jsonl")
    losses = [line["train/loss"] for line in metrics if line.get("train/loss") is not None]
    info = json.loads((folder / "run.json").read_text())
    return {
        "digests": {
            "weights": digest(weights),
            "optimizer": digest({k: v for k, v in learner.items() if k.startswith("optimizer")}),
            "learner": digest(learner, tree(saved / "learner.json")),
            "session": digest(arrays(saved / "session.safetensors"), tree(saved / "session.json")),
            "rows": digest(*(arrays(path) for path in sorted((folder / "replay").glob("*.safetensors")))),
            "metrics": digest(metrics),
            "episodes": digest(lines(folder / "episodes.jsonl")),
            "evaluations": digest(lines(folder / "evaluations.jsonl")),
        },
        "returns": said["returns"],
        "lengths": said["lengths"],
        "precision": info["choices"]["precision"],
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "losses": len(losses),
        "norm": math.sqrt(sum(norm**2 for _, norm in summary(weights).values())),
        "weights": summary(weights),
    }


def summary(weights: dict[str, torch.Tensor]) -> dict[str, tuple[float, float]]:
    """Sum and Euclidean norm of each floating-point tensor."""
    wide = {name: t.double() for name, t in sorted(weights.items()) if t.is_floating_point()}
    return {name: (round(float(t.sum()), 6), round(float(t.norm()), 6)) for name, t in wide.items()}


def arrays(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file; none if there is no file."""
    return load_file(path) if path.exists() else {}


def tree(path: Path) -> Any:
    """The JSON tree beside the tensors, without wall-clock times."""
    return timeless(json.loads(path.read_text()))


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a .jsonl file, without wall-clock times."""
    return [timeless(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def timeless(value: Any, drop: tuple[str, ...] = WALL_CLOCK) -> Any:
    """JSON without the keys in `drop`, at every depth."""
    if isinstance(value, dict):
        return {k: timeless(v, drop) for k, v in value.items() if k not in drop}
    return [timeless(v, drop) for v in value] if isinstance(value, list) else value


def digest(*parts: Any) -> str:
    """SHA-256 of dicts of tensors (name, dtype, shape and bytes, sorted by name) and of plain JSON."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, dict) and all(isinstance(v, torch.Tensor) for v in part.values()):
            for name, tensor in sorted(part.items()):
                sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
                sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            sha.update(json.dumps(part, sort_keys=True).encode())
    return sha.hexdigest()


def resume(name: str, steps: int, place: Path) -> dict[str, Any]:
    """Resumes a copy of the old run folder `name` to `steps`, and reads it."""
    folder = copy(name, place)
    with threadpool_limits(1):
        return read_run(folder, runs.resume(folder, steps=steps, device="cpu"))


def copy(name: str, place: Path) -> Path:
    """A copy of an old folder in `place`: the fixture itself is never opened."""
    return Path(shutil.copytree(HERE / "runs" / name, place / name))


def read_comparison(said: dict[str, Any]) -> dict[str, Any]:
    """What the comparison that returned `said` found: a digest of its file, fingerprints, scores and verdicts."""
    found = json.loads((Path(said["out"]) / "comparison.json").read_text())
    prints = {c["name"]: {env: t["fingerprint"] for env, t in c["tasks"].items()} for c in found["contenders"]}
    for result in found["results"]:
        result["curve"] = [[step, score] for step, _, score in result["curve"]]
    return {
        "digest": digest(timeless(found, UNSTABLE)),
        "fingerprints": prints,
        "scores": [[r["contender"], r["seed"], r["score"]] for r in found["results"]],
        "verdict": timeless({k: said[k] for k in ("contenders", "pairs")}, UNSTABLE),
    }


def table_rows(page: Path) -> list[str]:
    """The rows of a Markdown page's tables, without the headings."""
    rows, inside = [], False
    for line in page.read_text().splitlines():
        if line.startswith("|:--"):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside:
            rows.append(line)
    return rows


def recipe_fingerprints() -> dict[str, str]:
    """The fingerprint of every shipped recipe. The one place here that imports more than the public functions."""
    from runs.recipe import recipe_names, resolve
    from runs.recording.results import fingerprint

    return {name: fingerprint(resolve(name)) for name in sorted(recipe_names())}
