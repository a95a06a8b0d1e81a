"""Recorded results: every seed of a recipe trained from the committed tree, one small file each, failures included."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from rl.errors import InputError
from rl.storage import read_json, write_atomic, write_json
from runs.children import run_child, stop_children
from runs.folder import read_jsonl
from runs.listing import AIM, RECIPES, recipe_names
from runs.recipe import Run, describe
from runs.recipe import resolve as resolve_recipe
from runs.settings import to_json
from runs.trust import Trust, foreign_names
from runs.worker import Meter

RESULTS = Path(__file__).parent / "results"
TREES = Path("runs/out/record")
CURVE_POINTS = 60
TELL_SECONDS = 60.0
"""Between two lines of how far a training is."""


def record(
    recipe: str,
    *,
    seeds: int = 1,
    jobs: int = 1,
    results: Path = RESULTS,
    say: Callable[[str], None] | None = None,
    trust: Trust = False,
) -> list[dict[str, Any]]:
    """Trains the seeds 0 .. seeds-1 of `recipe` that have no result yet, from an export of the committed tree.

    An interrupted training goes on where it was saved. Returns the results of all these seeds; raises InputError where
    the recipe is not committed as it stands. `trust`: as in `runs.train`.
    """
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    if seeds < 1 or jobs < 1:
        raise InputError(f"seeds and jobs must be at least 1, got {seeds} and {jobs}")
    run = resolve_recipe(recipe, trust=trust)
    mark = fingerprint(run)
    folder = results / recipe / mark
    wanted = [s for s in range(seeds) if not (folder / f"seed-{s}.json").exists()]
    if wanted:
        tree = export_tree()
        _hold_against(tree, recipe, run)
        trees = [_tree_of(_run_folder(recipe, mark, s), run.steps, tree) for s in wanted]
        folder.mkdir(parents=True, exist_ok=True)
        say(f"{recipe} {mark}: seeds {', '.join(map(str, wanted))} to train, {jobs} at a time")

        def work(seed: int, its: Path) -> dict[str, Any]:
            with _telling(_run_folder(recipe, mark, seed), run.steps, f"{recipe} seed {seed}", say):
                return _train_seed(recipe, run, mark, seed, its, jobs)

        pool = ThreadPoolExecutor(jobs)
        try:
            for result in pool.map(work, wanted, trees):
                write_json(folder / f"seed-{result['seed']}.json", result)
                score = f"{result['score']['mean']:.1f}" if result["status"] == "ok" else result["error"]
                say(f"{recipe} seed {result['seed']}: {score}")
                _write_table(results, say)
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_children()
            if isinstance(error, KeyboardInterrupt):
                error.args = (f"interrupted; `rl record {recipe}` goes on where it was",)
            raise
        finally:
            pool.shutdown()
    else:
        _write_table(results, say)
    return [json.loads((folder / f"seed-{s}.json").read_text()) for s in range(seeds)]


def _run_folder(recipe: str, mark: str, seed: int) -> Path:
    return TREES / f"{recipe}-{mark}" / f"seed-{seed}"


@contextmanager
def _telling(out: Path, total: int, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile says every `TELL_SECONDS` how far the training in `out` is."""
    over = Event()

    def tell() -> None:
        while not over.wait(TELL_SECONDS):
            lines = read_jsonl(out / "metrics.jsonl")
            if lines and lines[-1]["step"] < total:
                last = lines[-1]
                latest = "-" if last["train/return"] is None else f"{last['train/return']:.1f}"
                say(f"{name}: {last['step']:,} of {total:,} steps, return {latest}")

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _write_table(results: Path, say: Callable[[str], None]) -> None:
    """The table, which reads every recipe as it stands now. A training's result is written, whatever became of them."""
    try:
        write_table(results)
    except Exception as error:
        line = f"{type(error).__name__}: {error}"
        say(f"the table {results / 'README.md'} could not be written ({line}); the results are: `rl record` mends it")


def write_line(recipe: str, results: list[dict[str, Any]], recipes: Path = RECIPES) -> None:
    """Puts `recorded_line` into the recipe's docstring, in the place of an older one or of the words of an aim."""
    path = recipes / f"{recipe}.py"
    text = path.read_text(encoding="utf-8")
    told = _LINE.sub(lambda _: recorded_line(results), text, count=1)
    if told != text:
        write_atomic(path, told.encode())


_LINE = re.compile(rf"^(Recorded with \w+ seeds?: .*|{re.escape(AIM)})$", re.MULTILINE)
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def recorded_line(results: list[dict[str, Any]]) -> str:
    """What a recipe's docstring says of the results of all its seeds: up to five by themselves."""
    scores = [r["score"]["mean"] for r in results if r["status"] == "ok"]
    count = _COUNTS[len(results)] if len(results) < len(_COUNTS) else str(len(results))
    told = ", ".join(f"{score:.1f}" for score in scores)
    if len(scores) > 5:
        told = f"{min(scores):.1f} to {max(scores):.1f}, median {float(np.median(scores)):.1f}"
    failed = len(results) - len(scores)
    told += f"{', ' if scores else ''}{failed} failed" if failed else ""
    minutes = _minutes([r for r in results if r["status"] == "ok"])
    took = f"; {minutes} minutes of one core" if minutes != "-" and results[0]["run"]["threads"] == 1 else ""
    return f"Recorded with {count} seed{'s' * (len(results) > 1)}: {told}{took}."


def _minutes(good: list[dict[str, Any]]) -> str:
    """The median of the trainings' minutes."""
    seconds = [r["seconds"] for r in good if r["seconds"] is not None]
    return f"{float(np.median(seconds)) / 60:.1f}" if seconds else "-"


def fingerprint(run: Run) -> str:
    """Twelve hexadecimal digits of everything that the recipe chooses, without the seed and what only looks on.

    What a recipe leaves at its default is not part of it: a new field does not make old results stale. Whoever changes
    a default changes `DEFAULTS`.
    """
    looks_on = ("seed", "save_every", "log_every", "video_every", "eval_every")
    fixed = {k: v for k, v in chosen(run).items() if k not in looks_on}
    return hashlib.sha256(json.dumps([DEFAULTS, fixed], sort_keys=True).encode()).hexdigest()[:12]


DEFAULTS = 1
"""Counts the times that the default of a field was changed."""


def chosen(config: Any) -> dict[str, Any]:
    """The fields of a config that differ from their defaults, as plain JSON, and the agent's name."""
    out: dict[str, Any] = {"name": config.name} if hasattr(config, "name") else {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        if value != default:
            out[f.name] = chosen(value) if dataclasses.is_dataclass(value) else to_json(value)
    return out


def export_tree(wanted: str = "HEAD") -> Path:
    """A copy of the committed tree under runs/out, so that nothing edited meanwhile reaches a running training."""
    here = Path(__file__).parent.parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--verify", f"{wanted}^{{commit}}"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        marked = here / ".commit"
        if marked.exists() and wanted in ("HEAD", marked.read_text().strip()):  # already an exported tree
            return here
        raise InputError(f"git has no commit {wanted} in {here}: results are recorded from a commit") from error
    tree = (TREES / commit[:12]).absolute()
    if not (tree / ".commit").exists():
        TREES.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=here, capture_output=True, check=True).stdout
        with tempfile.TemporaryDirectory(dir=TREES, ignore_cleanup_errors=True) as partial:
            subprocess.run([sys.executable, "-c", _UNPACK], cwd=partial, input=archive, check=True)
            (Path(partial) / ".commit").write_text(commit + "\n")
            try:
                os.rename(partial, tree)
            except OSError:
                if not (tree / ".commit").exists():  # else another `rl record` was first
                    raise
    return tree


_UNPACK = """
import sys, tarfile
safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not before Python 3.11.4
tarfile.open(fileobj=sys.stdin.buffer, mode="r|").extractall(".", **safely)
"""


def _hold_against(tree: Path, recipe: str, run: Run) -> None:
    """Raises InputError where the tree's recipe, which is what trains, is not the one that the result would name."""
    path = tree / "runs" / "recipes" / f"{recipe}.py"
    if recipe in recipe_names() and (not path.exists() or resolve_recipe(str(path)) != run):
        raise InputError(f"commit runs/recipes/{recipe}.py first: a result is of a commit, which has another")


def _tree_of(out: Path, steps: int, tree: Path) -> Path:
    """The tree that trains the seed whose folder is `out`: that of the commit it began with, for weights have one.

    A finished training of another commit that left no result was withdrawn, or cut: it is moved aside.
    """
    if not (out / "checkpoints").exists():
        return tree
    begun = str(read_json(out / "run.json").get("commit"))
    if begun == _commit_of(tree):
        return tree
    if not _finished(out, steps):
        return export_tree(begun)
    aside = out.with_name(f".{out.name}-{begun[:12]}")
    shutil.rmtree(aside, ignore_errors=True)
    out.rename(aside)
    return tree


def _commit_of(tree: Path) -> str:
    return (tree / ".commit").read_text().strip()


def _train_seed(recipe: str, run: Run, mark: str, seed: int, tree: Path, jobs: int) -> dict[str, Any]:
    """One training in a process of its own, continued where an earlier one was interrupted."""
    out = _run_folder(recipe, mark, seed).absolute()
    saved = (out / "checkpoints").exists()
    if out.exists() and not saved:
        shutil.rmtree(out)
    command = [sys.executable, "-m", "runs"]
    if saved and _finished(out, run.steps):
        command += ["evaluate", str(out), "--episodes", str(run.eval_episodes), "--seed", str(seed)]
        command += ["--sample"] if run.eval_sample else []
    elif saved:
        command += ["resume", str(out)]
    else:
        command += ["train", recipe, "--seed", str(seed), "--out", str(out), "--track", "off"]
        command += ["--set", f"save_every={run.save_every or max(run.steps // 10, 1)}"]
        command += ["--trust"] if foreign_names(describe(run)) else []  # `record` has asked
    # the thread count is the recipe's; libraries beside PyTorch must not add theirs
    env = {**os.environ, "OMP_NUM_THREADS": str(run.threads or os.cpu_count() or 1), "PYTHONPATH": str(tree)}
    begun, meter = time.time(), Meter()
    interrupted = f"{recipe} seed {seed} was interrupted; `rl record {recipe}` goes on with it"
    done = run_child([*command, "--json"], cwd=tree, env=env, interrupted=interrupted)
    _, others = meter.read()
    result: dict[str, Any] = {
        "schema": 1,
        "recipe": recipe,
        "fingerprint": mark,
        "seed": seed,
        "status": "ok" if done.returncode == 0 else "failed",
        "run": describe(run) | {"seed": seed},
        "commit": _commit_of(tree),
        "machine": {**machine(), "jobs": jobs},
        # cores that work outside this `rl record` kept busy; nobody knows it of a training's first part, nor on
        # Windows, which does not count the time of a child that has ended
        "others": None if saved or os.name == "nt" else round(others, 3),
        "recorded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun)),
    }
    if done.returncode != 0:
        line = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
        return result | {"error": line}
    said = json.loads(done.stdout)
    lines = read_jsonl(out / "metrics.jsonl")
    result["score"] = {
        k: said[k] for k in ("episodes", "mean", "std", "iqm", "returns", "lengths", "protocol", "sample")
    }
    result["steps"] = run.steps
    last = lines[-1] if lines else {}
    result["seconds"] = said.get("seconds", last.get("seconds"))  # an evaluation alone says none
    result["steps_per_second"] = said.get("steps_per_second", last.get("time/sps"))
    result["peak_memory_bytes"] = said.get("peak_memory_bytes")
    result["curve"] = thin([(x["step"], x["seconds"], x["train/return"]) for x in lines])
    info = read_json(out / "run.json")
    result["versions"] = info["versions"]
    choices = [part.get("choices", {}) for part in (info, *info.get("resumed", []))]
    if gpus := sorted({c["gpu"] for c in choices if "gpu" in c}):  # on which some of it, or all, was trained
        result["gpus"] = gpus
    result["evaluations"] = [(x["step"], x["mean"]) for x in read_jsonl(out / "evaluations.jsonl")]
    return result


def _finished(out: Path, steps: int) -> bool:
    return any(int(p.name.split("-")[1]) >= steps for p in (out / "checkpoints").glob("step-*"))


def thin(points: list[Any], count: int = CURVE_POINTS) -> list[Any]:
    """At most `count` of the points, evenly spread, the last one among them."""
    if len(points) <= count:
        return points
    return [points[i] for i in np.linspace(0, len(points) - 1, count).round().astype(int)]


def machine() -> dict[str, Any]:
    """Processor, cores and system."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x.split(":", 1)[1].strip() for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = names[0] if names else name
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def read_results(results: Path = RESULTS) -> list[dict[str, Any]]:
    """Every recorded result, sorted by recipe, fingerprint and seed."""
    found = [json.loads(p.read_text()) for p in results.glob("*/*/seed-*.json")]
    return sorted(found, key=lambda r: (r["recipe"], r["fingerprint"], r["seed"]))


_INTRODUCTION = """# Recorded results

Written by `rl record`; do not edit. A score is the mean return of whole games with the final policy, raw and
undiscounted, of seeds 0, 1, 2, ... in order; a failed seed stays in the table. IQM is over the seeds that did not fail.
Minutes are the median of the training itself, with the number of trainings that ran side by side as jobs; a file's
`others` says how many cores work outside `rl record` kept busy meanwhile. Fingerprints: how many versions of the recipe
have results; one that is not the recipe's present one is marked stale.
"""


def write_table(results: Path = RESULTS) -> Path:
    """Writes README.md of the results folder: one row for each recipe and fingerprint, stale rows marked.

    Of our own results the recipes tell too, each in a line of its docstring.
    """
    from rl.statistics import iqm

    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in read_results(results):
        groups.setdefault((r["recipe"], r["fingerprint"]), []).append(r)
    current = {name: fingerprint(resolve_recipe(name)) for name in recipe_names() if (RECIPES / f"{name}.py").exists()}
    lines = [
        _INTRODUCTION,
        "| recipe | environment | protocol | steps | games | policy | IQM | scores by seed | minutes | jobs "
        "| fingerprints | commit |",
        "|---" * 12 + "|",
    ]
    for (recipe, mark), group in sorted(groups.items()):
        good = [r for r in group if r["status"] == "ok"]
        run = group[0]["run"]
        scores = ", ".join(f"{r['score']['mean']:.1f}" if r["status"] == "ok" else "failed" for r in group)
        recorded = sum(1 for name, _ in groups if name == recipe)
        stale = "" if current.get(recipe) == mark else " (stale)"
        if results == RESULTS and not stale:
            write_line(recipe, group)
        value = f"{float(iqm([r['score']['mean'] for r in good])):.1f}" if good else "-"
        value += f" (of {len(good)} of {len(group)})" if len(good) < len(group) else ""
        minutes = _minutes(good)
        first = good[0]["score"] if good else {}
        lines.append(
            f"| {recipe}{stale} | {run['env']} | {first.get('protocol') or '-'} | {run['steps']:,} "
            f"| {first.get('episodes', '-')} | {'sampled' if first.get('sample') else 'greedy'} | {value} | {scores} "
            f"| {minutes} | {group[0]['machine']['jobs']} | {recorded} | {group[0]['commit'][:7]} |"
        )
    path = results / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return path
