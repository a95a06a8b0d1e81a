"""The command line `rl`: reads the arguments, calls the verb's function, turns its errors into one line and a status.

Nothing heavy is imported before a verb runs, so that `rl --help` and argument errors answer at once. Exit status: 0
done, 1 failed after the start, 2 bad input, 3 a non-finite number, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; a closed
pipe ends quietly with 0.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import importlib
import json
import os
import re
import shlex
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from rl.errors import InputError, NonFiniteError, RunError, unknown
from runs.signals import ending_signals

Result = dict[str, Any] | None


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, raised as Ctrl-C raises KeyboardInterrupt. A training notes them itself, and saves first."""

    def __init__(self, message: str = "", status: int = 128 + signal.SIGTERM) -> None:
        super().__init__(message)
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    # How long PyTorch's threads (GNU OpenMP's) spin for each other. Their own default spins while another program has
    # the core: on two busy cores Pong trained at 41 steps/s instead of 5, on idle ones no slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    words = sys.argv[1:] if argv is None else list(argv)
    verbose = False
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a console that lacks a sign still runs
    try:
        with _ending():
            args = _parse(words)
            verbose = args.verbose
            _run(args)
            sys.stdout.flush()
        return 0
    except SystemExit as end:  # --help, --version
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt as stop:
        status = getattr(stop, "status", 130)
        _complain(str(stop) or ("interrupted" if status == 130 else "terminated"))
        return status
    except Exception as error:
        if _is_closed_pipe(error):
            _drop_stdout()
            return 0
        if verbose:
            traceback.print_exc()
        status, message = _verdict(error)
        _complain(message)
        return status


def _verdict(error: Exception) -> tuple[int, str]:
    """Exit status and the one line for what a command raised."""
    match error:
        case InputError():
            return 2, str(error)
        case NonFiniteError():
            return 3, str(error)
        case RunError():
            return 1, str(error)
        case ModuleNotFoundError():
            return 2, f"the package {error.name!r} is not installed: pip install it, then run `rl doctor`"
        case MemoryError():
            return 1, "out of memory: lower --num-envs, agent.batch_size or agent.buffer_size"
        case OSError():
            return 1, str(error)
        case _:
            return 1, f"{type(error).__name__}: {error} (--verbose shows where)"


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):
        print("rl:", " ".join(message.split()), file=sys.stderr, flush=True)


def _is_closed_pipe(error: Exception) -> bool:
    """On Windows a pipe whose reader has gone refuses a write as it refuses nonsense: EINVAL, of no file."""
    if isinstance(error, BrokenPipeError):
        return True
    return os.name == "nt" and isinstance(error, OSError) and (error.errno, error.filename) == (errno.EINVAL, None)


def _drop_stdout() -> None:
    """The reader has gone: what is still buffered goes nowhere, so that the interpreter's last flush is quiet."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Terminated` in the main thread, as SIGINT raises KeyboardInterrupt."""

    def stop(signum: int, frame: Any) -> NoReturn:
        raise Terminated(status=128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, stop) for s in ending_signals()}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def _run(args: argparse.Namespace) -> None:
    if not getattr(args, "json", False):
        result = args.call(args)
        if result is not None:
            args.show(result)
        return
    stopped = None
    with _stdout_to_stderr():
        try:
            result = args.call(args)
        except KeyboardInterrupt as stop:
            if not hasattr(stop, "finished"):
                raise
            stopped, result = stop, stop.finished  # hours of benchmarks are not lost to the last one
        from rl.storage import plain

        text = json.dumps(plain({"schema": 1, **(result or {})}), allow_nan=False)
    print(text)
    if stopped is not None:
        raise stopped


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Whatever is printed meanwhile, by any library or child process, goes to standard error."""
    sys.stdout.flush()
    try:
        saved = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # no such descriptors: a graphical interpreter
        saved = -1
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if saved >= 0:
            os.dup2(saved, 1)
            os.close(saved)


def _parse(words: list[str]) -> argparse.Namespace:
    parser, verbs = build_parser()
    if words and not words[0].startswith("-") and words[0] not in verbs:
        raise unknown("command", words[0], verbs)
    args, extra = parser.parse_known_args(words)
    if "call" not in args:
        if extra:
            raise _unexpected(extra[0], parser)
        parser.print_help()
        raise SystemExit(0)
    if extra:
        raise _unexpected(extra[0], verbs[args.verb])
    return args


def _unexpected(word: str, parser: argparse.ArgumentParser) -> InputError:
    options = sorted(option for action in parser._actions for option in action.option_strings if option[:2] == "--")
    if not word.startswith("-"):
        one = " (one recipe or environment, the agent after --agent)" if "--agent" in options else ""
        return InputError(f"unexpected argument {word!r}{one}; see {parser.prog} --help")
    option = word.partition("=")[0]
    if option.startswith("--env") and option not in options and "--agent" in options:
        return InputError(f"unknown option {option}: the environment's id stands alone, {parser.prog} CartPole-v1")
    if option in options or option in ("-q", "-v"):
        return InputError(f"{option} comes after the verb: {parser.prog} ... {option}")
    near = difflib.get_close_matches(option, options, n=1, cutoff=0.5)
    mend = f"did you mean {near[0]}?" if near else f"known: {', '.join(options)}"
    return InputError(f"unknown option {option}: {mend}")


def split_line(line: str, escape: str = "" if os.name == "nt" else "\\") -> list[str]:
    """The words of a line as a shell reads it; on Windows a backslash is a part of a path."""
    words = shlex.shlex(line, posix=True, punctuation_chars=False)
    words.whitespace_split, words.escape = True, escape
    return list(words)


class _Parser(argparse.ArgumentParser):
    """Raises `InputError` where argparse would print the usage and exit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, fromfile_prefix_chars="@", **kwargs)

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        """The words of one line of an `@FILE`, as a shell reads them: quotes hold together, `#` begins a comment."""
        return split_line(arg_line)

    def error(self, message: str) -> NoReturn:
        if isinstance(cause := sys.exception(), OSError):  # of an @FILE
            raise InputError(f"@{cause.filename} cannot be read: {cause.strerror}")
        message = message.removeprefix("argument ").replace("the following arguments are required: ", "missing: ")
        see = "" if "did you mean" in message else f"; see {self.prog} --help"
        verb = self.prog.removeprefix("rl").lstrip()
        raise InputError(f"{verb}: {message}{see}" if verb else f"{message}{see}")


def _whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` on: `50000`, `50_000`, `5e4`."""

    def read(text: str) -> int:
        try:
            number = float(text)
            if not number.is_integer():
                raise ValueError
        except (ValueError, OverflowError):
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
        exact = int(text) if text.lstrip("+-").replace("_", "").isdigit() else int(number)
        if exact < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return exact

    return read


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(str(unknown("value", text, names)))
        return text

    return read


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command line, and the parser of each verb."""
    import rl

    parser = _Parser(
        prog="rl",
        description="Train game-playing agents, watch them think, and compare them with Stable-Baselines3.",
        epilog="RECIPE is a recipe's name, a .py file, a run.json or an environment id (CartPole-v1, ALE/Pong-v5, "
        "module:Id). RUN is a run folder or one of its checkpoints. `rl list` shows what there is; `rl VERB --help` "
        "the options. @FILE stands for the words in a file.",
    )
    parser.add_argument("--version", action="version", version=f"rl {rl.__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    verbs: dict[str, argparse.ArgumentParser] = {}

    def verb(name: str, call: Callable[[argparse.Namespace], Result], help: str, show: Any = None) -> Any:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(call=call, show=show or (lambda result: None))
        noise = sub.add_mutually_exclusive_group()
        noise.add_argument("-q", "--quiet", action="store_true", help="no progress, only the result")
        noise.add_argument("-v", "--verbose", action="store_true", help="more detail, and tracebacks")
        verbs[name] = sub
        return sub

    count, seed = _whole(1), _whole(0)

    p = verb("train", _train, "train an agent", _show_training)
    p.add_argument("recipe", metavar="RECIPE")
    p.add_argument("--agent", metavar="NAME", help="another agent than the recipe's: a name or module:Class")
    p.add_argument(
        "--steps",
        type=count,
        metavar="N",
        help="environment steps to train for; schedules as long as the recipe's own budget are stretched to it",
    )
    p.add_argument("--seed", type=seed, metavar="S", help="0 unless given")
    p.add_argument("--num-envs", type=count, metavar="N", help="parallel environments")
    _add_set(p)
    p.add_argument("--out", metavar="DIR", help="the run folder (default runs/out/<env>_<agent>_s<seed>_<time>)")
    _add_track(p)
    _add_device(p)
    p.add_argument("--watch", action="store_true", help="open a viewer beside the training")
    _add_trust(p)
    _add_json(p)

    p = verb("resume", _resume, "continue a stopped training exactly where it was", _show_training)
    p.add_argument("run", metavar="RUN")
    p.add_argument("--steps", type=count, metavar="N", help="the new total (default: the one it was started with)")
    _add_track(p)
    _add_device(p)
    _add_trust(p)
    _add_json(p)

    p = verb("evaluate", _evaluate, "play whole games with a trained agent and report the scores", _show_scores)
    p.add_argument("run", metavar="RUN")
    p.add_argument("--episodes", type=count, metavar="N", help="games to play (default: the recipe's)")
    p.add_argument("--seed", type=seed, metavar="S", help="seed of the games (default: the run's)")
    _add_policy(p)
    _add_device(p)
    _add_trust(p)
    _add_json(p)

    p = verb("watch", _watch, "see a trained agent play, and what it thinks", _show_games)
    p.add_argument("run", metavar="RUN")
    p.add_argument("--video", metavar="FILE", help="write .webm, .mp4 or .gif instead of opening a window")
    p.add_argument("--episodes", type=count, metavar="N")
    p.add_argument("--grid", type=count, metavar="N", help="N games at once")
    p.add_argument("--seed", type=seed, metavar="S", help="seed of the games (default: the run's)")
    p.add_argument(
        "--follow", action="store_true", help="attach to a training that is running: always its newest checkpoint"
    )
    _add_policy(p)
    _add_trust(p)

    p = verb("play", _play, "play a game yourself, alone or against an agent")
    p.add_argument("env", metavar="ENV")
    p.add_argument("--vs", metavar="RUN", help="split screen against this agent, the same seed for both")
    p.add_argument("--record", metavar="DIR", help="keep your games as rows that the replay can load")
    p.add_argument("--seed", type=seed, metavar="S")
    _add_trust(p)

    p = verb("compare", _compare, "train several contenders and say which is better, with error bars")
    p.add_argument("recipe", metavar="RECIPE", nargs="?")
    p.add_argument(
        "--agents",
        action="append",
        metavar="A,B,...",
        required=True,
        help="[label=][sb3|zoo|run]:name[@preset][:field=value]..., comma-separated",
    )
    p.add_argument(
        "--tasks",
        action="append",
        metavar="A,B|SUITE",
        help="environments, recipes or a suite (classic, arcade, atari5, atari26), each with @STEPS for its own budget",
    )
    p.add_argument("--steps", type=count, metavar="N")
    p.add_argument("--seeds", type=count, metavar="K", help="seeds 0 to K-1")
    p.add_argument("--jobs", type=count, metavar="N", help="trainings at once")
    p.add_argument("--on", type=_one_of("ray"), metavar="ray", help="send each training to a Ray cluster")
    p.add_argument(
        "--match-parameters", action="store_true", help="make our networks as large as the first one's, by their widths"
    )
    p.add_argument("--evaluations", type=count, metavar="N", help="points of a curve (20, on Atari 10)")
    p.add_argument("--title", help="of the page")
    p.add_argument("--out", metavar="DIR", help="the comparison's folder; an interrupted one continues")
    _add_trust(p)
    _add_json(p)

    p = verb("report", _report, "write the page of a comparison or a run")
    p.add_argument("dir", metavar="DIR")
    _add_track(p)

    p = verb("record", _record, "train every seed that has no result yet and write runs/results/", _show_records)
    p.add_argument("recipe", metavar="RECIPE")
    p.add_argument("--seeds", type=count, metavar="K", help="seeds 0 to K-1")
    p.add_argument("--jobs", type=count, metavar="N", help="trainings at once")
    _add_trust(p)

    p = verb("bench", _bench, "measure speed and memory beside SB3")
    p.add_argument("names", metavar="NAME", nargs="*")
    _add_json(p)

    p = verb("inspect", _inspect, "show the network, layer by layer", lambda result: print(result["table"]))
    p.add_argument("recipe", metavar="RECIPE")
    p.add_argument("--agent", metavar="NAME")
    _add_set(p)
    _add_trust(p)
    _add_json(p)

    p = verb("list", _list, "list recipes, agents and environments, or the fields of one", _show_list)
    p.add_argument(
        "what",
        nargs="?",
        metavar="recipes|agents|envs|AGENT|RECIPE",
        help="of an agent or a recipe every field that --set can change, its value and its meaning",
    )
    _add_json(p)

    p = verb("doctor", _doctor, "check the installation", _show_doctor)
    _add_json(p)
    return parser, verbs


def _add_set(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="any field of run, agent or environment: agent.lr=3e-4, hidden=256x256, epsilon=1.0:0.05:20000; "
        "`rl list RECIPE` explains them",
    )


def _add_track(p: argparse.ArgumentParser) -> None:
    modes = ("auto", "online", "offline", "off")
    p.add_argument("--track", type=_one_of(*modes), metavar="|".join(modes), help="Weights & Biases")


def _add_policy(p: argparse.ArgumentParser) -> None:
    how = p.add_mutually_exclusive_group()
    how.add_argument(
        "--sample",
        action="store_true",
        default=None,
        help="draw actions; value learners: the final epsilon of training",
    )
    how.add_argument(
        "--greedy", action="store_false", dest="sample", help="take the best action where the recipe draws"
    )


def _add_device(p: argparse.ArgumentParser) -> None:
    devices = ("auto", "cpu", "cuda")
    p.add_argument("--device", type=_one_of(*devices), metavar="|".join(devices))


def _add_trust(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--trust",
        action="store_true",
        help="import and run the code (module:Name) that a run.json or a run folder names, though another wrote it",
    )


def _trust(a: argparse.Namespace) -> Any:
    """Whether names from files may be imported: as `--trust` says, else the person is asked on the terminal."""
    from runs.trust import ask

    return True if a.trust else ask


def _add_json(p: argparse.ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="one JSON object on standard output, all else on standard error")


def _call(where: str, *args: Any, **options: Any) -> Any:
    """Calls `module.function`, imported now, with the options that were given; the others keep their defaults."""
    module, _, function = where.rpartition(".")
    try:
        implementation = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"{module} is not part of this version") from error
    return implementation(*args, **{name: value for name, value in options.items() if value is not None})


def _check_recipe(word: str | None) -> None:
    """Says that a recipe is misspelt before anything heavy is imported; the ids of environments look different."""
    if word is None or not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", word) or os.path.isdir(word):
        return
    from runs.listing import recipe_names

    if word not in recipe_names():
        raise unknown("recipe", word, recipe_names())


def _train(a: argparse.Namespace) -> Result:
    _check_recipe(a.recipe)
    return _call(
        "runs.train.train",
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
        trust=_trust(a),
    )


def _resume(a: argparse.Namespace) -> Result:
    return _call(
        "runs.train.resume",
        a.run,
        steps=a.steps,
        track=a.track or "auto",
        device=a.device,
        quiet=a.quiet,
        trust=_trust(a),
    )


def _evaluate(a: argparse.Namespace) -> Result:
    return _call(
        "runs.evaluate.evaluate",
        a.run,
        episodes=a.episodes,
        seed=a.seed,
        sample=a.sample,
        device=a.device,
        trust=_trust(a),
    )


def _watch(a: argparse.Namespace) -> Result:
    if a.video:  # drawn without a display: SDL need not look for one, and complain
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    return _call(
        "runs.watch.watch",
        a.run,
        video=a.video,
        episodes=a.episodes,
        grid=a.grid,
        seed=a.seed,
        sample=a.sample,
        follow=a.follow or None,
        trust=_trust(a),
    )


def _play(a: argparse.Namespace) -> Result:
    return _call("runs.play.play", a.env, vs=a.vs, record=a.record, seed=a.seed, trust=_trust(a))


def _compare(a: argparse.Namespace) -> Result:
    if a.recipe is None and a.tasks is None:
        raise InputError("compare: name a RECIPE or --tasks; see rl compare --help")
    _check_recipe(a.recipe)
    return _call(
        "runs.compare.compare",
        a.recipe,
        ",".join(a.agents),
        tasks=",".join(a.tasks) if a.tasks else None,
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


def _report(a: argparse.Namespace) -> Result:
    return _call("runs.report.report", a.dir, track=a.track, quiet=a.quiet)


def _record(a: argparse.Namespace) -> Result:
    _check_recipe(a.recipe)
    say = (lambda line: None) if a.quiet else None
    return {"results": _call("runs.record.record", a.recipe, seeds=a.seeds, jobs=a.jobs, say=say, trust=_trust(a))}


def _bench(a: argparse.Namespace) -> Result:
    return _call("runs.bench.bench", a.names or None, quiet=a.quiet)


def _inspect(a: argparse.Namespace) -> Result:
    _check_recipe(a.recipe)
    return _call("runs.inspect.inspect", a.recipe, agent=a.agent, settings=a.set or None, trust=_trust(a))


def _list(a: argparse.Namespace) -> Result:
    return _call("runs.listing.listing", a.what)


def _doctor(a: argparse.Namespace) -> Result:
    return _call("runs.doctor.doctor")


def _show_scores(r: dict[str, Any]) -> None:
    name = f"{r['env']} {r['agent']} step {r['step']:,}"
    print(f"{name}: mean {r['mean']:.1f} +- {r['std']:.1f}, IQM {r['iqm']:.1f}, {r['episodes']} games")


def _show_games(r: dict[str, Any]) -> None:
    if r.get("returns"):
        print(f"returns: {', '.join(f'{value:g}' for value in r['returns'])}")
    if r.get("video"):
        print(f"video: {r['video']}")


def _show_training(r: dict[str, Any]) -> None:
    if r.get("mean") is not None:
        _show_scores(r)
    print(f"{r['steps']:,} steps in {r['seconds']:.0f} s, {r['steps_per_second']:,.0f} steps/s")
    print(f"run: {r['run']}")


def _show_list(r: dict[str, Any]) -> None:
    for i, (kind, entries) in enumerate(r.items()):
        if len(r) > 1:
            print(f"{chr(10) if i else ''}{kind}")
        if kind == "envs":
            _show_families(entries)
            continue
        if kind == "fields":
            _show_fields(entries)
            continue
        width = max((len(name) for name in entries), default=0)
        for name, words in entries.items():
            print(f"  {name:{width}}  {words}".rstrip())


def _show_families(envs: dict[str, str]) -> None:
    for family in dict.fromkeys(envs.values()):
        print(f"  {family}")
        names = "  ".join(name for name, of in envs.items() if of == family)
        print(textwrap.fill(names, 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False))


def _show_fields(fields: dict[str, dict[str, str]]) -> None:
    usual = (f"{name}={field['value']}" for name, field in fields.items() if len(field["value"]) < 30)
    width = max(map(len, usual), default=0)
    for name, field in fields.items():
        head = f"{name}={field['value']}"
        print(f"  {head:{width}}  {field['meaning']}".rstrip())


def _show_records(r: dict[str, Any]) -> None:
    failed = sum(result["status"] != "ok" for result in r["results"])
    print(f"{len(r['results'])} seeds, {failed} failed; the table is runs/results/README.md")


def _show_doctor(r: dict[str, Any]) -> None:
    from runs.doctor import lines

    for line in lines(r):
        print(line)
