"""`rl compare`: every training in a process of its own, results kept as they come, verdicts with error bars.

A comparison's folder:

    comparison.json                       what runs/analysis.py reads, rewritten after every training
    results/<contender>/<task>/<fingerprint>/seed-<s>.json     one result each; a failed seed is one too
    runs/<contender>/<task>/<fingerprint>/seed-<s>/            our run folders
    videos/                               the first seed's games, named by contender, task and fingerprint
    report.html, report.md

Started again in the same folder it trains what has no result yet. A result counts for its fingerprint only: with other
settings comparison.json and the report are of the new ones alone, and the older results lie beside them, unused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import read_json, write_json
from runs import plan as planning
from runs.analysis import SCHEMA, SHARED, analyse, flat, number, short_commit
from runs.children import run_child, stop_children
from runs.commands import command, quoted
from runs.folder import OUT, FileLock
from runs.plan import Plan, Side, Task, make_plan, slug
from runs.recipe import Run
from runs.trust import Trust, foreign_names

REFERENCE = "reference"
"""Under this name lie the random policy's games, the zero of a task's scale; it is no contender."""


def compare(
    recipe: str | Path | Run | None,
    agents: str | Sequence[str],
    *,
    tasks: str | Sequence[str] | None = None,
    steps: int | None = None,
    seeds: int = 10,
    jobs: int = 1,
    on: str | None = None,
    match_parameters: bool = False,
    evaluations: int | None = None,
    title: str = "",
    out: str | Path | None = None,
    videos: bool = True,
    quiet: bool = True,
    trust: Trust = False,
) -> dict[str, Any]:
    """Trains every contender with the seeds 0 .. seeds-1 on every task and says which is better.

    Times, speed and memory are taken only from trainings that had the machine to themselves, so never with `jobs`
    above 1. `on` "ray" sends each training to the Ray cluster of RAY_ADDRESS, or a local one. `match_parameters` makes
    the networks of our contenders as large as the first one's. A curve has `evaluations` points, 20 unless given and on
    Atari 10. `title` is the page's. `trust`: whether a run.json or a trained run may name code that is neither
    registered nor signed by this machine.

    Returns `contenders` (per-seed scores, IQM, 95% interval, speed), `pairs` (difference, interval, verdict),
    `headline`, `warnings`, `report` and `out`. Raises `InputError` before anything is started; a training that fails
    is a failed result, not an error.
    """
    if seeds < 1 or jobs < 1:
        raise InputError(f"seeds and jobs must be at least 1, got {seeds} and {jobs}")
    plan = make_plan(recipe, agents, tasks, steps, match_parameters, evaluations, trust)
    send = _sender(on, plan)
    folder = Path(out) if out is not None else _default_folder(plan)
    _check_folder(folder)
    with _locked(folder):
        comparison = Comparison(plan, folder, seeds, videos, title, match_parameters)
        for side in [] if quiet else plan.sides:
            print(f"{side.contender.text} on {side.task.env}: {side.note or 'no training'}", file=sys.stderr)
        if not quiet and (unused := comparison.unused()):
            print(unused, file=sys.stderr)
        try:
            comparison.fill(jobs, send, quiet)
        except KeyboardInterrupt as stop:
            stop.args = ("interrupted; the same command goes on where it was",)
            raise
        finally:
            comparison.write()
        found = analyse(read_json(folder / "comparison.json"))
        from runs.report import report

        page = report(folder)
    if not quiet:
        print(f"{found['headline']}\n{page['html']}")
    return {"schema": SCHEMA, "out": str(folder), "report": page["html"], **flat(found)}


def _default_folder(plan: Plan) -> Path:
    task = slug(plan.tasks[0].env) if len(plan.tasks) == 1 else f"{len(plan.tasks)}-tasks"
    return OUT / f"compare_{task}_{time.strftime('%Y%m%d-%H%M%S')}"


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file: name a folder")
    path = folder / "comparison.json"
    if path.exists():
        from runs.analysis import read_comparison

        read_comparison(folder)
    elif folder.exists() and any(folder.iterdir()) and not (folder / "results").is_dir():
        raise InputError(f"--out {folder} holds something else: name a new folder or that of a comparison")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder} cannot be made: {error.strerror}") from error
    lock = FileLock(folder / ".lock")
    try:
        yield
    finally:
        lock.release(remove=True)


class Comparison:
    """The state of one comparison in its folder."""

    def __init__(
        self, plan: Plan, folder: Path, seeds: int, videos: bool, title: str = "", matched: bool = False
    ) -> None:
        self.plan, self.folder, self.videos = plan, folder, videos
        self.title, self.matched = title, matched
        self.seeds = range(seeds)
        self.random = {task.env: _random_side(task) for task in plan.tasks}
        self.results: dict[tuple[str, str, int], dict[str, Any]] = {}
        path = folder / "comparison.json"
        self.before: Mapping[str, Any] = read_json(path) if path.exists() else {}
        """The comparison that the folder held when this one began."""
        for side in plan.sides:
            for seed in self.seeds_of(side):
                if (found := self.read(side, seed)) is not None:
                    self.results[side.contender.text, side.task.env, seed] = found

    def seeds_of(self, side: Side) -> Sequence[int]:
        return self.seeds if side.seed is None else [side.seed]

    def file(self, side: Side, seed: int) -> Path:
        return self.folder / side.place / f"seed-{seed}.json"

    def read(self, side: Side, seed: int) -> dict[str, Any] | None:
        """The result that is there already, in this folder or recorded with the suite."""
        path = self.file(side, seed)
        if path.exists():
            return dict(read_json(path))
        return _recorded(side, seed)

    def unused(self) -> str:
        """One line on the results in the folder that this comparison leaves aside, and why; empty without any."""
        sides = {(s.contender.text, s.task.env): s for s in self.plan.sides}
        used = {self.file(s, seed) for s in self.plan.sides for seed in self.seeds_of(s)}
        names: dict[str, list[str]] = {}
        for path in sorted(set(self.folder.glob("results/*/*/*/seed-*.json")) - used):
            r = read_json(path)
            if r["contender"] == REFERENCE:
                continue
            side = sides.get((r["contender"], r["task"]))
            names.setdefault(self._why_unused(r, side, path.parent.name), []).append(r["contender"])
        if not names:
            return ""
        said = [f"{len(of)} {why} ({', '.join(dict.fromkeys(of))})" for why, of in names.items()]
        kept = f"{self.folder} holds results that are not used now, and keeps them: {'; '.join(said)}"
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
        """The task as the folder's comparison had it, where a result of this fingerprint was of that comparison."""
        for c in self.before.get("contenders", ()):
            on = c.get("tasks", {}).get(side.task.env, {})
            if c["name"] == side.contender.text and on.get("fingerprint") == fingerprint:
                return next((dict(t) for t in self.before["tasks"] if t["env"] == side.task.env), {})
        return {}

    def film(self, side: Side) -> str:
        """Where the film of a side lies in the folder; another training's lies elsewhere."""
        name = f"videos/{slug(side.contender.text)}_{slug(side.task.env)}"
        older = f"{name}.webm"  # as it was named before it bore the fingerprint
        known = any(v.get("file") == older for v in self.before.get("videos") or ())
        if known and self._task_before(side, side.fingerprint) and (self.folder / older).is_file():
            return older
        return f"{name}_{side.fingerprint}.webm"

    def missing(self) -> list[tuple[Side, int]]:
        """What is still to be trained: seed by seed, the contenders' order turned by one each time."""
        out: list[tuple[Side, int]] = []
        out += [(side, 0) for side in self.random.values() if not self.file(side, 0).exists()]
        by_task = [[s for s in self.plan.sides if s.task is task] for task in self.plan.tasks]
        for turn, seed in enumerate(self.seeds):
            for sides in by_task:
                k = turn % len(sides)
                out += [(s, seed) for s in sides[k:] + sides[:k] if s.seed is None]
        out += [(s, s.seed) for s in self.plan.sides if s.seed is not None]
        return [(s, seed) for s, seed in out if (s.contender.text, s.task.env, seed) not in self.results]

    def job(self, side: Side, seed: int, jobs: int) -> dict[str, Any]:
        own = side.place.removeprefix("results/")
        known = foreign_names(side.config) if side.job["kind"] == "run" else []
        film = self.videos and seed == min(self.seeds_of(side)) and side.job["kind"] != "random"
        return {
            **side.job,
            "contender": side.contender.text,
            "seed": seed,
            "jobs": jobs,
            "trusted": known,
            "folder": side.job.get("folder", str((self.folder / "runs" / own / f"seed-{seed}").absolute())),
            "video": str((self.folder / self.film(side)).absolute()) if film else None,
        }

    def fill(self, jobs: int, send: Callable[[dict[str, Any]], dict[str, Any]], quiet: bool) -> None:
        """Trains what is missing, `jobs` at a time. On Ctrl-C the trainings are stopped and what is done is kept."""
        todo = self.missing()
        board = Board(self, len(todo), quiet)
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
        done, _ = wait(running, timeout=None if board.plain else 1.0, return_when=FIRST_COMPLETED)
        for future in done:
            side, seed = running.pop(future)
            result = future.result()
            path = self.file(side, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, result)
            if side is not self.random.get(side.task.env):
                self.results[side.contender.text, side.task.env, seed] = result
            self.write()
            board.finished(side, seed, result)

    def write(self) -> None:
        """comparison.json as things stand."""
        write_json(self.folder / "comparison.json", self.to_json())

    def to_json(self) -> dict[str, Any]:
        from runs.record import machine
        from runs.train import git_commit, versions

        tasks = []
        for task in self.plan.tasks:
            path = self.file(self.random[task.env], 0)
            known = read_json(path) if path.exists() else {}
            tasks.append(
                {
                    "env": task.env,
                    "steps": task.steps,
                    "random": known.get("score"),
                    "protocol": task.spec.protocol,
                    "evaluation": task.evaluation,
                    "threshold": task.spec.reward_threshold,
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
        """What the page says of a side: where its hyperparameters are from, and which seeds were trained before."""
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
        """The command line that makes it again."""
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


def _random_side(task: Task) -> Side:
    """The random policy's games on a task: the zero of its scale."""
    from runs.contenders import Contender

    games = planning.RANDOM_GAMES if not task.spec.protocol else 20
    job = {"kind": "random", "env": task.env, "env_config": planning.to_json(task.env_config), "eval_episodes": games}
    job |= {"steps": task.steps, "eval_max_steps": task.eval_max_steps, "threads": 1}
    return Side(Contender(REFERENCE, "ours", "random"), task, job, {})


def _recorded(side: Side, seed: int) -> dict[str, Any] | None:
    """A result that `rl record` left for the very same recipe, a failed one too: its evaluation is of the same games.

    Its times count only where it was recorded on this machine, and says that no other work shared it.
    """
    from runs.record import RESULTS, fingerprint, machine

    recipe = _recipe_of(side)
    if recipe is None:
        return None
    for path in RESULTS.glob(f"*/{fingerprint(recipe)}/seed-{seed}.json"):
        r = read_json(path)
        where, others = r.get("machine", {}), r.get("others")
        here = all(where.get(k) == v for k, v in machine().items() if k != "python")
        alone = here and where.get("jobs") == 1 and others is not None and others < SHARED
        origin = {
            "fingerprint": side.fingerprint,
            "machine": r.get("machine"),
            "versions": r.get("versions"),
            "commit": r.get("commit"),
            "recorded": path.relative_to(RESULTS).as_posix(),
        }
        who = {"contender": side.contender.text, "env": side.task.env, "seed": seed}
        if r["status"] != "ok":
            return failed(who, r["error"]) | origin
        return {
            "contender": side.contender.text,
            "task": side.task.env,
            "seed": seed,
            "status": "ok",
            "error": None,
            "score": r["score"]["mean"],
            "returns": r["score"]["returns"],
            "curve": [[step, None, score] for step, score in r.get("evaluations", [])],
            "steps": r["steps"],
            "seconds": r["seconds"] if alone else None,
            "cpu_seconds": None,
            "steps_per_second": r["steps_per_second"] if alone else None,
            "peak_memory": r.get("peak_memory_bytes") if alone else None,
            "alone": alone,
            "others": others,
            "jobs": where.get("jobs"),
            **origin,
        }
    return None


def _recipe_of(side: Side) -> Run | None:
    """The recipe that a side trains, but for how often it looks on."""
    if side.job["kind"] != "ours":
        return None
    from runs.listing import recipe_names
    from runs.recipe import resolve as resolve_recipe
    from runs.settings import from_json

    run = from_json(Run, {**side.job["run"], "seed": 0})
    for name in recipe_names():
        recipe = resolve_recipe(name)
        looks = {k: getattr(recipe, k) for k in ("eval_every", "save_every", "log_every", "video_every", "seed")}
        if dataclasses.replace(run, **looks) == recipe:
            return recipe
    return None


# What the terminal shows


class Board:
    """A live table on a terminal, a line for each training elsewhere, nothing where quiet."""

    def __init__(self, comparison: Comparison, total: int, quiet: bool) -> None:
        self.comparison, self.total, self.quiet = comparison, total, quiet
        self.plain = quiet or not sys.stderr.isatty()
        self.done, self.begun = 0, time.monotonic()
        self._live: Any = None

    def __enter__(self) -> Board:
        if not self.plain:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=1)
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def show(self, running: Any) -> None:
        if self._live is not None:
            self._live.update(self._table(list(running)))

    def finished(self, side: Side, seed: int, result: dict[str, Any]) -> None:
        self.done += 1
        if self.quiet:
            return
        score = number(result["score"]) if result["status"] == "ok" else f"failed: {result['error']}"
        took = f", {result['wall']:.0f} s" if result.get("wall") else ""
        line = f"[{self.done}/{self.total}] {side.contender.text} on {side.task.env}, seed {seed}: {score}{took}"
        if self._live is not None:
            self._live.console.print(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _table(self, running: list[tuple[Side, int]]) -> Any:
        from rich.table import Table as RichTable

        left = (time.monotonic() - self.begun) / max(self.done, 1) * (self.total - self.done)
        title = f"{self.done} of {self.total} trainings" + (f", about {left / 60:.0f} min left" if self.done else "")
        table = RichTable(title=title)
        for column in ("contender", "task", "seeds", "mean so far", "running"):
            table.add_column(column)
        for side in self.comparison.plan.sides:
            mine = [
                r for (c, e, _), r in self.comparison.results.items() if (c, e) == (side.contender.text, side.task.env)
            ]
            good = [r["score"] for r in mine if r["status"] == "ok"]
            now = ", ".join(f"seed {seed}" for s, seed in running if s is side)
            mean = number(sum(good) / len(good)) if good else ""
            failed = f" ({len(mine) - len(good)} failed)" if len(mine) > len(good) else ""
            count = f"{len(mine)} of {len(self.comparison.seeds_of(side))}{failed}"
            table.add_row(side.contender.text, side.task.env, count, mean, now)
        return table


# Sending a job somewhere


def _sender(on: str | None, plan: Plan) -> Callable[[dict[str, Any]], dict[str, Any]]:
    if on is None:
        return run_job
    if on != "ray":
        raise InputError(f"--on {on}: only ray is known")
    from runs.cluster import ray_sender

    return ray_sender(max(t.threads or 1 for t in plan.tasks))


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """One training in a process of its own. A failure is a result with its last line; an interrupt is raised."""
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "job.json", Path(place) / "result.json"
        write_json(source, job)
        environment = {**os.environ, "OMP_NUM_THREADS": str(job.get("threads") or os.cpu_count() or 1)}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent.parent), *_python_path()])
        begun = time.monotonic()
        done = run_child(
            [sys.executable, "-m", "runs.worker", str(source), str(target)],
            env=environment,
            interrupted=f"{job['contender']} seed {job['seed']} was interrupted; the same command goes on",
        )
        if target.exists():
            result = dict(read_json(target))
        else:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1].strip() if lines else f"exit status {done.returncode}"
            if done.returncode < 0:
                killer = signal.Signals(-done.returncode).name
                reason = f"killed by {killer}" + ": out of memory?" * (killer == "SIGKILL")
            result = failed(job, reason)
        return {**result, "wall": round(time.monotonic() - begun, 3)}


def _python_path() -> list[str]:
    return [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]


def failed(job: dict[str, Any], reason: str) -> dict[str, Any]:
    """The result of a training that came to nothing."""
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
