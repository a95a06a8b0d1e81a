"""`rl record`: trains every seed of a recipe from the committed tree and keeps each result, failures included."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from envs.boards import plays_itself
from rl.errors import InputError, RunError
from rl.storage import read_json, write_json
from runs.folder.jsonl import read_jsonl
from runs.folder.places import OUT, RESULTS
from runs.folder.processes import ENDS_WITH_PARENT, last_words, stop_children, train_child
from runs.folder.provenance import Meter, machine
from runs.folder.trust import Trust, foreign_names
from runs.recipe import Run, describe, recipe_file, recipe_names
from runs.recipe import resolve as resolve_recipe
from runs.recording.results import fingerprint, read_results, thin, write_result
from runs.recording.table import write_table
from runs.recording.tree import check_committed, commit_of, export_tree, finished, in_git, run_folder, tree_of

REPORT_SECONDS = 60.0
"""Between two lines of progress."""


@dataclass(frozen=True)
class Recording:
    """What is recorded."""

    recipe: str
    """The name under which results are kept."""
    run: Run
    mark: str
    """The run's fingerprint."""
    jobs: int
    own: bool = False
    """A user's recipe: it is trained from a copy, since it is part of no commit."""

    def folder(self, seed: int) -> Path:
        return run_folder(self.recipe, self.mark, seed)

    @property
    def copy(self) -> Path:
        return run_folder(self.recipe, self.mark, 0).parent / "recipe.json"


def record(
    recipe: str,
    *,
    seeds: int = 1,
    jobs: int = 1,
    on: str | None = None,
    results: Path | None = None,
    say: Callable[[str], None] | None = None,
    trust: Trust = False,
) -> list[dict[str, Any]]:
    """Trains the seeds 0 .. seeds-1 of `recipe` that have no result yet, from an export of the committed tree.

    An interrupted training continues from its last save. Results go to `results`: by default runs/results of the
    checkout; runs/out/results for a recipe of one's own or if the suite is installed without git. Returns the results
    of all these seeds. Raises InputError if a shipped recipe differs from the committed one. `on` "ray" trains each
    seed on the Ray cluster, whose nodes share this folder; a lost node's training continues from its last save on
    another. `trust`: as in `runs.train`.
    """
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    if seeds < 1 or jobs < 1:
        raise InputError(f"seeds and jobs must be at least 1, got {seeds} and {jobs}")
    run = resolve_recipe(recipe, trust=trust)
    own = recipe not in recipe_names()
    results = results or (OUT / "results" if own or not in_git() else RESULTS)
    recording = Recording(result_name(recipe), run, fingerprint(run), jobs, own)
    there = {r["seed"] for r in _recorded(recording, results)}
    if wanted := [s for s in range(seeds) if s not in there]:
        _train(recording, wanted, results, say, on)
    else:
        say(f"{recording.recipe} {recording.mark}: every seed has a result, nothing to train")
        _write_table(results, say)
    return [r for r in _recorded(recording, results) if r["seed"] < seeds]


def result_name(recipe: str) -> str:
    """Under which name results are kept: FILE or FILE_NAME for a file, else the word without special characters."""
    if (file := recipe_file(recipe)) is not None:
        recipe = "_".join(filter(None, (file[0].stem, file[1])))
    return "".join(c if c.isalnum() or c in "_.-" else "-" for c in recipe).strip(".")


def _recorded(recording: Recording, results: Path) -> list[dict[str, Any]]:
    return [r for r in read_results(results, recording.recipe) if r["fingerprint"] == recording.mark]


def _train(recording: Recording, wanted: list[int], results: Path, say: Callable[[str], None], on: str | None) -> None:
    """Trains the seeds `wanted` and writes each result when it is there."""
    recipe, mark, run = recording.recipe, recording.mark, recording.run
    send = _sender(on, run.threads)
    tree = export_tree()
    if recording.own:
        recording.copy.parent.mkdir(parents=True, exist_ok=True)
        write_json(recording.copy, {"recipe": describe(run)})
    else:
        check_committed(tree, recipe, run)
    trees = [tree_of(recording.folder(s), run.steps, tree) for s in wanted]
    say(f"{recipe} {mark}: seeds {', '.join(map(str, wanted))} to train, {recording.jobs} at a time")

    def work(seed: int, its: Path) -> dict[str, Any]:
        with _progress(recording.folder(seed), run, f"{recipe} seed {seed}", say):
            return send(recording, seed, its.absolute())

    pool = ThreadPoolExecutor(recording.jobs)
    try:
        for future in [pool.submit(work, seed, tree) for seed, tree in zip(wanted, trees, strict=True)]:
            while not wait([future], timeout=1.0).done:  # an endless wait would ignore Ctrl-C on Windows
                pass
            result = future.result()
            write_result(result, results)
            score = f"{result['score']['mean']:.1f}" if result["status"] == "ok" else result["error"]
            say(f"{recipe} seed {result['seed']}: {score}")
            _write_table(results, say)
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        stop_children()
        if isinstance(error, KeyboardInterrupt):
            error.args = (f"interrupted; `rl record {recipe}` continues it",)
        raise
    finally:
        pool.shutdown()


def _sender(on: str | None, threads: int) -> Callable[[Recording, int, Path], dict[str, Any]]:
    """What trains a seed: this machine, or the Ray cluster."""
    if on is None:
        return _train_seed
    from runs.comparing.senders import on_cluster

    send, here = on_cluster(_on_node, threads), os.getcwd()
    return lambda recording, seed, tree: dict(send(here, recording, seed, tree))


def _on_node(here: str, recording: Recording, seed: int, tree: Path) -> dict[str, Any]:
    """`_train_seed` on a node of a cluster, in the folder where `rl record` was called."""
    if not tree.is_dir() or not os.path.isdir(here):
        raise RunError(f"{tree} is not on {platform.node()}: --on ray records on a disk that all nodes share")
    os.chdir(here)
    os.environ[ENDS_WITH_PARENT] = "1"  # Ray may lose this process and keep the training that it has started
    return _train_seed(recording, seed, tree)


@contextmanager
def _progress(out: Path, run: Run, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile reports every `REPORT_SECONDS` how many steps the training in `out` has made.

    In self-play the return says nothing, so the number of games stands in its place.
    """
    over = Event()
    options = run.env_config.options
    self_play = bool(options.get("self_play")) or plays_itself(options.get("opponent"))

    def report() -> None:
        while not over.wait(REPORT_SECONDS):
            lines = read_jsonl(out / "metrics.jsonl")
            if lines and lines[-1]["step"] < run.steps:
                last = lines[-1]
                latest = "return -" if last["train/return"] is None else f"return {last['train/return']:.1f}"
                latest = f"{last['train/episodes']:,} games" if self_play else latest
                say(f"{name}: {last['step']:,} of {run.steps:,} steps, {latest}")

    reporter = Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()


def _write_table(results: Path, say: Callable[[str], None]) -> None:
    """Writes the tables, which resolve every recipe. If that fails, the results are kept all the same."""
    try:
        write_table(results)
        if results == RESULTS:
            from runs.recording import agent_pages  # imports torch

            agent_pages.main()
    except Exception as error:
        line = f"{type(error).__name__}: {error}"
        say(f"the table {results / 'README.md'} could not be written ({line}); `rl record` writes it later")


def _train_seed(recording: Recording, seed: int, tree: Path) -> dict[str, Any]:
    """One training in a process of its own, continued if an earlier one was interrupted. Returns its result."""
    recipe, run, out = recording.recipe, recording.run, recording.folder(seed).absolute()
    saved = (out / "checkpoints").exists()
    if out.exists() and not saved:
        shutil.rmtree(out)
    begun, meter = time.time(), Meter()
    done = train_child(
        ["runs", *_words(recording, seed, out), "--json"],
        root=tree,
        paths=[os.getcwd()] if recording.own else [],
        threads=run.threads,
        interrupted=f"{recipe} seed {seed} was interrupted; `rl record {recipe}` continues it",
        cwd=tree,
    )
    if done.returncode == 2:  # bad input, or a package that is missing: nothing was trained, so no seed has failed
        raise InputError(f"{recipe} seed {seed}: {last_words(done).removeprefix('rl: ')}")
    _, others = meter.read()
    result: dict[str, Any] = {
        "schema": 1,
        "recipe": recipe,
        "fingerprint": recording.mark,
        "seed": seed,
        "status": "ok" if done.returncode == 0 else "failed",
        "run": describe(run) | {"seed": seed},
        "commit": commit_of(tree),
        "machine": {**machine(), "jobs": recording.jobs},
        # unknown for the part before an interruption, and on Windows, which does not count the time of ended children
        "others": None if saved or os.name == "nt" else round(others, 3),
        "recorded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun)),
    }
    if done.returncode != 0:
        return result | {"error": last_words(done)}
    return result | _measured(json.loads(done.stdout), run, out)


def _words(recording: Recording, seed: int, out: Path) -> list[str]:
    """The `rl` command that starts, continues, or only evaluates the training in `out`."""
    run = recording.run
    trust = ["--trust"] if recording.own or foreign_names(describe(run)) else []  # `record` has asked
    if not (out / "checkpoints").exists():
        words = ["train", str(recording.copy.absolute()) if recording.own else recording.recipe]
        words += ["--seed", str(seed), "--out", str(out), "--track", "off"]
        words += ["--set", f"save_every={run.save_every or max(run.steps // 10, 1)}"]
        return [*words, "--set", f"eval_every={run.eval_every or 0}", *trust]
    if not finished(out, run.steps):
        return ["resume", str(out)]
    words = ["evaluate", str(out), "--episodes", str(run.eval_episodes), "--seed", str(seed)]
    return words + (["--sample"] if run.eval_sample else [])


def _measured(answer: dict[str, Any], run: Run, out: Path) -> dict[str, Any]:
    """Score, times and curves of a finished training: what its command printed and its run folder holds."""
    lines, info = read_jsonl(out / "metrics.jsonl"), read_json(out / "run.json")
    last = lines[-1] if lines else {}
    score = ("episodes", "mean", "std", "iqm", "returns", "lengths", "protocol", "sample")
    choices = [part.get("choices", {}) for part in (info, *info.get("resumed", []))]
    gpus = sorted({c["gpu"] for c in choices if "gpu" in c})  # that trained some of it
    return {
        "score": {k: answer[k] for k in score} | {k: answer[k] for k in ("exact", "optimum") if k in answer},
        "steps": run.steps,
        "seconds": answer.get("seconds", last.get("seconds")),  # an evaluation alone has none
        "steps_per_second": answer.get("steps_per_second", last.get("time/sps")),
        "peak_memory_bytes": answer.get("peak_memory_bytes"),
        "curve": thin([(x["step"], x["seconds"], x["train/return"]) for x in lines]),
        "versions": info["versions"],
        **({"gpus": gpus} if gpus else {}),
        "evaluations": [(x["step"], x["mean"]) for x in read_jsonl(out / "evaluations.jsonl")],
    }
