"""Trainings on a Ray cluster: each is one task, sent again if its node is lost. Ray is imported only here."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl.errors import InputError, RunError
from rl.storage import read_json, write_json
from runs.comparing.plan import Plan
from runs.folder.places import ROOT
from runs.folder.processes import last_words, train_child

RETRIES = 3
"""How often a training is sent again after its node or process was lost."""


def on_cluster(function: Callable[..., Any], threads: int) -> Callable[..., Any]:
    """`function` as one that runs on the cluster of RAY_ADDRESS, or on Ray's own local one, and waits for its result.

    The suite must be installed on the nodes. If a node is lost, Ray calls it again elsewhere, up to `RETRIES` times.
    Raises `InputError` if Ray is not installed or the cluster does not answer; the function raises `RunError` for what
    the cluster, or `function` on it, raises.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError('--on ray needs Ray, which is not installed: pip install "ludo-rl[ray]"') from error
    address = os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        try:
            ray.init(address=address or None, logging_level="error", log_to_driver=False, include_dashboard=False)
        except TypeError:  # an existing cluster takes no options of a new one
            ray.init(address=address, logging_level="error", log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"RAY_ADDRESS {address}: no Ray head answers there ({reason})") from error
    task = ray.remote(num_cpus=max(1, threads), max_retries=RETRIES)(function)

    def call(*arguments: Any) -> Any:
        try:
            return ray.get(task.remote(*arguments))
        except ray.exceptions.RayError as error:
            lines = [line for line in str(error).splitlines() if line.strip()] or [""]
            raise RunError(f"{type(error).__name__}: {lines[-1].strip()}") from None

    return call


def ray_sender(threads: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that runs a job on the cluster and waits for its result; trouble there is a failed result.

    Run folders and videos stay on the node that made them, unless the comparison's folder lies on a shared disk;
    scores, curves and times come back.
    """
    send = on_cluster(on_node, threads)

    def run(job: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(send(job, str(ROOT)))
        except RunError as error:
            return failed(job, str(error))

    return run


def on_node(job: dict[str, Any], root: str) -> dict[str, Any]:
    """Runs a job on a node. `root` is the driver's tree, which is used if the node has it too."""

    if Path(root, "runs", "comparing", "worker.py").exists() and root not in sys.path:
        sys.path.insert(0, root)
    result = run_job(job)
    # a lost node kills the process itself, and Ray sends the job again; a signal to the training alone is a failure
    return {**result, "node": os.uname().nodename if hasattr(os, "uname") else ""}


def sender(on: str | None, plan: Plan) -> Callable[[dict[str, Any]], dict[str, Any]]:
    if on is None:
        return run_job
    if on != "ray":
        raise InputError(f"--on {on}: only ray is known")
    return ray_sender(max(t.threads or 1 for t in plan.tasks))


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """One training in a process of its own. A failure is a result with its last line; an interrupt is raised."""
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "job.json", Path(place) / "result.json"
        write_json(source, job)
        begun = time.monotonic()
        done = train_child(
            ["runs.comparing.worker", str(source), str(target)],
            root=ROOT,
            paths=[p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p],
            threads=job.get("threads") or 0,
            interrupted=f"{job['contender']} seed {job['seed']} was interrupted; the same command continues it",
        )
        result = dict(read_json(target)) if target.exists() else failed(job, last_words(done))
        return {**result, "wall": round(time.monotonic() - begun, 3)}


def failed(job: dict[str, Any], reason: str) -> dict[str, Any]:
    """The result of a failed training."""
    return {
        "contender": job["contender"],
        "task": job["env"],
        "seed": job["seed"],
        "status": "failed",
        "error": " ".join(reason.split())[:500],
        "score": None,
        "returns": [],
        "curve": [],
        "alone": False,
    }
