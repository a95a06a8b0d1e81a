"""`rl compare`: every training in a process of its own, results kept as they come, verdicts with error bars.

A comparison's folder:

    comparison.json                       what runs/reporting reads, rewritten after every training
    results/<contender>.jsonl             one line a task, fingerprint and seed; a failed seed is one too
    runs/<contender>/<task>/<fingerprint>/seed-<s>/            our run folders
    videos/                               the first seed's games, named by contender, task and fingerprint
    report.html, report.md

The same command continues: it trains what has no result yet. A result counts only for its fingerprint. With other
settings, comparison.json and the report hold the new results alone; the older ones stay in the folder, unused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby
from pathlib import Path
from typing import Any

from rl.storage import read_json, write_json
from runs.comparing import references
from runs.comparing.contenders import Contender
from runs.comparing.plan import RANDOM_GAMES, Plan, Side, slug
from runs.comparing.progress_board import Board
from runs.comparing.recorded import recorded_result
from runs.comparing.tasks import Task
from runs.folder.jsonl import read_jsonl, write_line
from runs.folder.processes import stop_children
from runs.folder.provenance import command, quoted
from runs.folder.trust import foreign_names
from runs.reporting.comparison_file import SCHEMA, short_commit
from runs.settings.plain import to_json

PAGE_SECONDS = 15.0
"""Between two pages while trainings run, at least."""
REFERENCE = "reference"
"""The name of the random policy's games, the zero of a task's scale. It is not a contender."""


class Comparison:
    """The state of one comparison in its folder."""

    def __init__(
        self, plan: Plan, folder: Path, seeds: int, videos: bool, title: str = "", matched: bool = False
    ) -> None:
        self.plan, self.folder, self.videos = plan, folder, videos
        self.title, self.matched = title, matched
        self.seeds = range(seeds)
        self.random = {task.env: random_side(task) for task in plan.tasks}
        self._next_page = 0.0
        self.results: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.kept = self._read_kept()
        """(contender, task, fingerprint, seed) -> every result in the folder, used now or not."""
        path = folder / "comparison.json"
        self.before: Mapping[str, Any] = read_json(path) if path.exists() else {}
        """The comparison that the folder held when this one began."""
        for side in plan.sides:
            for seed in self.seeds_of(side):
                if (found := self.read(side, seed)) is not None:
                    self.results[side.contender.text, side.task.env, seed] = found

    def seeds_of(self, side: Side) -> Sequence[int]:
        return self.seeds if side.seed is None else [side.seed]

    def _read_kept(self) -> dict[tuple[str, str, str, int], dict[str, Any]]:
        found = {}
        for path in sorted(self.folder.glob("results/*/*/*/seed-*.json")):  # as earlier versions kept them
            r = read_json(path)
            found[r["contender"], r["task"], path.parent.name, r["seed"]] = dict(r)
        for path in sorted(self.folder.glob("results/*.jsonl")):
            for line in read_jsonl(path):
                r = line["result"]
                found[r["contender"], r["task"], line["fingerprint"], r["seed"]] = r
        return found

    def keep(self, side: Side, seed: int, result: dict[str, Any]) -> None:
        """Writes a result to its contender's file."""
        line = {"task": side.task.env, "fingerprint": side.fingerprint, "seed": seed, "result": result}
        path = self.folder / "results" / f"{slug(side.contender.text)}.jsonl"
        write_line(path, line, ("task", "fingerprint", "seed"))
        self.kept[self._key(side, seed)] = result

    def _key(self, side: Side, seed: int) -> tuple[str, str, str, int]:
        return side.contender.text, side.task.env, side.fingerprint, seed

    def read(self, side: Side, seed: int) -> dict[str, Any] | None:
        """The result that exists already, in this folder or recorded with the suite."""
        return self.kept.get(self._key(side, seed)) or recorded_result(side, seed)

    def unused(self) -> str:
        """One line on the results in the folder that this comparison does not use, and why; empty if there are none."""
        sides = {(s.contender.text, s.task.env): s for s in self.plan.sides}
        used = {self._key(s, seed) for s in self.plan.sides for seed in self.seeds_of(s)}
        names: dict[str, list[str]] = {}
        for name, env, fingerprint, seed in sorted(self.kept.keys() - used):
            if name == REFERENCE:
                continue
            result = self.kept[name, env, fingerprint, seed]
            names.setdefault(self._why_unused(result, sides.get((name, env)), fingerprint), []).append(name)
        if not names:
            return ""
        reasons = [f"{len(of)} {why} ({', '.join(dict.fromkeys(of))})" for why, of in names.items()]
        kept = f"{self.folder} holds results that are not used now, and keeps them: {'; '.join(reasons)}"
        return f"{kept}; what made them uses them again, and --out keeps the two apart"

    def _why_unused(self, result: Mapping[str, Any], side: Side | None, fingerprint: str) -> str:
        if side is None:
            return "of contenders or tasks that are not named now"
        if fingerprint == side.fingerprint:
            return f"of seeds beyond the {len(self.seeds)} asked for"
        task = self._task_before(side, fingerprint)
        steps = task.get("steps") or (result.get("steps") if side.job["kind"] != "run" else None)
        if steps not in (None, side.task.steps):
            return f"for {steps:,} steps, not {side.task.steps:,}"
        if task.get("evaluation", side.task.evaluation) != side.task.evaluation:
            return "with other evaluations"
        return "with other settings"

    def _task_before(self, side: Side, fingerprint: str) -> Mapping[str, Any]:
        """The task in the folder's earlier comparison, or {} if that one has no result of this fingerprint."""
        for c in self.before.get("contenders", ()):
            on = c.get("tasks", {}).get(side.task.env, {})
            if c["name"] == side.contender.text and on.get("fingerprint") == fingerprint:
                return next((dict(t) for t in self.before["tasks"] if t["env"] == side.task.env), {})
        return {}

    def film(self, side: Side) -> str:
        """The path of a side's film in the folder; its name holds the fingerprint of the training."""
        name = f"videos/{slug(side.contender.text)}_{slug(side.task.env)}"
        older = f"{name}.webm"  # the name in earlier versions, without a fingerprint
        known = any(v.get("file") == older for v in self.before.get("videos") or ())
        if known and self._task_before(side, side.fingerprint) and (self.folder / older).is_file():
            return older
        return f"{name}_{side.fingerprint}.webm"

    def missing(self) -> list[tuple[Side, int]]:
        """The trainings that remain: seed by seed, the contenders' order turned by one each time."""
        out: list[tuple[Side, int]] = []
        unknown = [env for env in self.random if self.reference(env)[0] is None]
        out += [(self.random[env], 0) for env in unknown if self._key(self.random[env], 0) not in self.kept]
        by_task = [[s for s in self.plan.sides if s.task is task] for task in self.plan.tasks]
        for turn, seed in enumerate(self.seeds):
            for sides in by_task:
                k = turn % len(sides)
                out += [(s, seed) for s in sides[k:] + sides[:k] if s.seed is None]
        out += [(s, s.seed) for s in self.plan.sides if s.seed is not None]
        return [(s, seed) for s, seed in out if (s.contender.text, s.task.env, seed) not in self.results]

    def job(self, side: Side, seed: int, jobs: int) -> dict[str, Any]:
        known = foreign_names(side.config) if side.job["kind"] == "run" else []
        film = self.videos and seed == min(self.seeds_of(side)) and side.job["kind"] != "random"
        return {
            **side.job,
            "contender": side.contender.text,
            "seed": seed,
            "jobs": jobs,
            "trusted": known,
            "folder": side.job.get("folder", str((self.folder / "runs" / side.place / f"seed-{seed}").absolute())),
            "video": str((self.folder / self.film(side)).absolute()) if film else None,
        }

    def fill(self, jobs: int, send: Callable[[dict[str, Any]], dict[str, Any]], quiet: bool) -> None:
        """Trains what is missing, `jobs` at a time. On Ctrl-C the trainings are stopped and what is done is kept."""
        todo = self.missing()
        board = Board(self.plan, self.results, self.seeds_of, len(todo), quiet)
        waiting, running = iter(todo), dict[Future[dict[str, Any]], tuple[Side, int]]()
        pool = ThreadPoolExecutor(jobs)
        with board:
            try:
                for side, seed in waiting:
                    running[pool.submit(send, self.job(side, seed, jobs))] = side, seed
                    while len(running) >= jobs:
                        self._collect(running, board)
                while running:
                    self._collect(running, board)
            except BaseException:
                stop_children()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _collect(self, running: dict[Future[dict[str, Any]], tuple[Side, int]], board: Board) -> None:
        board.show(running.values())
        done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)  # endless, Windows would ignore Ctrl-C
        for future in done:
            side, seed = running.pop(future)
            result = future.result()
            self.keep(side, seed, result)
            if side is self.random.get(side.task.env):
                references.keep(side, result)
            else:
                self.results[side.contender.text, side.task.env, seed] = result
            self.write()
            self.page()
            board.finished(side, seed, result)

    def reference(self, env: str) -> tuple[float | None, str]:
        """The random policy's score on a task, None if it is not known, and where it comes from if not from here."""
        side = self.random[env]
        if (played := self.kept.get(self._key(side, 0))) is not None:
            return played["score"], ""
        if (score := references.published(side.task)) is not None:
            return score, references.PUBLISHED
        return references.kept(side), "kept from an earlier comparison on this machine"

    def page(self) -> None:
        """The page of the results so far. It takes at most a tenth of the time, and no fault of it stops a training."""
        begun = time.monotonic()
        if begun < self._next_page or not self.results:
            return
        with contextlib.suppress(Exception):
            from runs.reporting.report import report

            report(self.folder)
        self._next_page = time.monotonic() + max(PAGE_SECONDS, 10 * (time.monotonic() - begun))

    def write(self) -> None:
        """Writes comparison.json with the results so far."""
        write_json(self.folder / "comparison.json", self.to_json())

    def to_json(self) -> dict[str, Any]:
        from runs.folder.provenance import git_commit, machine, versions

        tasks = []
        for task in self.plan.tasks:
            random, source = self.reference(task.env)
            tasks.append(
                {
                    "env": task.env,
                    "steps": task.steps,
                    "random": random,
                    **({"random_from": source} if source and random is not None else {}),
                    "protocol": task.spec.protocol,
                    "evaluation": task.evaluation,
                    "threshold": task.spec.reward_threshold,
                    **({} if task.optimum is None else {"optimum": task.optimum}),
                }
            )
        names = [c.text for c in self.plan.contenders]
        contenders = []
        for c in self.plan.contenders:
            sides = {s.task.env: s for s in self.plan.sides if s.contender is c}
            on = {
                env: {"config": s.config, "unmapped": s.unmapped, "note": self.note(s), "fingerprint": s.fingerprint}
                for env, s in sides.items()
            }
            source = "random" if c.name == "random" and c.source == "ours" else c.source
            contenders.append({"name": c.text, "source": source, "tasks": on})
        films = [
            {"contender": s.contender.text, "task": s.task.env, "seed": seed, "file": self.film(s)}
            for s in self.plan.sides
            if (seed := self._first_seed(s)) is not None and (self.folder / self.film(s)).is_file()
        ]
        return {
            "schema": SCHEMA,
            "kind": "comparison",
            **({"left": left} if (left := len(self.missing())) else {}),
            "title": self.title,
            "command": self.command,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": git_commit(),
            "machine": machine(),
            "versions": versions(),
            "tasks": tasks,
            "contenders": contenders,
            "paired": [list(pair) for pair in self.plan.paired],
            "results": sorted(self.results.values(), key=lambda r: (r["task"], names.index(r["contender"]), r["seed"])),
            "videos": sorted(films, key=lambda f: (f["task"], names.index(f["contender"]))),
        }

    def note(self, side: Side) -> str:
        """The page's note on a side: the source of its hyperparameters, and which seeds were recorded earlier."""
        seeds: dict[str, list[int]] = {}
        for (name, env, seed), r in sorted(self.results.items()):
            if (name, env) == (side.contender.text, side.task.env) and r.get("recorded"):
                seeds.setdefault(short_commit(str(r.get("commit"))), []).append(seed)
        recorded = [f"seed{'s' * (len(s) > 1)} {_spans(s)} recorded at {commit}" for commit, s in seeds.items()]
        return "; ".join([side.note, *recorded])

    def _first_seed(self, side: Side) -> int | None:
        mine = (side.contender.text, side.task.env)
        return min((seed for *who, seed in self.results if tuple(who) == mine), default=None)

    @property
    def command(self) -> str:
        """The command line that repeats the comparison."""
        if (typed := command())[:2] == ["rl", "compare"]:
            return quoted(typed)
        words = ["rl", "compare", "--tasks", ",".join(f"{t.env}@{t.steps}" for t in self.plan.tasks)]
        words += ["--agents", ",".join(map(str, self.plan.contenders)), "--seeds", str(len(self.seeds))]
        words += ["--match-parameters"] if self.matched else []
        return quoted(words + (["--title", self.title] if self.title else []))


def _spans(numbers: Sequence[int]) -> str:
    """`0-2, 5` for 0, 1, 2, 5."""
    runs = [[n for _, n in group] for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def random_side(task: Task) -> Side:
    """The random policy's games on a task: the zero of its scale."""
    games = RANDOM_GAMES if not task.spec.protocol else 20
    job = {"kind": "random", "env": task.env, "env_config": to_json(task.env_config), "eval_episodes": games}
    job |= {"steps": task.steps, "eval_max_steps": task.eval_max_steps, "threads": 1}
    return Side(Contender(REFERENCE, "ours", "random"), task, job, {})
