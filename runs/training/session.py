"""The training loop of one run: log, evaluate, save, stop."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch

import agents
from agents.base import Agent
from agents.overlap import Overlapped
from rl import checkpoint
from rl.device import keep_freed_memory
from rl.errors import RunError
from rl.interface import Env, EnvSpec, TimeStep
from rl.loop import Slot, interact
from rl.networks.summary import describe_network
from rl.schedules import crossed
from rl.segments import SegmentStore
from rl.tracking import Tracker
from runs.folder.jsonl import read_jsonl
from runs.folder.processes import ending_signals
from runs.folder.provenance import peak_memory, quoted
from runs.folder.run_folder import GENERATIONS, RunFolder
from runs.folder.trust import signature
from runs.recipe import Run, describe, settings_warning
from runs.training.automatic import EPISODES, EVALUATIONS, EvaluationBudget, SaveClock
from runs.training.episodes import EpisodeRecord
from runs.training.evaluation import WHERE_KNOWN, Score, play_games, put_back
from runs.training.progress import Progress
from runs.training.ranks import ShardedEnv
from runs.training.self_play import SelfPlay

IMPATIENCE = 1.0
"""Seconds after a first Ctrl-C from which a second one does not wait for the save."""
SHOW_SECONDS = 0.5
"""Seconds between two updates of the progress bar."""


class Turn(NamedTuple):
    """One turn of a training: what `runs.session` yields after each row of N environments."""

    step: int
    """Counted steps so far, over all environments."""
    row: TimeStep
    """The newest row, which the agent has observed; arrays [N, ...]."""
    session: Session

    @property
    def agent(self) -> Agent:
        """The learner; changes to it take effect at the next turn."""
        self.session.settle()
        return self.session.agent

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers that a line of metrics.jsonl would have now: `train/return`, `train/loss`, ..."""
        return self.session.line()

    @property
    def score(self) -> Score | None:
        """The newest evaluation; after the loop, the final one. None before the first."""
        return self.session.score

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.session.folder.path

    def log(self, **numbers: float) -> None:
        """Adds own numbers, as `own/NAME`, to all later lines of metrics.jsonl and to the trackers."""
        self.session.own |= {f"own/{name}": float(number) for name, number in numbers.items()}

    def evaluate(self, games: int | None = None) -> Score:
        """Plays `games` evaluation games (default: the recipe's number) and notes the score in the run folder.

        The training itself does not change.
        """
        return self.session.evaluate(games)

    def save(self) -> Path:
        """Writes a checkpoint and returns its folder."""
        return self.session.save()

    def stop(self) -> None:
        """Ends the training after this turn: it saves and plays its final evaluation. `rl resume` continues it."""
        self.session.stop()


class Session:
    """One stretch of training in one process, from its start or a checkpoint to the budget."""

    def __init__(
        self,
        run: Run,
        agent: Agent,
        env: Env,
        folder: RunFolder,
        tracker: Tracker,
        *,
        quiet: bool = True,
        watched: bool = False,
        values: str = "",
        self_play: SelfPlay | None = None,
        until: float | None = None,
    ) -> None:
        self.run, self.agent, self.env, self.folder, self.tracker = run, agent, env, folder, tracker
        self.quiet, self._values = quiet, values
        self._saves = SaveClock(watched)
        self._evaluations = EvaluationBudget()
        self.step = 0
        self.ts: TimeStep | None = None
        self.seconds = 0.0
        """Of training, evaluations and saves left out, over all stretches."""
        self.episodes = EpisodeRecord(run.num_envs)
        self.segments = SegmentStore(folder.path)
        self.overlapped = Overlapped(agent) if run.overlap else None
        self.self_play = self_play
        if self_play is not None:
            self_play.folder = folder.path / GENERATIONS
        self.metrics: dict[str, Any] = {}
        """Of the newest update; tensors, read where they are logged."""
        self.stop_requested = 0
        """Number of the signal that asked to stop; looked at between slots."""
        self.own: dict[str, float] = {}
        """Numbers that the user adds to the log."""
        self.score: Score | None = None
        """Of the newest evaluation."""
        self._until = until
        self._over = False
        """Whether the training has made its last step."""
        self._progress = Progress(run.steps, quiet=True)

    def turns(self) -> Generator[Turn, None, dict[str, Any]]:
        """Trains to the budget, one `Turn` after each row. Returns the result of `train`.

        A consumer that leaves the loop early, by `break` or an exception, closes the generator: the run saves itself.
        """
        status = "failed"
        keep_freed_memory()
        if self.run.threads:
            torch.set_num_threads(self.run.threads)
        if not self.quiet:
            print("; ".join(filter(None, [header(self.run, self.agent, self.env.spec), self._values])), file=sys.stderr)
            for line in filter(None, [settings_warning(self.run), *self.agent.setting_warnings()]):
                print(line, file=sys.stderr)
        try:
            with Progress(self.run.steps, self.step, quiet=self.quiet) as self._progress:
                if self.step < self.run.steps:
                    with stop_requests(self):
                        if self.step:
                            self._evaluate_what_was_stopped()
                        yield from self._train()
                        self.save()
                self._log_the_end()
                if not self.agent.updates and self.agent.network.state_dict() and not self.quiet:  # a planner has none
                    print(f"no update was made in {self.step:,} steps: the policy is untrained", file=sys.stderr)
                try:
                    score = self._evaluate()  # all is saved: a signal may end it at once
                except KeyboardInterrupt as stop:
                    stop.args = (f"stopped in its final evaluation; `{_resume(self.folder.path)}` plays it",)
                    raise
            status = "done"
        except Stopped:
            status = "stopped"
            raise
        except GeneratorExit:
            status = "stopped"
            self._save_if_possible()
            raise
        except (RunError, ArithmeticError):
            self._save_if_possible()
            raise
        finally:
            if self.overlapped is not None:
                self.overlapped.close()
            self.tracker.finish(status)
        return {
            **score.to_json(),
            "run": str(self.folder.path),
            "steps": self.step,
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(self.step / max(self.seconds, 1e-9), 1),
            "peak_memory_bytes": peak_memory(),
        }

    def _train(self) -> Iterator[Turn]:
        """The loop. Evaluations, videos, saves and the consumer's own work are not counted as time."""
        run = self.run
        clock, show = time.perf_counter(), 0.0
        for slot in interact(self.env, self.overlapped or self.agent, run.steps, step=self.step, ts=self.ts):
            before, self.step, self.ts = self.step, slot.step, slot.ts
            self.metrics = slot.metrics or self.metrics
            self._log_episodes(slot)
            if self.self_play is not None:
                self.self_play.keep(before, self.step)
            now = time.perf_counter()
            self.seconds += now - clock
            if now >= show:
                show = now + SHOW_SECONDS
                self._progress.update(self.step, self._result)
            self._attend(before)
            yield Turn(self.step, self.ts, self)
            if self._over:
                break
            clock = time.perf_counter()
        self.settle()
        self._over = True
        self._progress.update(self.step, self._result)

    def _attend(self, before: int) -> None:
        """Logs, saves, stops, evaluates and films if that is due between the steps `before` and `step`."""
        run, ends, by_time = self.run, self.step >= self.run.steps, self.run.save_every is None
        if crossed(before, self.step, run.log_every):
            self._log()
        if ends:
            return
        evaluates = crossed(before, self.step, self._eval_every)
        saves = crossed(before, self.step, run.save_every or 0) or self._snapshot(self.step, before)
        saves = saves or (by_time and self._saves.due(self.seconds))
        saves = saves or bool(self.stop_requested) or (evaluates and by_time and self._saves.allows(self.seconds))
        if saves:
            self.save()
        if self.stop_requested:
            raise Stopped(self.stop_requested, self.step, self.folder.path)
        if evaluates:
            self._evaluate_on_the_way(saved=saves)
        if crossed(before, self.step, run.video_every):
            self._film()

    def settle(self) -> None:
        """Waits for the updates that a thread is making, if there are any."""
        if self.overlapped is not None:
            self.overlapped.settle()

    def stop(self) -> None:
        """Ends the training after this turn, as if the budget ended here."""
        if self.step < self.run.steps:
            self.folder.write_info({**self.folder.read_info(), "stopped": self.step})
        self._over = True

    @property
    def _result(self) -> str:
        """The result of the newest training games in words. A return in self-play says nothing: both players learn."""
        games = self.episodes
        if games.mean_return is None or games.mean_length is None:
            return "no game has ended"
        if self.self_play is not None or self.env.spec.alternating:
            return f"{games.count:,} games of {games.mean_length:.0f} steps"
        return f"return {games.mean_return:.1f}"

    @property
    def _eval_every(self) -> int:
        """Steps between evaluations during training; 0 for none."""
        if self.run.eval_every is None:
            return -(-self.run.steps // EVALUATIONS)
        return self.run.eval_every

    def _evaluate_on_the_way(self, saved: bool) -> None:
        """An evaluation that the recipe asks for, or an automatic one if there is time for it."""
        games, automatic = self.run.eval_episodes, self.run.eval_every is None
        if automatic:
            games = min(EPISODES, games)
            if not self._evaluations.allows(self.seconds, self.step, self.episodes.mean_length, games):
                return
        begun = time.perf_counter()
        score = self.evaluate(games, saved)
        if automatic:
            self._evaluations.evaluated(time.perf_counter() - begun, sum(score.lengths))
        if self._until is not None and score.mean >= self._until:
            score = self.evaluate(saved=saved)  # an automatic one plays few games: all of them must confirm it
            if score.mean >= self._until:
                if not self.quiet:
                    print(f"step {self.step:,} reaches {score.mean:g} in {score.episodes} games", file=sys.stderr)
                self.stop()

    def evaluate(self, games: int | None = None, saved: bool = False) -> Score:
        """Plays an evaluation and notes it.

        A request to stop ends it at once: the run saves itself, unless it has just `saved`, and raises `Stopped`.
        """
        try:
            return self._evaluate(games)
        except _EvaluationStopped:
            if not saved:
                self.save()
            raise Stopped(self.stop_requested, self.step, self.folder.path) from None

    def _evaluate_what_was_stopped(self) -> None:
        """Plays the evaluation that was due at the step of this checkpoint and that a request to stop ended."""
        every, last = self.run.eval_every, self.step - self.run.num_envs
        if not every or not crossed(last, self.step, every) or self.step >= self.run.steps:
            return
        if not any(line["step"] > last for line in read_jsonl(self.folder.evaluations.path)):
            self._evaluate_on_the_way(saved=True)

    def _log_episodes(self, slot: Slot) -> None:
        for episode in self.episodes.add(slot.played):
            self.folder.episodes.write({"step": slot.step, **episode})

    def line(self) -> dict[str, Any]:
        """The numbers of this step, as metrics.jsonl has them."""
        line: dict[str, Any] = {"step": self.step, "seconds": round(self.seconds, 3)}
        line["train/return"] = self.episodes.mean_return
        line["train/length"] = self.episodes.mean_length
        line["train/episodes"] = self.episodes.count
        line |= {f"train/{name}": float(value) for name, value in self.metrics.items()}
        line |= {f"train/{name}": value for name, value in (self.overlapped or self.agent).schedule().items()}
        line["time/sps"] = round(self.step / max(self.seconds, 1e-9), 1)
        return line | self.own

    def _log(self) -> None:
        line = self.line()
        self.folder.metrics.write(line)
        self.tracker.log(self.step, line)

    def _log_the_end(self) -> None:
        """A last line where the budget ends between two; written after the save, so that more steps take it back."""
        lines = read_jsonl(self.folder.metrics.path)
        if not lines or lines[-1]["step"] < self.step:
            self._log()

    def _evaluate(self, games: int | None = None) -> Score:
        """The score of `games` games; if this policy has just played as many, that score."""
        run, games = self.run, self.run.eval_episodes if games is None else games
        if self.score is not None and (self.score.step, self.score.episodes) == (self.step, games):
            return self.score

        self.settle()

        final = "" if games == run.eval_episodes else f" (the final evaluation plays {run.eval_episodes})"

        def tell(over: int) -> None:
            self._progress.tell(f"evaluating, {over} of {games} games over{final}")
            if self.stop_requested and not self._over:
                raise _EvaluationStopped

        fields: dict[str, Any] = {"episodes": games, "seed": run.seed, "sample": run.eval_sample, "tell": tell}
        if isinstance(self.env, ShardedEnv):
            self.env.order_games(games)
            fields["ranks"] = self.env.ranks
        score = play_games(self.agent, run, **fields)
        line = {"step": self.step, "seconds": round(self.seconds, 3), "mean": score.mean, "returns": score.returns}
        line |= {name: value for name in WHERE_KNOWN if (value := getattr(score, name)) is not None}
        self.folder.evaluations.write({**line, "lengths": score.lengths, "seeds": score.seeds})
        self.tracker.log_evaluation(self.step, score)
        self.score = score
        return score

    def save(self) -> Path:
        """Writes the checkpoint of this step. The one before stays until this one has been read back."""
        begun = time.perf_counter()
        self.settle()
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
                **({} if self.self_play is None else {"self_play": self.self_play.state_dict()}),
                **({} if self.overlapped is None else {"overlap": self.overlapped.state_dict()}),
            },
        }
        saved = checkpoint.write_checkpoint(
            self.folder.path,
            self.step,
            trees,
            self.folder.lengths(),
            {"recipe": describe(self.run), **signature(describe(self.run))},
            segments=self.segments,
            kept=self._snapshot,
        )
        self._saves.saved(self.seconds, time.perf_counter() - begun)
        self.tracker.log_checkpoint(saved, self.step)
        return saved

    def _snapshot(self, step: int, before: int | None = None) -> bool:
        """Whether the checkpoint of `step` is one of the run's `snapshots`; `before` is the step of the row before."""
        run, before = self.run, step - self.run.num_envs if before is None else before
        return run.snapshots > 0 and crossed(before, step, -(-run.steps // run.snapshots))

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
            if self.overlapped is not None:
                self.overlapped.load_state_dict(session["overlap"])
            if self.self_play is not None:
                self.self_play.load_state_dict(session["self_play"])
            games = session["env"]
        self.ts = self.env.load_state_dict(games)  # what an environment raises is its own

    def _film(self) -> None:
        """One evaluation game as a video in the run folder, made from the checkpoint's own agent in this process."""
        from runs.watching.film import film

        self.settle()
        path = self.folder.path / "videos" / f"step-{self.step:09d}.webm"
        try:
            film(self.agent, self.run, path)
        except Exception as error:  # a picture is never worth a training
            print(f"no video at step {self.step}: {type(error).__name__} {error}", file=sys.stderr)
        else:
            self.tracker.log_video(path, self.step)

    def _save_if_possible(self) -> None:
        """After a failure in the middle of a slot: the agent may have counted a row that the loop has not yielded."""
        try:
            self.settle()
        except (RunError, ArithmeticError) as error:
            print(f"the newest updates failed: {error}", file=sys.stderr)
        self.step = self.agent.step
        try:
            if self.ts is not None:
                self.save()
        except (RunError, OSError) as error:
            print(f"the state could not be saved: {error}", file=sys.stderr)


STEPPED = {"compiled": ", compiled", "async": " in worker processes"}
"""How the environments of a training are stepped, if it is worth a word."""


def header(run: Run, agent: Agent, spec: EnvSpec) -> str:
    """One line on what is trained: environment, agent, network and its size, device, size of the replay.

    spec: of the training's environments.
    """
    network = describe_network(agent.network, agent.spec, getattr(run.agent, "net", None))
    parts = [
        f"{run.env}, {run.num_envs} environment{'s' * (run.num_envs > 1)}{STEPPED.get(spec.options['vector'], '')}",
        f"{agents.title(run.agent)}: {network}",
        f"on {agent.device}",
        f"replay of {agent.replay.slots * run.num_envs:,} rows, {agent.predicted_bytes() / 1e6:,.1f} MB",
    ]
    return "; ".join(parts)


class _EvaluationStopped(Exception):
    """A request to stop arrived during an evaluation on the way."""


def _resume(folder: Path) -> str:
    """The command that continues a run, with slashes, which every shell takes."""
    return quoted(["rl", "resume", folder.as_posix()])


class Stopped(KeyboardInterrupt):
    """The run was asked to stop by a signal, and has saved itself."""

    def __init__(self, signum: int, step: int, folder: Path) -> None:
        name = signal.Signals(signum).name
        super().__init__(f"stopped by {name} at step {step:,}; `{_resume(folder)}` goes on")
        self.signum = signum
        self.status = 128 + signum


@contextmanager
def stop_requests(session: Session) -> Iterator[None]:
    """Inside this context, Ctrl-C, SIGTERM and a closed terminal make the session save and stop.

    A second Ctrl-C ends the training at once. One within a second of the first does not: keys repeat, and terminals
    send a signal to a whole group.
    """
    first = -math.inf

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if session.stop_requested == signum == signal.SIGINT and now - first > IMPATIENCE:
            raise KeyboardInterrupt
        if not session.stop_requested:
            first = now
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
