"""The trials of a search: each is one training in a process of its own, stopped early if others were better by then.

The first half of the budget tries new points. One training says little about a point, and the best of many is mostly
the luckiest, so the other half trains the most promising points again, with other seeds.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from rl.axes import Axis
from rl.errors import InputError, RunError
from rl.stats import iqm
from runs.comparing.plan import make_plan
from runs.comparing.senders import failed
from runs.folder.jsonl import read_jsonl
from runs.folder.processes import stop_children
from runs.folder.trust import foreign_names
from runs.recipe import Run, agent_name
from runs.reporting.comparison_file import finite
from runs.reporting.wording import number
from runs.settings.space import settings
from runs.tuning.study import STARTUP, distribution, one_line

GAMES = 5
"""Whole games in an evaluation of a trial, at most."""
SEED = 1_000
"""Trial k trains with seed SEED + k, which no recorded or compared result uses."""
LAST = 0.75
"""From this share of the budget on, evaluations count for a trial's value."""

Sender = Callable[[dict[str, Any]], dict[str, Any]]


EXPLORING = 0.5
"""Share of the budget in which every trial is a new point."""
REPEATS = 5
"""Trainings of one point, at most."""


@dataclass
class Point:
    """A point of the space, and its trainings so far."""

    first: Any
    """Its first trial, which names it."""
    values: list[float]
    others: int = 0
    """Trainings that run or have failed."""

    def expected(self, prior: float) -> float:
        """The mean, drawn towards `prior`, of which it counts one training, and one more for each of the others."""
        return (sum(self.values) + prior * (1 + self.others)) / (len(self.values) + 1 + self.others)


class Search:
    """Asks Optuna for points, trains them and tells it the values."""

    def __init__(
        self,
        study: Any,
        run: Run,
        axes: Mapping[str, Axis],
        known: Mapping[str, Mapping[str, Any]],
        folder: Path,
        say: Callable[[str], None],
    ):
        """`known`: source -> the point of a first trial; the first of them are the recipe's own values."""
        self.study, self.run, self.axes, self.folder, self.say = study, run, axes, folder, say
        self._known = list(known.items())
        self.ended: Callable[[], None] = lambda: None
        """Called after each trial."""
        self._distributions = {name: distribution(axis) for name, axis in axes.items()}
        self._planning = threading.Lock()

    def fill(self, jobs: int, send: Sender, minutes: float | None, trials: int | None) -> None:
        """Trains until all trainings together have taken `minutes` times `jobs`, or there are so many trials.

        Trials that an earlier process left unfinished go on. On Ctrl-C the trainings save themselves and end.
        """
        left = [t for t in self.study.get_trials(deepcopy=False) if t.state == TrialState.RUNNING]
        running: dict[Future[dict[str, Any]], Any] = {}

        def used() -> float:
            """The share of the budget that is used up."""
            begun = sum(t.state != TrialState.WAITING for t in self.study.get_trials(deepcopy=False))
            spent = self.seconds() + sum(time.monotonic() - start for _, start in running.values())
            return max(begun / (trials or math.inf), spent / (60 * jobs * (minutes or math.inf)))

        pool = ThreadPoolExecutor(jobs)
        try:
            while True:
                while len(running) < jobs and (left or used() < 1):
                    trial = optuna.trial.Trial(self.study, left.pop(0)._trial_id) if left else None
                    trial = trial or self.ask(repeat=used() >= EXPLORING)
                    running[pool.submit(self.train, trial, send)] = trial, time.monotonic()
                if not running:
                    return
                done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for trial, _ in running.values():
                    self.watch(trial)
                for future in done:
                    trial, begun = running.pop(future)
                    self.finish(trial, future.result(), time.monotonic() - begun)
        except BaseException:
            stop_children()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def ask(self, repeat: bool) -> Any:
        """The next trial: a known point, a new one or, with `repeat`, the most promising one.

        No point is trained more than `REPEATS` times, and new points go on until ten have finished.
        """
        if (begun := len(self.study.get_trials(deepcopy=False))) < len(self._known):
            source, point = self._known[begun]
            self.study.enqueue_trial(dict(point), user_attrs={"source": source})
            return self.study.ask(self._distributions)
        points = self.points() if repeat else []
        open_points = [p for p in points if len(p.values) + p.others < REPEATS]
        if len(points) >= STARTUP and open_points:
            first = open_points[0].first
            self.study.enqueue_trial(first.params, user_attrs={"repeats": first.number})
        return self.study.ask(self._distributions)

    def points(self) -> list[Point]:
        """All points with a finished training, the most promising first, without the recipe's own."""
        found: dict[int, Point] = {}
        for t in self.study.get_trials(deepcopy=False)[1:]:
            first = t.user_attrs.get("repeats", t.number)
            if t.state == TrialState.COMPLETE:
                found.setdefault(first, Point(t, [])).values.append(t.value)
            elif first in found and t.state != TrialState.WAITING:
                found[first].others += 1
        prior = float(np.median([p.values[0] for p in found.values()] or [0.0]))
        return sorted(found.values(), key=lambda p: (-p.expected(prior), p.first.number))

    def seconds(self) -> float:
        """Of all finished trials together."""
        return float(sum(t.user_attrs.get("seconds", 0.0) for t in self.study.get_trials(deepcopy=False)))

    def words(self, trial: Any) -> list[str]:
        """A trial's `FIELD=VALUE`; none for the first, which is the recipe as it stands, or for one without a point."""
        whole = trial.number and set(trial.params) == set(self.axes)
        return settings(self.run, self.axes, trial.params) if whole else []

    def contender(self, trial: Any) -> str:
        """A trial as a contender of `rl compare`."""
        return ":".join([f"{title(trial.number)}={agent_name(self.run.agent)}", *self.words(trial)])

    def train(self, trial: Any, send: Sender) -> dict[str, Any]:
        """The result of one training, failed ones and those that `watch` stopped included."""
        place = self.place(trial)
        who = {"contender": title(trial.number), "env": self.run.env, "seed": SEED + trial.number}
        if set(trial.params) != set(self.axes):
            return failed(who, "the search was killed before this trial began")
        try:
            with self._planning:
                side = make_plan(self.run, [self.contender(trial)]).sides[0]
            games = {"eval_episodes": min(GAMES, self.run.eval_episodes)}
            job = {**side.job, **who, **games, "run": side.job["run"] | games, "jobs": 0, "video": None}
            paths = {"folder": str(place.absolute()), "stop": str(_stop(place).absolute())}
            return send(job | paths | {"trusted": foreign_names(side.config)})
        except InputError as error:
            return failed(who, str(error))
        except RunError:
            if _stop(place).exists():
                return failed(who, "pruned")
            raise

    def watch(self, trial: Any) -> None:
        """Tells Optuna the evaluations that a training has made, and stops it if the median of the others is better."""
        place = self.place(trial)
        if trial.number == 0 or "repeats" in trial.user_attrs or _stop(place).exists():
            return  # the page shows what the recipe's own values promised; a mean without bad trainings would mislead
        known = self.study._storage.get_trial(trial._trial_id).intermediate_values
        with contextlib.suppress(InputError):  # a file that another process is writing
            for line in read_jsonl(place / "evaluations.jsonl"):
                step, mean = line.get("step"), line.get("mean")
                if type(step) is int and 0 < step < self.run.steps and finite(mean) and step not in known:
                    trial.report(float(line["mean"]), step)
                    if trial.should_prune():
                        _stop(place).touch()
                        return

    def finish(self, trial: Any, result: Mapping[str, Any], seconds: float) -> None:
        """Writes a trial's value, or why it has none, into the journal."""
        place = self.place(trial)
        told: dict[str, Any] = {"state": TrialState.PRUNED}
        said = "pruned"
        if _stop(place).exists():
            shutil.rmtree(place, ignore_errors=True)
        elif result["status"] == "ok":
            value = objective(result["curve"], self.run.steps)
            said, told = number(value), {"values": value}
        else:
            reason = one_line(str(result["error"]))
            trial.set_user_attr("reason", reason)
            said, told = f"failed: {reason}", {"state": TrialState.FAIL}
        trial.set_user_attr("seconds", round(seconds, 3))
        self.study.tell(trial, **told)
        _stop(place).unlink(missing_ok=True)
        self.say(f"{title(trial.number)}: {said}, {seconds:.0f} s")
        self.ended()

    def place(self, trial: Any) -> Path:
        return self.folder / "trials" / f"trial-{trial.number}"


def title(number: int) -> str:
    """The name of a trial as a contender."""
    return f"trial {number}" if number else "start"


def objective(curve: list[list[Any]], steps: int) -> float:
    """The IQM of the evaluations in the last quarter of a training. `curve`: [step, seconds, mean], as in a result."""
    return float(iqm([mean for step, _, mean in curve if step >= LAST * steps]))


def _stop(place: Path) -> Path:
    """The file whose appearance ends the training in `place`."""
    return place.with_name(f"{place.name}.stop")
