"""`rl train` and `rl resume`: one run, from its start or a checkpoint to its final evaluation."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import agents
import envs
from agents.base import Agent
from agents.overlap import require_replay
from rl import checkpoint, tracking
from rl.errors import InputError
from rl.interface import Env, EnvSpec
from rl.memory import available_memory
from rl.ranks import Ranks
from rl.schedules import Ramp
from rl.stats import iqm
from rl.storage import read_json
from rl.tracking import Tracker
from runs.folder.jsonl import read_jsonl
from runs.folder.provenance import command, device_name, git_commit, versions
from runs.folder.run_folder import GENERATIONS, RunFolder, default_name
from runs.folder.run_folder import resolve as locate
from runs.folder.trust import Trust
from runs.recipe import Run, describe, from_document, from_run_json, require_updates, values_taken
from runs.recipe import resolve as resolve_recipe
from runs.settings.apply import differences
from runs.training.evaluation import WHERE_KNOWN, Score, pick_device, precision_of
from runs.training.ranks import ShardedEnv, built, follow, follows, joined, wanted
from runs.training.self_play import self_play
from runs.training.session import Session, Turn, evaluated


def train(
    recipe: str | Path | Run | Callable[..., Any],
    *,
    agent: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    num_envs: int | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    out: str | Path | None = None,
    track: str = "off",
    device: str = "auto",
    watch: bool = False,
    quiet: bool = True,
    until: float | None = None,
    ranks: int | None = None,
    trust: Trust = False,
) -> dict[str, Any]:
    """Trains a recipe to its budget and evaluates the final policy.

    until: ends the training when an evaluation's mean return reaches it; never for results that are to be recorded.
    ranks: processes of a data-parallel training (`runs.training.ranks`); none is torchrun's number, or one. In the
        other processes of torchrun, `{"rank": number}` is returned.
    trust: whether a run.json may name code that is neither registered nor signed by this machine.

    Returns the final `Score` as plain JSON with `run`, `steps`, `seconds` and `steps_per_second` of the training alone.
    Raises InputError before anything is started or written, RunError and NonFiniteError after.
    """
    turns = session(
        recipe,
        agent=agent,
        steps=steps,
        seed=seed,
        num_envs=num_envs,
        settings=settings,
        out=out,
        track=track,
        device=device,
        watch=watch,
        quiet=quiet,
        until=until,
        ranks=ranks,
        trust=trust,
    )
    return _last(turns)


def _last(turns: Generator[Turn, None, dict[str, Any]]) -> dict[str, Any]:
    """Takes every turn; the value that the generator returns."""
    while True:
        try:
            next(turns)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def session(
    recipe: str | Path | Run | Callable[..., Any],
    *,
    agent: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    num_envs: int | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    out: str | Path | None = None,
    track: str = "off",
    device: str = "auto",
    watch: bool = False,
    quiet: bool = True,
    until: float | None = None,
    ranks: int | None = None,
    trust: Trust = False,
) -> Generator[Turn, None, dict[str, Any]]:
    """`train` as a loop: yields a `Turn` after each row, with `step, row, metrics, agent, score` and its methods.

        for slot in runs.session("cartpole_dqn"):
            if slot.score is not None and slot.score.mean >= 475:
                slot.stop()

    The arguments, errors and files are those of `train`, which takes every turn of this loop and does nothing else.
    Nothing starts before the first turn is asked for. Leaving the loop early saves the run; docs/session.md.
    """
    if watch:
        from envs.drawing import require_display

        require_display("leave --watch out, and film the training afterwards with `rl watch RUN --video FILE`")
    run = resolve_recipe(recipe, agent=agent, steps=steps, seed=seed, num_envs=num_envs, settings=settings, trust=trust)
    require_updates(run)
    _require_reachable(until, run)
    where = pick_device(device)
    with joined(run, wanted(ranks), where) as group:
        learner, env = _parts(run, where, group)
        if group is not None and group.rank:
            follow(run, group, learner, env)
            return {"rank": group.rank}
        try:
            opponent = self_play(run, learner, env)
            if run.overlap and opponent is not None:
                raise InputError("overlap=true: a learner cannot be its own opponent while it learns: leave it out")
            with RunFolder.create(out, default_name(run.env, agents.title(run.agent), run.seed)) as folder:
                info = _provenance(run, learner, env.spec, where) | ({"ranks": group.count} if group else {})
                folder.write_info(info)
                folder.begin()
                tracker = _tracker(track, folder.path, run, learner.name, info)
                folder.write_info({**info, "tracking": tracker.state})
                values = "" if quiet or isinstance(recipe, Run) else values_taken(str(recipe), agent, run)
                shown: dict[str, Any] = {"quiet": quiet, "watched": watch, "values": values}
                stretch = Session(run, learner, env, folder, tracker, **shown, self_play=opponent, until=until)
                if watch:
                    from runs.folder.processes import open_viewer

                    open_viewer(folder.path)
                return (yield from stretch.turns())
        finally:
            env.close()


def _parts(run: Run, where: str, group: Ranks | None, precision: str | None = None) -> tuple[Agent, Env]:
    """The learner, and the environments of its training; refuses what cannot be trained.

    precision: what the run has computed in so far.
    """
    spec = envs.spec(run.env, run.env_config, tried=True)
    learner = built(run, spec, group, where, precision)
    preflight(learner)
    if run.overlap:
        require_replay(learner)
    if spec.options.get("vector") == "native":  # whether its games can be started from seeds, asked before the training
        envs.make(run.env, config=run.env_config, games=1).close()
    if group is not None:
        return learner, ShardedEnv(run, group)
    return learner, envs.make(run.env, num_envs=run.num_envs, seed=run.seed, stream="train", config=run.env_config)


def _provenance(run: Run, learner: Agent, spec: EnvSpec, where: str) -> dict[str, Any]:
    """What run.json says of a training at its beginning."""
    return {
        "schema": 1,
        "recipe": describe(run),
        "command": command(),
        "choices": {**device_name(where), "vector": spec.options.get("vector"), **learner.choices()},
        "versions": versions(),
        "commit": git_commit(),
    }


def _require_reachable(until: float | None, run: Run) -> None:
    if until is None:
        return
    if not math.isfinite(until):
        raise InputError(f"--until must be a finite return, got {until}")
    if run.eval_every == 0:
        raise InputError(f"--until {until:g} needs evaluations during the training: eval_every=0 makes none")


def resume(
    path: str | Path,
    *,
    steps: int | None = None,
    track: str = "off",
    device: str = "auto",
    quiet: bool = True,
    ranks: int | None = None,
    trust: Trust = False,
) -> dict[str, Any]:
    """Continues a run from its newest good checkpoint, to its budget or to a new total of `steps`.

    The result equals that of a run that was never interrupted, bit for bit, on the same machine. With a larger total,
    the run also equals one that had this total from the start, if the rows of all environments together reached the
    old total exactly. One environment always does. Several may not, because the first row of a game is not counted:
    then up to num_envs - 1 rows beyond the old total were played but never learned from. A run that was stopped in
    its final evaluation plays that again, from its beginning. `trust`: as in `train`.
    """
    found = locate(path, replay=True)
    assert found.run is not None  # a checkpoint alone is refused
    if follows():  # rank 0 has the folder's lock, writes and reports
        return _follow_resumed(found, steps, device, ranks, trust)
    for line in found.skipped:
        print(line, file=sys.stderr)
    with RunFolder.open(found.run) as folder:
        info, manifest, done = folder.read_info(), found.manifest, found.manifest["step"]
        before = from_run_json(found.run / "run.json", trust)
        saved = from_document(manifest["extra"], found.checkpoint / "manifest.json", trust)
        _refuse_another(before, saved, found.checkpoint)
        total = before.steps if steps is None else steps
        if total < done:
            raise InputError(f"{path} has already made {done} steps: give a larger total with --steps")
        if total == done and evaluated(found.run, done):
            print(f"{path} has finished its {done:,} steps; --steps gives a larger total", file=sys.stderr)
            return finished(found.run, before, done)
        run = resolve_recipe(before, steps=steps)
        for line in ended_schedules(before, run):
            print(line, file=sys.stderr)
        where = pick_device(device)
        with joined(run, wanted(ranks, info.get("ranks", 1)), where, found.checkpoint) as group:
            learner, env = _parts(run, where, group, precision_of(info))
            try:
                again = {"step": done, "command": command(), "commit": git_commit()}
                again |= {"steps": run.steps} if run.steps != before.steps else {}
                again |= {"choices": {**device_name(where), **learner.choices()}}
                info.pop("stopped", None)
                info |= {"recipe": describe(run), "resumed": [*info.get("resumed", []), again]}
                tracker = _tracker(track, folder.path, run, learner.name, info, info.get("tracking"))
                opponent = self_play(run, learner, env)
                stretch = Session(run, learner, env, folder, tracker, quiet=quiet, self_play=opponent)
                stretch.load(found.checkpoint, manifest)
                checkpoint.discard_after(folder.path, done)
                checkpoint.discard_after(folder.path / GENERATIONS, done)
                for remark in folder.truncate_to(manifest["lengths"], done):
                    print(remark, file=sys.stderr)
                folder.write_info({**info, "tracking": tracker.state})
                return _last(stretch.turns())
            finally:
                env.close()


def _follow_resumed(found: Any, steps: int | None, device: str, ranks: int | None, trust: Trust) -> dict[str, Any]:
    """The part of `resume` in a rank beside rank 0, which writes nothing."""
    run = resolve_recipe(from_run_json(found.run / "run.json", trust), steps=steps)
    rank, done = {"rank": int(os.environ["RANK"])}, found.manifest["step"]
    if run.steps <= done and evaluated(found.run, done):
        return rank
    where, count = pick_device(device), wanted(ranks, read_json(found.run / "run.json").get("ranks", 1))
    with joined(run, count, where) as group:
        assert group is not None
        follow(run, group, *_parts(run, where, group), found.checkpoint)
    return rank


def finished(folder: Path, run: Run, step: int) -> dict[str, Any]:
    """What `train` returned at the end of the finished run in `folder`, rebuilt from its files."""
    last = [line for line in read_jsonl(folder / "evaluations.jsonl") if line["step"] == step][-1]
    spec = envs.spec(run.env, run.env_config)
    returns = last["returns"]
    score = Score(
        env=run.env,
        agent=agents.title(run.agent),
        step=step,
        episodes=len(returns),
        mean=float(np.mean(returns)),
        std=float(np.std(returns)),
        iqm=float(iqm(returns)),
        returns=returns,
        lengths=last["lengths"],
        seeds=last["seeds"],
        protocol=spec.protocol,
        sample=run.eval_sample,
        **{name: last.get(name) for name in WHERE_KNOWN},
    )
    seconds = last["seconds"]
    speed = round(step / max(seconds, 1e-9), 1)
    return {**score.to_json(), "run": str(folder), "steps": step, "seconds": seconds, "steps_per_second": speed}


FREE = (
    "steps",
    "eval_every",
    "eval_episodes",
    "eval_sample",
    "eval_max_steps",
    "save_every",
    "snapshots",
    "log_every",
    "video_every",
)
"""Fields of a run on which neither its rows nor its updates depend."""


def _refuse_another(run: Run, saved: Run, place: Path) -> None:
    """Raises InputError where run.json was changed into another run than the one that `place` holds."""
    names = (agents.name_of(run.agent), agents.name_of(saved.agent))
    changed = {"agent": names} if names[0] != names[1] else differences(run, saved)
    for path, (now, then) in changed.items():
        if path not in FREE:
            raise InputError(
                f"run.json has {path}={now}, {place.name} was made with {then}: put that back, or `rl train run.json`"
            )


def _tracker(
    mode: Any, path: Path, run: Run, agent: str, info: dict[str, Any], state: dict[str, Any] | None = None
) -> Tracker:
    return tracking.track(
        mode,
        folder=path,
        env=run.env,
        agent=agent,
        seed=run.seed,
        config=info,
        command=sys.argv,
        state=state,
    )


def ended_schedules(before: Run, run: Run) -> list[str]:
    """One line for each schedule of the agent that was made for the budget `before` and ends within that of `run`.

    A resumed run keeps its schedules, so that it equals one that had the larger budget from the start.
    """
    ramps = {f.name: getattr(run.agent, f.name) for f in dataclasses.fields(run.agent)}
    return [
        f"agent.{name} ends its schedule after {ramp.steps:,} steps and stays at {ramp.end:g}"
        for name, ramp in ramps.items()
        if isinstance(ramp, Ramp) and before.steps <= ramp.steps < run.steps
    ]


def preflight(agent: Agent) -> None:
    """Compares the memory that the agent will need with the free memory. Raises InputError if it does not fit."""
    need, free = agent.predicted_bytes(), available_memory()
    if need > free:
        rows = "buffer_size" if hasattr(agent.config, "buffer_size") else "rollout or num_envs"
        raise InputError(
            f"the replay needs about {need / 1e9:.2f} GB, "
            f"{free / 1e9:.2f} GB are free: lower {rows} or set store=compressed"
        )
