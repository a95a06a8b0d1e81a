"""Training, in straight lines: log, evaluate, save, stop."""

from __future__ import annotations

import dataclasses
import platform
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

import agents
import envs
from agents.base import Agent
from rl import checkpoint, tracking
from rl.checkpoint import SegmentStore
from rl.device import keep_freed_memory
from rl.errors import InputError, RunError
from rl.frames import available_memory
from rl.loop import Slot, interact
from rl.schedules import Ramp, crossed
from rl.tracking import Tracker
from rl.types import Env, TimeStep
from runs.commands import command
from runs.evaluate import Score, pick_device, play_games, put_back
from runs.folder import RECENT, RunFolder, default_name, read_jsonl
from runs.folder import resolve as locate
from runs.progress import Progress
from runs.recipe import Run, describe, doubt, from_document, from_run_json
from runs.recipe import resolve as resolve_recipe
from runs.settings import differences
from runs.signals import ending_signals
from runs.trust import Trust, signature


def train(
    recipe: str | Path | Run,
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
    trust: Trust = False,
) -> dict[str, Any]:
    """Trains a recipe to its budget and evaluates the final policy.

    trust: whether a run.json may name code that is neither registered nor signed by this machine.

    Returns the final `Score` as plain JSON with `run`, `steps`, `seconds` and `steps_per_second` of the training alone.
    Raises InputError before anything is started or written, RunError and NonFiniteError after.
    """
    if watch:
        from envs.drawing import require_display

        require_display("leave --watch out, and film the training afterwards with `rl watch RUN --video FILE`")
    run = resolve_recipe(recipe, agent=agent, steps=steps, seed=seed, num_envs=num_envs, settings=settings, trust=trust)
    where = pick_device(device)
    spec = envs.spec(run.env, run.env_config)
    learner = build(run, spec, where)
    preflight(learner)
    if spec.options.get("vector") == "native":  # whether its games can be started from seeds, asked before the training
        envs.make(run.env, config=run.env_config, games=1).close()
    env = envs.make(run.env, num_envs=run.num_envs, seed=run.seed, stream="train", config=run.env_config)
    try:
        with RunFolder.create(out, default_name(run.env, agents.title(run.agent), run.seed)) as folder:
            info = {
                "schema": 1,
                "recipe": describe(run),
                "command": command(),
                "choices": {**device_name(where), "vector": env.spec.options.get("vector"), **learner.choices()},
                "versions": versions(),
                "commit": git_commit(),
            }
            folder.write_info(info)
            folder.begin()
            tracker = _tracker(track, folder.path, run, learner.name, info)
            folder.write_info({**info, "tracking": tracker.state})
            session = Session(run, learner, env, folder, tracker, quiet=quiet)
            if watch:
                from runs.watch import open_viewer

                open_viewer(folder.path)
            return session.go()
    finally:
        env.close()


def resume(
    path: str | Path,
    *,
    steps: int | None = None,
    track: str = "off",
    device: str = "auto",
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Continues a run from its newest good checkpoint, to its budget or to a new total of `steps`.

    The result equals that of a run that was never interrupted, bit for bit, on the same machine. A run that is given
    a larger total equals one that had it from the start where its last slot was whole: of several environments up to
    num_envs - 1 rows, beyond the old total, were played but not learnt from. A run that was stopped in its final
    evaluation plays that again, from its beginning. `trust`: as in `train`.
    """
    found = locate(path, replay=True)
    assert found.run is not None  # a checkpoint alone is refused
    for line in found.skipped:
        print(line, file=sys.stderr)
    with RunFolder.open(found.run) as folder:
        info, manifest, done = folder.read_info(), found.manifest, found.manifest["step"]
        before = from_run_json(found.run / "run.json", trust)
        saved = from_document(manifest["extra"], found.checkpoint / "manifest.json", trust)
        _refuse_another(before, saved, found.checkpoint)
        total = before.steps if steps is None else steps
        if total < done or (total == done and evaluated(found.run, done)):
            raise InputError(
                f"{path} has already made {done} steps: give a larger total with --steps; "
                f"`rl evaluate {path}` plays its games"
            )
        run = resolve_recipe(before, steps=steps)
        for line in outlasted(before, run):
            print(line, file=sys.stderr)
        where = pick_device(device)
        learner = build(run, envs.spec(run.env, run.env_config), where)
        preflight(learner)
        env = envs.make(run.env, num_envs=run.num_envs, seed=run.seed, stream="train", config=run.env_config)
        try:
            again = {"step": done, "command": command(), "commit": git_commit()}
            again |= {"steps": run.steps} if run.steps != before.steps else {}
            again |= {"choices": {**device_name(where), **learner.choices()}}
            info |= {"recipe": describe(run), "resumed": [*info.get("resumed", []), again]}
            tracker = _tracker(track, folder.path, run, learner.name, info, info.get("tracking"))
            session = Session(run, learner, env, folder, tracker, quiet=quiet)
            session.load(found.checkpoint, manifest)
            checkpoint.discard_after(folder.path, done)
            for remark in folder.truncate_to(manifest["lengths"], done):
                print(remark, file=sys.stderr)
            folder.write_info({**info, "tracking": tracker.state})
            return session.go()
        finally:
            env.close()


FREE = (
    "steps",
    "eval_every",
    "eval_episodes",
    "eval_sample",
    "eval_max_steps",
    "save_every",
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


class Session:
    """One stretch of training in one process, from its start or a checkpoint to the budget."""

    def __init__(
        self, run: Run, agent: Agent, env: Env, folder: RunFolder, tracker: Tracker, *, quiet: bool = True
    ) -> None:
        self.run, self.agent, self.env, self.folder, self.tracker = run, agent, env, folder, tracker
        self.quiet = quiet
        self.step = 0
        self.ts: TimeStep | None = None
        self.seconds = 0.0
        """Of training, evaluations and saves left out, over all stretches."""
        self.episodes = EpisodeRecord(run.num_envs)
        self.segments = SegmentStore(folder.path)
        self.metrics: dict[str, Any] = {}
        """Of the newest update; tensors, read where they are logged."""
        self.stop_requested = 0
        """Number of the signal that asked to stop; looked at between slots."""

    def go(self) -> dict[str, Any]:
        status = "failed"
        keep_freed_memory()
        if self.run.threads:
            torch.set_num_threads(self.run.threads)
        if not self.quiet and (line := doubt(self.run)):
            print(line, file=sys.stderr)
        try:
            with Progress(self.run.steps, self.step, quiet=self.quiet) as progress:
                if self.step < self.run.steps:
                    with stop_requests(self):
                        self._train(progress)
                        self.save()
                self._log_the_end()
                if not self.agent.updates and not self.quiet:
                    print(f"no update was made in {self.step:,} steps: the policy is untrained", file=sys.stderr)
                try:
                    score = self._evaluate(progress)  # all is saved: a signal may end it at once
                except KeyboardInterrupt as stop:
                    stop.args = (f"stopped in its final evaluation; `rl resume {self.folder.path}` plays it",)
                    raise
            status = "done"
        except Stopped:
            status = "stopped"
            raise
        except (RunError, ArithmeticError):
            self._save_if_possible()
            raise
        finally:
            self.tracker.finish(status)
        return {
            **score.to_json(),
            "run": str(self.folder.path),
            "steps": self.step,
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(self.step / max(self.seconds, 1e-9), 1),
            "peak_memory_bytes": peak_memory(),
        }

    def _train(self, progress: Progress) -> None:
        """The loop. Evaluations, videos and saves are not counted as time; the last ones come after it."""
        run = self.run
        clock = time.perf_counter()
        for slot in interact(self.env, self.agent, run.steps, step=self.step, ts=self.ts):
            before, self.step, self.ts = self.step, slot.step, slot.ts
            self.metrics = slot.metrics or self.metrics
            self._log_episodes(slot)
            logs = crossed(before, self.step, run.log_every)
            evaluates, films, saves = (
                self.step < run.steps and crossed(before, self.step, every)
                for every in (run.eval_every, run.video_every, run.save_every)
            )
            stops = self.stop_requested and self.step < run.steps
            if not (logs or evaluates or films or saves or stops):
                continue
            self.seconds += time.perf_counter() - clock
            if logs:
                self._log()
                progress.update(self.step, self.episodes.mean_return)
            if evaluates:
                self._evaluate(progress)
            if saves or stops:
                self.save()
            if films:
                self._film()
            if stops:
                raise Stopped(self.stop_requested, self.step, self.folder.path)
            clock = time.perf_counter()
        self.seconds += time.perf_counter() - clock
        progress.update(self.step, self.episodes.mean_return)

    def _log_episodes(self, slot: Slot) -> None:
        for episode in self.episodes.add(slot.played):
            self.folder.episodes.write({"step": slot.step, **episode})

    def _log(self) -> None:
        line: dict[str, Any] = {"step": self.step, "seconds": round(self.seconds, 3)}
        line["train/return"] = self.episodes.mean_return
        line["train/length"] = self.episodes.mean_length
        line["train/episodes"] = self.episodes.count
        line |= {f"train/{name}": float(value) for name, value in self.metrics.items()}
        line |= {f"train/{name}": value for name, value in self.agent.schedule().items()}
        line["time/sps"] = round(self.step / max(self.seconds, 1e-9), 1)
        self.folder.metrics.write(line)
        self.tracker.log(self.step, line)

    def _log_the_end(self) -> None:
        """A last line where the budget ends between two; written after the save, so that more steps take it back."""
        lines = read_jsonl(self.folder.metrics.path)
        if not lines or lines[-1]["step"] < self.step:
            self._log()

    def _evaluate(self, progress: Progress) -> Score:
        run = self.run

        def tell(over: int) -> None:
            progress.tell(f"evaluating, {over} of {run.eval_episodes} games over")

        score = play_games(
            self.agent, run, episodes=run.eval_episodes, seed=run.seed, sample=run.eval_sample, tell=tell
        )
        line = {"step": self.step, "seconds": round(self.seconds, 3), "mean": score.mean, "returns": score.returns}
        self.folder.evaluations.write({**line, "lengths": score.lengths, "seeds": score.seeds})
        self.tracker.log_evaluation(self.step, score)
        return score

    def save(self) -> Path:
        """Writes the checkpoint of this step: whatever happens meanwhile, the one before stays until it re-reads."""
        replay = self.agent.replay
        self.segments.extend(replay.export, replay.oldest, replay.count)
        assert self.ts is not None
        trees = {
            "agent": self.agent.agent_state(),
            "learner": self.agent.learner_state(),
            "session": {
                "step": self.step,
                "seconds": self.seconds,
                "metrics": {name: float(value) for name, value in self.metrics.items()},
                "env": self.env.state_dict(),
                "episodes": self.episodes.state_dict(),
            },
        }
        saved = checkpoint.write_checkpoint(
            self.folder.path,
            self.step,
            trees,
            self.folder.lengths(),
            {"recipe": describe(self.run), **signature(describe(self.run))},
            segments=self.segments,
        )
        self.tracker.log_checkpoint(saved, self.step)
        return saved

    def load(self, saved: Path, manifest: dict[str, Any]) -> None:
        """Puts everything back as it was when `saved` was written."""
        session = checkpoint.load_tree(saved, "session")
        self.segments = SegmentStore(self.folder.path, manifest["segments"])
        for start, stop, rows in self.segments:
            self.agent.replay.restore(start, stop, rows)
        with checkpoint.putting_back(saved):
            self.step, self.seconds, self.metrics = session["step"], session["seconds"], session["metrics"]
            put_back(self.agent, saved)
            self.agent.load_learner_state(checkpoint.load_tree(saved, "learner"))
            self.episodes.load_state_dict(session["episodes"])
            games = session["env"]
        self.ts = self.env.load_state_dict(games)  # what an environment raises is its own

    def _film(self) -> None:
        """One evaluation game as a video in the run folder, made from the checkpoint's own agent in this process."""
        from runs.watch import film

        path = self.folder.path / "videos" / f"step-{self.step:09d}.webm"
        try:
            film(self.agent, self.run, path)
        except Exception as error:  # a picture is never worth a training
            print(f"no video at step {self.step}: {type(error).__name__} {error}", file=sys.stderr)
        else:
            self.tracker.log_video(path, self.step)

    def _save_if_possible(self) -> None:
        """After a failure in the middle of a slot: the agent may have counted a row that the loop has not yielded."""
        self.step = self.agent.step
        try:
            if self.ts is not None:
                self.save()
        except (RunError, OSError) as error:
            print(f"the state could not be saved: {error}", file=sys.stderr)


class EpisodeRecord:
    """Returns and lengths of the training stream's finished episodes, raw and undiscounted."""

    def __init__(self, num_envs: int) -> None:
        self._return = [0.0] * num_envs  # in lists: for a few environments quicker than NumPy
        self._length = [0] * num_envs
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self.count = 0

    @property
    def mean_return(self) -> float | None:
        """Mean return of the newest episodes; None before the first has ended."""
        return float(np.mean([r for r, _ in self._recent])) if self._recent else None

    @property
    def mean_length(self) -> float | None:
        return float(np.mean([n for _, n in self._recent])) if self._recent else None

    def add(self, ts: TimeStep) -> list[dict[str, Any]]:
        """Takes a row; one line for each episode that it ends."""
        firsts, rewards = ts.first.tolist(), ts.reward.tolist()
        self._return = [0.0 if f else total + r for f, total, r in zip(firsts, self._return, rewards, strict=True)]
        self._length = [0 if f else n + 1 for f, n in zip(firsts, self._length, strict=True)]
        lines = []
        for i, last in enumerate(ts.last.tolist()):
            if last:
                self._recent.append((self._return[i], self._length[i]))
                self.count += 1
                lines.append({"env": i, "return": self._return[i], "length": self._length[i]})
        return lines

    def state_dict(self) -> dict[str, Any]:
        recent = [list(pair) for pair in self._recent]
        totals, lengths = np.array(self._return), np.array(self._length)
        return {"return": totals, "length": lengths, "recent": recent, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._return, self._length, self.count = state["return"].tolist(), state["length"].tolist(), state["count"]
        self._recent.extend((r, n) for r, n in state["recent"])


class Stopped(KeyboardInterrupt):
    """The run was asked to stop by a signal, and has saved itself."""

    def __init__(self, signum: int, step: int, folder: Path) -> None:
        name = signal.Signals(signum).name
        super().__init__(f"stopped by {name} at step {step:,}; `rl resume {folder}` goes on")
        self.signum = signum
        self.status = 128 + signum


@contextmanager
def stop_requests(session: Session) -> Iterator[None]:
    """Within, Ctrl-C, SIGTERM and a closed terminal are noted in the session; the second Ctrl-C does not wait."""

    def note(signum: int, frame: FrameType | None) -> None:
        if session.stop_requested == signum == signal.SIGINT:
            raise KeyboardInterrupt
        session.stop_requested = signum

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, *ending_signals())}
    except ValueError:  # not the main thread: a notebook's or a server's worker
        before = {}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def build(run: Run, spec: Any, device: str) -> Agent:
    """The agent of a run."""
    agent: Agent = agents.build(run.agent, spec, num_envs=run.num_envs, seed=run.seed, device=device)
    return agent


def outlasted(before: Run, run: Run) -> list[str]:
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
    """Compares what the agent's memory will need with what is free. Raises InputError where it does not fit."""
    need, free = agent.predicted_bytes(), available_memory()
    if need > free:
        rows = "buffer_size" if hasattr(agent.config, "buffer_size") else "rollout or num_envs"
        raise InputError(
            f"the replay needs about {need / 1e9:.2f} GB, "
            f"{free / 1e9:.2f} GB are free: lower {rows} or set store=compressed"
        )


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def evaluated(folder: Path, step: int) -> bool:
    """Whether the policy of `step` has played its evaluation games."""
    return any(line["step"] == step for line in read_jsonl(folder / "evaluations.jsonl"))


def versions() -> dict[str, str]:
    """What the numbers of a run depend on."""
    names = ("torch", "numpy", "gymnasium", "ale-py", "stable-baselines3")
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in names:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def device_name(device: str) -> dict[str, str]:
    """The device, and what a GPU is called."""
    return {"device": device, **({"gpu": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {})}


def git_commit() -> str | None:
    """The commit of the tree this file lies in, with a + where it was changed since; None outside a repository."""
    here = Path(__file__).parent
    marked = here.parent / ".commit"  # written into an exported tree
    if marked.exists():
        return marked.read_text().strip()

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
