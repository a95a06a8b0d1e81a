"""Trainings on a Ray cluster: each a task of its own, sent again where a node is lost. Ray is imported only here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl.errors import InputError

RETRIES = 3
"""How often a training is sent again after its node or process was lost."""


def ray_sender(threads: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that runs a job on the cluster of RAY_ADDRESS, or on Ray's own local one, and waits for its result.

    The suite must be installed on the nodes. Run folders and videos stay on the node that made them, unless the
    comparison's folder lies on a shared disk; scores, curves and times come back. Raises `InputError` where Ray is not
    installed or the cluster does not answer.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError("--on ray needs Ray, which is not installed: pip install 'ludo-rl[ray]'") from error
    address = os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        try:
            ray.init(address=address or None, logging_level="error", log_to_driver=False, include_dashboard=False)
        except TypeError:  # an existing cluster takes no options of a new one
            ray.init(address=address, logging_level="error", log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"RAY_ADDRESS {address}: no Ray head answers there ({reason})") from error
    send = ray.remote(num_cpus=max(1, threads), max_retries=RETRIES)(on_node)
    root = str(Path(__file__).parent.parent)

    def run(job: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(ray.get(send.remote(job, root)))
        except ray.exceptions.RayError as error:
            from runs.compare import failed

            return failed(job, f"{type(error).__name__}: {str(error).splitlines()[0]}")

    return run


def on_node(job: dict[str, Any], root: str) -> dict[str, Any]:
    """What a node does. `root` is where the driver's tree lies: used where the node has it too."""
    import sys

    if Path(root, "runs", "worker.py").exists() and root not in sys.path:
        sys.path.insert(0, root)
    from runs.compare import run_job

    result = run_job(job)
    # a lost node kills the process itself, and Ray sends the job again; a signal to the training alone is a failure
    return {**result, "node": os.uname().nodename if hasattr(os, "uname") else ""}
