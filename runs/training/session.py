"""The training loop of one run: log, evaluate, save, stop."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from agents.base import Agent
from rl import checkpoint
from rl.device import keep_freed_memory
from rl.errors import RunError
from rl.interface import Env, TimeStep
from rl.loop import Slot, interact
from rl.schedules import crossed
from rl.segments import SegmentStore
from rl.tracking import Tracker
from runs.folder.jsonl import read_jsonl
from runs.folder.processes import ending_signals
from runs.folder.provenance import peak_memory
from runs.folder.run_folder import RunFolder
from runs.folder.trust import signature
from runs.recipe import Run, describe, doubt
from runs.training.episodes import EpisodeRecord
from runs.training.evaluation import Score, play_games, put_back
from runs.training.progress import Progress


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
        from runs.watching.film import film

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


def evaluated(folder: Path, step: int) -> bool:
    """Whether the policy of `step` has played its evaluation games."""
    return any(line["step"] == step for line in read_jsonl(folder / "evaluations.jsonl"))
