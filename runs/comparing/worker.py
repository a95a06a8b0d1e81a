"""One training of a comparison, in this process: `python -m runs.comparing.worker JOB.json RESULT.json`."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import envs
from envs import EnvConfig
from rl.errors import InputError
from rl.storage import read_json, rename, write_json
from runs.comparing.random_policy import Random
from runs.folder.processes import end_with_parent
from runs.folder.provenance import Meter
from runs.folder.trust import Trust, foreign_names
from runs.recipe import Run
from runs.reporting.comparison_file import SHARED
from runs.settings.plain import from_json

FRAMES = 900
"""Longest video: half a minute at 30 frames a second."""


def main(source: str, target: str) -> int:
    job = read_json(Path(source))
    threading.Thread(target=end_with_parent, args=(os.getppid(), job.get("stop")), daemon=True).start()
    try:
        result = work(job)
    except SystemExit:
        raise
    except BaseException as error:
        if type(error).__name__ in ("Stopped", "KeyboardInterrupt", "Terminated"):
            return 143
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    write_json(Path(target), result)
    return 0


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Trains and evaluates what `job` says; returns a result as runs/reporting/analysis.py describes it."""
    from runs.folder.provenance import git_commit, machine, peak_memory, versions

    meter = Meter()
    kind = {"ours": _ours, "peer": _peer, "run": _run, "random": _random}[job["kind"]]
    found = kind(job, meter)
    cpu, others = meter.read()
    trained = job["kind"] in ("ours", "peer")
    alone = bool(trained and job.get("jobs", 1) == 1 and others < SHARED and not found.pop("resumed", False))
    seconds = found.get("seconds")
    measured = {
        "seconds": seconds,
        "cpu_seconds": round(cpu, 2),
        "steps_per_second": round(found["steps"] / seconds, 1) if seconds else None,
        "peak_memory": peak_memory(),
    }
    return {
        "contender": job["contender"],
        "task": job["env"],
        "seed": job["seed"],
        "status": "ok",
        "error": None,
        **found,
        **(measured if alone else dict.fromkeys(measured)),
        "alone": alone,
        "others": round(others, 3),
        "jobs": job.get("jobs", 1),
        "machine": machine(),
        "versions": versions(),
        "commit": git_commit(),
    }


def _eval_run(job: dict[str, Any], agent: Any = None) -> Run:
    """The task as a `Run`, for the evaluator."""
    config = from_json(EnvConfig, job["env_config"])
    return Run(env=job["env"], agent=agent, steps=job["steps"], env_config=config, eval_max_steps=job["eval_max_steps"])


def _ours(job: dict[str, Any], meter: Meter) -> dict[str, Any]:
    from runs.folder.jsonl import read_jsonl
    from runs.folder.provenance import git_commit
    from runs.training.evaluation import load
    from runs.training.train import resume, train

    run, folder = from_json(Run, {**job["run"], "seed": job["seed"]}), Path(job["folder"])
    begun = _begun(folder, run)
    saved = begun is not None
    if saved:
        answer = _continue(job, folder, run, resume)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        settings = [f"save_every={max(run.steps // 4, 1)}"]
        answer = train(run, settings=settings, out=folder, track="off", device=job["device"], quiet=True)
    lines = read_jsonl(folder / "evaluations.jsonl")
    if job.get("video"):
        film(load(folder, trust=_trusts(job)), job, Path(job["video"]))
    if not job.get("resumable"):
        shutil.rmtree(folder / "replay", ignore_errors=True)  # needed only to go on training
    return {
        "score": answer["mean"],
        "returns": answer["returns"],
        "curve": [[line["step"], line["seconds"], line["mean"]] for line in lines],
        "steps": run.steps,
        "seconds": answer["seconds"],
        **_exact(answer),
        "run": str(folder),
        "resumed": saved,
        "commits": begun or [git_commit()],
    }


def _exact(score: Mapping[str, Any]) -> dict[str, Any]:
    """The policy's exact expected return, if it is known."""
    return {"exact": score["exact"]} if score.get("exact") is not None else {}


def _trusts(job: dict[str, Any]) -> Trust:
    """Trusts the names of the job, which were typed or allowed: nobody can answer a worker's question."""
    allowed = {*foreign_names(job.get("run")), *foreign_names(job["env_config"]), job["env"], *job.get("trusted", ())}
    return lambda names, source: allowed.issuperset(names)


def _begun(folder: Path, run: Run) -> list[str | None] | None:
    """The commits of the training saved in `folder`, with the present one; None if nothing is saved there.

    A finished training of another commit that left no result was withdrawn, or cut: it is moved aside, not scored.
    """
    if not any((folder / "checkpoints").glob("step-*")):
        return None
    from runs.folder.provenance import git_commit
    from runs.folder.run_folder import resolve as locate

    info, now = read_json(folder / "run.json"), git_commit()
    commits = [info.get("commit"), *(again.get("commit") for again in info.get("resumed", ()))]
    if int(locate(folder).manifest["step"]) < run.steps or set(commits) == {now}:
        return list(dict.fromkeys([*commits, now]))
    aside = folder.with_name(f".{folder.name}-{str(commits[-1])[:12]}")
    shutil.rmtree(aside, ignore_errors=True)
    rename(folder, aside)
    return None


def _continue(job: dict[str, Any], folder: Path, run: Run, resume: Any) -> dict[str, Any]:
    """Continues an interrupted training, or evaluates a finished one that has no evaluation."""
    from runs.folder.jsonl import read_jsonl
    from runs.folder.run_folder import resolve as locate
    from runs.training.evaluation import evaluate
    from runs.training.session import evaluated

    step = int(locate(folder).manifest["step"])
    if step < run.steps or not evaluated(folder, step):
        return dict(resume(folder, track="off", device=job["device"], quiet=True, trust=_trusts(job)))
    answer = evaluate(folder, episodes=run.eval_episodes, seed=run.seed, sample=run.eval_sample, trust=_trusts(job))
    last = (read_jsonl(folder / "metrics.jsonl") or [{}])[-1]
    return {**answer, "seconds": last.get("seconds")}


def _peer(job: dict[str, Any], meter: Meter) -> dict[str, Any]:
    from runs.comparing.peers.peer import Peer
    from runs.comparing.peers.training import PeerAgent, train_peer
    from runs.training.evaluation import pick_device, play_games

    peer, run = Peer(**job["peer"]), _eval_run(job)

    def play(agent: PeerAgent) -> Any:
        return play_games(
            agent,  # type: ignore[arg-type]
            run,
            episodes=job["eval_episodes"],
            seed=job["seed"],
            sample=job["eval_sample"],
        )

    done = train_peer(
        peer,
        job["env"],
        run.env_config,
        job["steps"],
        job["seed"],
        threads=job["threads"],
        device=pick_device(job["device"]),
        evaluate=lambda agent: float(play(agent).mean),
        eval_every=job["eval_every"],
        eval_epsilon=job["eval_epsilon"],
    )
    score = play(done.agent)
    if job.get("video"):
        film(done.agent, job, Path(job["video"]))
    return {
        "score": score.mean,
        "returns": score.returns,
        "curve": [*map(list, done.curve), [done.steps, done.seconds, score.mean]],
        "steps": done.steps,
        "seconds": round(done.seconds, 3),
    }


def _run(job: dict[str, Any], meter: Meter) -> dict[str, Any]:
    from runs.folder.jsonl import read_jsonl
    from runs.training.evaluation import load_run, play_games

    folder = Path(job["folder"])
    agent, trained = load_run(folder, trust=_trusts(job))
    own = (trained.eval_episodes, trained.eval_max_steps, trained.eval_sample, getattr(agent.config, "eval_epsilon", 0))
    task = (job["eval_episodes"], job["eval_max_steps"], job["eval_sample"], job["eval_epsilon"])
    if hasattr(agent.config, "eval_epsilon"):  # the task's, as for all others
        agent.config = dataclasses.replace(agent.config, eval_epsilon=job["eval_epsilon"])
    score = play_games(
        agent, _eval_run(job), episodes=job["eval_episodes"], seed=job["seed"], sample=job["eval_sample"]
    )
    if job.get("video"):
        film(agent, job, Path(job["video"]))
    # its scores during training count only if they were evaluated as the task asks
    lines = read_jsonl(folder / "evaluations.jsonl") if own == task else []
    curve = [[line["step"], line["seconds"], line["mean"]] for line in lines if line["step"] < score.step]
    return {
        "score": score.mean,
        "returns": score.returns,
        "curve": [*curve, [score.step, None, score.mean]],
        "steps": score.step,
        "seconds": None,
        **_exact(score.to_json()),
        "run": str(folder),
    }


def _random(job: dict[str, Any], meter: Meter) -> dict[str, Any]:
    from runs.training.evaluation import play_games

    run = _eval_run(job)
    agent: Any = Random(envs.spec(run.env, run.env_config))
    score = play_games(agent, run, episodes=job["eval_episodes"], seed=job["seed"])
    return {"score": score.mean, "returns": score.returns, "curve": [], "steps": 0, "seconds": None}


def film(agent: Any, job: dict[str, Any], path: Path) -> None:
    """Writes the agent's first evaluation game as a small .webm; nothing if the environment has no picture."""
    from runs.watching.video import VideoWriter, resized

    run = _eval_run(job)
    sample = bool(job.get("eval_sample") or job.get("run", {}).get("eval_sample"))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        env = envs.make(
            run.env, num_envs=1, seed=job["seed"], stream="evaluate", config=run.env_config, games=1, render=True
        )
    except InputError:
        return
    part = path.with_name(f"part-{path.name}")
    try:
        actor, ts = agent.actor(1, job["seed"], stream="evaluate", sample=sample), env.reset()
        with VideoWriter(part) as video:
            while not ts.last[0] and video.frames < FRAMES:
                ts = env.step(actor.act(ts))
                frame = env.render()[0]
                scale = min(1.0, 320 / frame.shape[1])
                size = (int(frame.shape[1] * scale) // 2 * 2, int(frame.shape[0] * scale) // 2 * 2)
                video.write(resized(frame, *size))
        rename(part, path)
    except Exception as error:  # a failed video must not lose a training
        print(f"no video: {error}", file=sys.stderr)
        part.unlink(missing_ok=True)
    finally:
        env.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
