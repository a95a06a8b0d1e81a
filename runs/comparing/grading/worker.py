"""One run of a grading, in this process: `python -m runs.comparing.grading.worker JOB.json RESULT.json`.

The process limits itself before it reads anything of the run: memory, size of files, output. Its parent ends it when
its time is over.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

LARGEST_FILE = 64 << 20
"""Bytes of the largest file that the process may write, where the platform has this limit."""


def limit(seconds: int, memory: int) -> None:
    """Limits the processor time and memory of this process, and of each that it starts. Windows has no such limits."""
    if sys.platform == "win32":
        return
    import resource

    for kind, most, grace in (
        (resource.RLIMIT_CPU, seconds, 1),  # SIGXCPU ends it, and SIGKILL a second later if it ignores that
        (resource.RLIMIT_DATA, memory, 0),
        (resource.RLIMIT_FSIZE, LARGEST_FILE, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least, last = (x if hard == resource.RLIM_INFINITY else min(x, hard) for x in (most, most + grace))
        resource.setrlimit(kind, (least, last))


def silence() -> None:
    """Sends all output to the null device: the parent keeps it in memory."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Plays the games of `job`. Raises `InputError` if the run does not belong to the task or does not fit it."""
    import agents
    import envs
    from rl.errors import InputError
    from runs.folder.run_folder import resolve as locate
    from runs.recipe import Run, agent_name, from_document
    from runs.settings.plain import from_json

    task, trust = from_json(Run, job["run"]), job["limits"]["trust"]
    found = locate(job["folder"])
    run = from_document(found.manifest["extra"], found.checkpoint / "manifest.json", trust)
    steps = int(found.manifest["step"])
    if run.env != task.env:
        raise InputError(f"is of environment {run.env}, not {task.env}")
    if not isinstance(getattr(run.agent, "name", None), str):
        raise InputError("its recipe names no agent")
    if not job["free"]:
        if agent_name(run.agent) != agent_name(task.agent):
            mend = f"--recipe {task.env} takes every agent"
            raise InputError(f"agent {agent_name(run.agent)}, {job['recipe']} has {agent_name(task.agent)} ({mend})")
        if steps > task.steps:
            raise InputError(f"trained for {steps:,} steps, {job['recipe']} allows {task.steps:,}")
    # imports torch, which a refusal does not need
    from runs.training.evaluation import loaded_config, play_games, put_back

    spec = envs.spec(task.env, task.env_config)
    agent = agents.build(loaded_config(run, found), spec, num_envs=1, seed=run.seed, device="cpu")
    put_back(agent, found.checkpoint)
    sample = run.eval_sample if job["free"] else task.eval_sample
    played = dataclasses.replace(task, agent=run.agent, steps=max(task.steps, run.steps))
    score = play_games(agent, played, episodes=job["games"], seed=job["seed"], sample=sample)
    files = {name: file["sha256"] for name, file in found.manifest["files"].items() if name.startswith("agent.")}
    weights = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return {"reason": "", "returns": score.returns, "agent": score.agent, "steps": steps, "weights": weights}


def main(source: str, target: str) -> int:
    job = json.loads(Path(source).read_text())
    limit(job["limits"]["seconds"], job["limits"]["memory"])
    silence()
    from runs.folder.processes import end_with_parent

    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    if job["limits"]["trust"]:  # a submission's own modules, behind all that is installed
        sys.path += [job["folder"], str(Path(job["folder"]).parent)]
    try:
        answer = work(job)
    except MemoryError:
        answer = {"reason": f"needs more than {job['limits']['memory'] / 2**30:.0f} GB of memory"}
    except Exception as error:
        name = "" if type(error).__module__.startswith(("rl.", "runs.")) else f"{type(error).__name__}: "
        answer = {"reason": f"{name}{error}" or type(error).__name__}
    Path(target).write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
