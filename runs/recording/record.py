"""Recorded results: every seed of a recipe trained from the committed tree, one small file each, failures included."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from rl.errors import InputError
from rl.storage import read_json, write_json
from runs.folder.jsonl import read_jsonl
from runs.folder.places import RESULTS
from runs.folder.processes import run_child, stop_children
from runs.folder.provenance import Meter, machine
from runs.folder.trust import Trust, foreign_names
from runs.recipe import Run, describe
from runs.recipe import resolve as resolve_recipe
from runs.recording.results import fingerprint, thin
from runs.recording.table import write_table
from runs.recording.tree import _commit_of, _finished, _hold_against, _run_folder, _tree_of, export_tree

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
        command += ["--set", f"eval_every={run.eval_every or 0}"]
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
