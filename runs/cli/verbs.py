"""One function a verb: calls the function that does the work with the arguments given."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
from typing import Any

from rl.errors import InputError, unknown

Result = dict[str, Any] | None


def _trust(a: argparse.Namespace) -> Any:
    """Whether names from files may be imported: True with `--trust`, else a function that asks on the terminal."""
    from runs.folder.trust import ask

    return True if a.trust else ask


def _call(where: str, *args: Any, **options: Any) -> Any:
    """Calls `module.function`, imported now, with the options that were given; the others keep their defaults."""
    module, _, function = where.rpartition(".")
    implementation = getattr(importlib.import_module(module), function)
    return implementation(*args, **{name: value for name, value in options.items() if value is not None})


def _check_recipe(word: str | None, suites: bool = False) -> None:
    """Raises InputError for a misspelt recipe before anything heavy is imported; ignores ids of environments.

    suites: the verb takes a suite too.
    """
    if word is None or not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", word) or os.path.isdir(word):
        return
    from runs.comparing.suites import SUITES
    from runs.recipe import recipe_names

    known = [*recipe_names(), *(SUITES if suites else ())]
    if "_" in word:
        if word not in known:
            raise unknown("recipe", word, known)
    elif suites and word not in SUITES and difflib.get_close_matches(word, SUITES, cutoff=0.7):
        import envs

        if word not in envs.ids():
            raise unknown("suite", word, SUITES)


def train(a: argparse.Namespace) -> Result:
    _check_recipe(a.recipe, suites=True)
    if a.seeds is not None or _is_suite(a.recipe):
        return _train_seeds(a)
    if a.on is not None:
        raise InputError(f"--on {a.on} needs --seeds: it sends each training to the cluster")
    if a.jobs is not None:
        raise InputError(f"--jobs {a.jobs} needs --seeds: one training is one job")
    result = _call(
        "runs.training.train.train",
        a.recipe,
        agent=a.agent,
        steps=a.steps,
        seed=a.seed,
        num_envs=a.num_envs,
        settings=a.set or None,
        out=a.out,
        track=a.track or "auto",
        device=a.device,
        watch=a.watch or None,
        quiet=a.quiet,
        until=a.until,
        ranks=a.ranks,
        trust=_trust(a),
    )
    return _of_rank_0(result)


def _of_rank_0(result: Result) -> Result:
    """The result of a training; under torchrun the other processes end here without one."""
    if result is not None and "rank" in result:
        raise SystemExit(0)
    return result


def _train_seeds(a: argparse.Namespace) -> Result:
    alone = {"--seed": a.seed, "--watch": a.watch or None, "--until": a.until}
    alone |= {"--track": a.track, "--ranks": a.ranks}
    if given := [option for option, value in alone.items() if value is not None]:
        raise InputError(f"{given[0]} is for one training: leave it or --seeds out")
    options = {"seeds": a.seeds or 1, "jobs": a.jobs, "agent": a.agent, "steps": a.steps, "num_envs": a.num_envs}
    options |= {"settings": a.set or None, "device": a.device, "out": a.out, "on": a.on, "quiet": a.quiet}
    return _call("runs.comparing.many_seeds.train_seeds", a.recipe, **options, trust=_trust(a))


def resume(a: argparse.Namespace) -> Result:
    result = _call(
        "runs.training.train.resume",
        a.run,
        steps=a.steps,
        track=a.track or "auto",
        device=a.device,
        quiet=a.quiet,
        ranks=a.ranks,
        trust=_trust(a),
    )
    return _of_rank_0(result)


def evaluate(a: argparse.Namespace) -> Result:
    options = {"episodes": a.episodes, "seed": a.seed, "sample": a.sample, "device": a.device, "trust": _trust(a)}
    runs = [run for name in a.runs for run in _seeds_of(name)]
    found = [_call("runs.training.evaluation.evaluate", run, **options) for run in runs]
    if len(found) == 1:
        return dict(found[0])
    return {"results": [{"run": run, **score} for run, score in zip(runs, found, strict=True)]}


def _seeds_of(run: str) -> list[str]:
    """The run folders in a folder of `rl train --seeds`, by task and seed; any other name stands for itself."""
    if os.path.exists(os.path.join(run, "run.json")) or not os.path.isdir(run):
        return [run]
    inner = sorted(entry.path for entry in os.scandir(run) if entry.is_dir())
    found = [path for folder in (run, *inner) for _, path in sorted(_numbered(folder))]
    return found or [run]


def _numbered(folder: str) -> list[tuple[int, str]]:
    names = (name for name in os.listdir(folder) if re.fullmatch(r"seed-\d+", name))
    return [(int(name[5:]), os.path.join(folder, name)) for name in names]


def watch(a: argparse.Namespace) -> Result:
    if a.video:  # drawn without a display: SDL need not look for one, and complain
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    return _call(
        "runs.watching.watch.watch",
        a.run,
        video=a.video,
        episodes=a.episodes,
        grid=a.grid,
        seed=a.seed,
        sample=a.sample,
        follow=a.follow or None,
        trust=_trust(a),
    )


def play(a: argparse.Namespace) -> Result:
    options = {
        "vs": a.vs,
        "record": a.record,
        "seed": a.seed,
        "text": a.text or None,
        "replay": a.replay,
        "side": a.side,
    }
    return _call("runs.watching.play.play", a.env, **options, trust=_trust(a))


def compare(a: argparse.Namespace) -> Result:
    if a.recipe is None and a.tasks is None:
        raise InputError("compare: name a RECIPE or --tasks; see rl compare --help")
    recipe, tasks = a.recipe, a.tasks or []
    if recipe is not None and _is_suite(recipe):
        recipe, tasks = None, [recipe, *tasks]
    _check_recipe(recipe, suites=True)
    return _call(
        "runs.comparing.compare.compare",
        recipe,
        ",".join(a.agents),
        tasks=",".join(tasks) or None,
        steps=a.steps,
        seeds=a.seeds,
        jobs=a.jobs,
        on=a.on,
        match_parameters=a.match_parameters or None,
        evaluations=a.evaluations,
        title=a.title,
        out=a.out,
        quiet=a.quiet,
        trust=_trust(a),
    )


def tune(a: argparse.Namespace) -> Result:
    options = {"minutes": a.minutes, "trials": a.trials, "seeds": a.seeds, "jobs": a.jobs, "agent": a.agent}
    options |= {"steps": a.steps, "settings": a.set or None, "on": a.on, "out": a.out, "quiet": a.quiet}
    if _is_suite(a.recipe):
        return _call("runs.tuning.suite.tune_suite", a.recipe, **options, trust=_trust(a))
    _check_recipe(a.recipe, suites=True)
    return _call("runs.tuning.tune.tune", a.recipe, **options, trust=_trust(a))


def _recipes(word: str) -> list[str]:
    """The recipes of a suite by its name; any other word stands for itself."""
    if _is_suite(word):
        from runs.comparing.suites import in_suite

        return in_suite(word)
    _check_recipe(word, suites=True)
    return [word]


def _is_suite(word: str) -> bool:
    from runs.comparing.suites import is_suite

    return is_suite(word)


def league(a: argparse.Namespace) -> Result:
    return _call(
        "runs.comparing.league.league.league",
        a.runs,
        games=a.games,
        players=a.players.split(",") if a.players else None,
        out=a.out,
        seed=a.seed,
        quiet=a.quiet,
        trust=_trust(a),
    )


def grade(a: argparse.Namespace) -> Result:
    _check_recipe(a.recipe)
    return _call(
        "runs.comparing.grading.grade.grade",
        a.folders,
        a.recipe,
        games=a.games,
        seed=a.seed,
        jobs=a.jobs,
        seconds=a.seconds,
        out=a.out,
        quiet=a.quiet,
        trust=a.trust,
    )


def explain(a: argparse.Namespace) -> Result:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    return _call("runs.explaining.explain.explain", a.run, a.other, out=a.out, quiet=a.quiet, trust=_trust(a))


def export(a: argparse.Namespace) -> Result:
    return _call("runs.sharing.export.export", a.run, onnx=a.onnx, torch=a.torch, sb3=a.sb3, web=a.web, trust=_trust(a))


def push(a: argparse.Namespace) -> Result:
    return _call("runs.sharing.hub.push", a.run, a.target, private=a.private or None)


def pull(a: argparse.Namespace) -> Result:
    return _call("runs.sharing.hub.pull", a.source, out=a.out, env=a.env)


def sync(a: argparse.Namespace) -> Result:
    return _call("runs.sharing.sync.sync", a.run, track=a.track)


def report(a: argparse.Namespace) -> Result:
    return _call("runs.reporting.report.report", a.dir, track=a.track, quiet=a.quiet)


def record(a: argparse.Namespace) -> Result:
    say = (lambda line: None) if a.quiet else None
    options = {"seeds": a.seeds, "jobs": a.jobs, "on": a.on, "say": say, "trust": _trust(a)}
    names = _recipes(a.recipe)
    found = {"results": [r for name in names for r in _call("runs.recording.record.record", name, **options)]}
    return found | (_call("runs.recording.suite_page.write", a.recipe, names) if _is_suite(a.recipe) else {})


def bench(a: argparse.Namespace) -> Result:
    return _call("runs.bench.bench.bench", a.names or None, quiet=a.quiet)


def profile(a: argparse.Namespace) -> Result:
    _check_recipe(a.recipe)
    options = {"agent": a.agent, "steps": a.steps, "seed": a.seed, "num_envs": a.num_envs, "settings": a.set or None}
    return _call("runs.bench.profiling.profile", a.recipe, **options, out=a.out, device=a.device, trust=_trust(a))


def inspect(a: argparse.Namespace) -> Result:
    _check_recipe(a.recipe)
    return _call("runs.cli.network.inspect", a.recipe, agent=a.agent, settings=a.set or None, trust=_trust(a))


def solve(a: argparse.Namespace) -> Result:
    return _call("runs.cli.solve.solve", a.game, a.moves)


def new(a: argparse.Namespace) -> Result:
    return _call("runs.cli.starting_files.new", a.kind, a.name)


def completion(a: argparse.Namespace) -> Result:
    return {"script": _call("runs.cli.completion.script", a.shell)}


def list_names(a: argparse.Namespace) -> Result:
    return _call("runs.cli.listing.listing", a.what, trust=_trust(a))


def doctor(a: argparse.Namespace) -> Result:
    return _call("runs.cli.doctor.doctor")
