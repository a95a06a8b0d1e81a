"""The arguments of every verb."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rl.errors import InputError, unknown
from runs.cli import verbs
from runs.cli.show import (
    show_completion,
    show_doctor,
    show_export,
    show_games,
    show_grading,
    show_grading_csv,
    show_league,
    show_list,
    show_new,
    show_page,
    show_profile,
    show_pulled,
    show_pushed,
    show_records,
    show_scores,
    show_solution,
    show_synced,
    show_training,
)
from runs.folder.places import STUDIES


def parse(words: list[str]) -> argparse.Namespace:
    parser, parsers = build_parser()
    words = [_study(word) for word in words]
    if words and not words[0].startswith("-") and words[0] not in parsers:
        raise unknown("command", words[0], parsers, all_by="rl --help")
    args, extra = parser.parse_known_args(words)
    if "call" not in args:
        if extra:
            raise _unexpected(extra[0], parser)
        parser.print_help()
        raise SystemExit(0)
    if extra:
        raise _unexpected(extra[0], parsers[args.verb])
    return args


def _study(word: str) -> str:
    """`@NAME` or `@runs/studies/NAME.args` of a study that comes with the suite, as a path that exists anywhere."""
    if not word.startswith("@") or Path(word[1:]).exists():
        return word
    name = Path(word[1:]).name.removesuffix(".args")
    found = [path for path in STUDIES.rglob("*.args") if path.stem == name]
    return f"@{found[0]}" if found and word[1:] in (name, f"runs/studies/{name}.args") else word


_ELSEWHERE = {
    "tensorboard": "--track tensorboard",
    "tensorboard-log": "--track tensorboard",
    "wandb": "--track online",
    "timesteps": "--steps",
    "total-timesteps": "--steps",
    "n-timesteps": "--steps",
    "n-envs": "--num-envs",
    "log-dir": "--out",
    "log-folder": "--out",
    "output": "--out",
    "render": "--watch",
    "algo": "--agent",
    "lr": "--set lr=1e-3",
    "learning-rate": "--set lr=1e-3",
    "gamma": "--set gamma=0.99",
    "batch-size": "--set batch_size=64",
    "n-eval-episodes": "--set eval_episodes=20",
    "eval-freq": "--set eval_every=10000",
    "save-freq": "--set save_every=10000",
}
"""Option names of other libraries -> ours."""


def _unexpected(word: str, parser: argparse.ArgumentParser) -> InputError:
    options = sorted(option for action in parser._actions for option in action.option_strings if option[:2] == "--")
    if "=" in word and not word.startswith("-") and "--set" in options:
        return InputError(f"unexpected argument {word!r}: every field has its own --set, as in --set {word}")
    if not word.startswith("-"):
        one = " (one recipe or environment, the agent after --agent)" if "--agent" in options else ""
        return InputError(f"unexpected argument {word!r}{one}; see {parser.prog} --help")
    option = word.partition("=")[0]
    if option == "--until" and parser.prog.split()[-1] in ("record", "compare", "tune", "bench"):
        return InputError("--until: a recorded or compared result has a fixed budget; only `rl train` ends early")
    if option.startswith("--env") and option not in options and "--agent" in options:
        return InputError(f"unknown option {option}: the environment's id stands alone, {parser.prog} CartPole-v1")
    if option in options or option in ("-q", "-v"):
        return InputError(f"{option} comes after the verb: {parser.prog} ... {option}")
    if (ours := _ELSEWHERE.get(option.lstrip("-").replace("_", "-"))) and ours.split()[0] in options:
        return InputError(f"unknown option {option}: here it is {ours}")
    near = difflib.get_close_matches(option, options, n=1, cutoff=0.6)
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


def _finite(text: str) -> float:
    """A finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a finite number, got {text!r}")
    return number


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(str(unknown("value", text, names)))
        return text

    return read


Verb = Callable[..., argparse.ArgumentParser]


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command line, and the parser of each verb."""
    import rl

    parser = _Parser(
        prog="rl",
        description="Train game-playing agents, watch them think, and compare them with Stable-Baselines3.",
        epilog="RECIPE is a recipe's name, a .py file, a run.json or an environment id (CartPole-v1, ALE/Pong-v5, "
        "module:Id). RUN is a run folder or one of its checkpoints. `rl list` shows what there is; `rl VERB --help` "
        "the options. @FILE stands for the words in a file, @NAME for those of a study that comes with the suite.",
    )
    parser.add_argument("--version", action="version", version=f"rl {rl.__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    parsers: dict[str, argparse.ArgumentParser] = {}

    def verb(
        name: str, call: Callable[[argparse.Namespace], verbs.Result], help: str, show: Any = None
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(call=call, show=show or (lambda result: None))
        noise = sub.add_mutually_exclusive_group()
        noise.add_argument("-q", "--quiet", action="store_true", help="no progress, only the result")
        noise.add_argument("-v", "--verbose", action="store_true", help="more detail, and tracebacks")
        parsers[name] = sub
        return sub

    _add_training(verb)
    _add_watching(verb)
    _add_comparing(verb)
    _add_ranking(verb)
    _add_measuring(verb)
    _add_sharing(verb)
    _add_looking_up(verb)
    return parser, parsers


def _add_training(verb: Verb) -> None:
    """train, resume, evaluate."""
    count, seed = _whole(1), _whole(0)
    p = verb("train", verbs.train, "train an agent", show_training)
    p.add_argument("recipe", metavar="RECIPE", help="a recipe or an environment; or a suite, with --agent")
    p.add_argument("--agent", metavar="NAME", help="another agent than the recipe's: a name or module:Class")
    p.add_argument(
        "--steps",
        type=count,
        metavar="N",
        help="environment steps to train for; schedules as long as the recipe's own budget are stretched to it",
    )
    p.add_argument("--seed", type=seed, metavar="S", help="0 unless given")
    p.add_argument("--seeds", type=count, metavar="K", help="seeds 0 to K-1 in one folder, with one page")
    p.add_argument("--jobs", type=count, metavar="N", help="trainings at once, with --seeds")
    p.add_argument("--on", type=_one_of("ray"), metavar="ray", help="send each training to a Ray cluster, with --seeds")
    p.add_argument("--num-envs", type=count, metavar="N", help="parallel environments")
    _add_set(p)
    p.add_argument("--out", metavar="DIR", help="the run folder (default runs/out/<env>_<agent>_s<seed>_<time>)")
    _add_track(p)
    _add_device(p)
    p.add_argument("--watch", action="store_true", help="open a viewer beside the training")
    p.add_argument(
        "--until", type=_finite, metavar="RETURN", help="end when an evaluation's mean return reaches this number"
    )
    p.add_argument(
        "--ranks", type=count, metavar="N", help="train by N processes, each with a part of the environments (ppo, ...)"
    )
    _add_trust(p)
    _add_json(p)

    p = verb("resume", verbs.resume, "continue a stopped training exactly where it was", show_training)
    p.add_argument("run", metavar="RUN")
    p.add_argument("--steps", type=count, metavar="N", help="the new total (default: the one it was started with)")
    p.add_argument("--ranks", type=count, metavar="N", help="as in its training, whose number is the default")
    _add_track(p)
    _add_device(p)
    _add_trust(p)
    _add_json(p)

    p = verb("evaluate", verbs.evaluate, "play whole games with a trained agent and report the scores", show_scores)
    p.add_argument("runs", metavar="RUN", nargs="+")
    p.add_argument("--episodes", type=count, metavar="N", help="games to play (default: the recipe's)")
    p.add_argument("--seed", type=seed, metavar="S", help="seed of the games (default: the run's)")
    _add_policy(p)
    _add_device(p)
    _add_trust(p)
    _add_json(p)


def _add_watching(verb: Verb) -> None:
    """watch, play."""
    count, seed = _whole(1), _whole(0)
    p = verb("watch", verbs.watch, "see a trained agent play, and what it thinks", show_games)
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

    p = verb("play", verbs.play, "play a game yourself, alone or against an agent")
    p.add_argument("env", metavar="ENV")
    p.add_argument(
        "--vs",
        metavar="RUN",
        help="split screen against this agent, the same seed for both; on a board game your opponent: a run, random, "
        "minimax:4, mcts:200 or solver",
    )
    p.add_argument("--text", action="store_true", help="a board game in the terminal")
    p.add_argument("--record", metavar="DIR", help="keep your games: as rows that the replay can load, or as records")
    p.add_argument("--replay", metavar="FILE", help="show the record of a board game, move by move")
    p.add_argument(
        "--side",
        type=_one_of("first", "second"),
        metavar="first|second",
        help="who you are in a board game; --text asks if it is left out",
    )
    p.add_argument("--seed", type=seed, metavar="S")
    _add_trust(p)


def _add_comparing(verb: Verb) -> None:
    """compare, tune."""
    count = _whole(1)
    p = verb("compare", verbs.compare, "train several contenders and say which is better, with error bars")
    p.add_argument("recipe", metavar="RECIPE|SUITE", nargs="?", help="a recipe, an environment or a suite")
    p.add_argument(
        "--agents",
        action="append",
        metavar="A,B,...",
        required=True,
        help="[label=][sb3|zoo|run]:name[@preset][:field=value]..., comma-separated; a bare name takes the recipe of "
        "agent and environment if there is one, name@default the agent's defaults, as `rl train ENV --agent NAME` does",
    )
    p.add_argument(
        "--tasks",
        action="append",
        metavar="A,B|SUITE",
        help="environments, recipes or a suite (classic, arcade, box2d_continuous, mujoco, atari5, atari26, atari57), "
        "each with @STEPS for its own budget",
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

    p = verb("tune", verbs.tune, "search an agent's fields, and test what was found on fresh seeds")
    p.add_argument("recipe", metavar="RECIPE|SUITE")
    p.add_argument(
        "--minutes", type=_finite, metavar="M", help="of search, on each of --jobs cores; the re-test comes after"
    )
    p.add_argument("--trials", type=count, metavar="N", help="end the search at so many trials")
    p.add_argument("--seeds", type=count, metavar="K", help="of the re-test: seeds 0 to K-1 (default: 10)")
    p.add_argument("--jobs", type=count, metavar="N", help="trainings at once")
    p.add_argument("--agent", metavar="NAME", help="another agent than the recipe's: a name or module:Class")
    p.add_argument("--steps", type=count, metavar="N", help="environment steps of each training")
    _add_set(p)
    p.add_argument("--on", type=_one_of("ray"), metavar="ray", help="send each training to a Ray cluster")
    p.add_argument("--out", metavar="DIR", help="the search's folder; an interrupted one continues")
    _add_trust(p)
    _add_json(p)


def _add_ranking(verb: Verb) -> None:
    """grade, league, report."""
    count, seed = _whole(1), _whole(0)
    p = verb("grade", verbs.grade, "play the same games with many run folders, safely, and rank them", show_grading)
    p.add_argument("folders", metavar="FOLDER", nargs="+", help="a run folder, or a folder of submissions")
    p.add_argument(
        "--recipe",
        metavar="R",
        required=True,
        help="a recipe, whose environment, agent and budget all must have; or an environment's id for every agent",
    )
    p.add_argument("--games", type=count, metavar="N", help="games of each run (default: 20)")
    p.add_argument("--seed", type=seed, metavar="S", help="of the games, which are the same for all (default: 0)")
    p.add_argument("--jobs", type=count, metavar="N", help="runs at once (default: one a core)")
    p.add_argument("--seconds", type=count, metavar="N", help="processor time of one run (default: 120)")
    p.add_argument("--out", metavar="DIR", help="the folder of the page (default runs/out/grade_R); it goes on there")
    _add_trust(p)
    how = p.add_mutually_exclusive_group()
    _add_json(how)
    how.add_argument(
        "--csv", dest="show", action="store_const", const=show_grading_csv, help="the table as CSV on standard output"
    )

    p = verb("league", verbs.league, "rate board-game agents: all checkpoints and known players meet", show_league)
    p.add_argument("runs", metavar="RUN", nargs="+", help="a run, a checkpoint, or a game for the known players alone")
    p.add_argument("--games", type=count, metavar="N", help="games of each pair, an even number (default: 40)")
    p.add_argument("--players", metavar="A,B,...", help="the known players, such as minimax:4,mcts:200 (default: all)")
    p.add_argument("--out", metavar="DIR", help="the folder of the page (default runs/out/league_<game>_<time>)")
    p.add_argument("--seed", type=seed, metavar="S", help="of the openings and players (default: 0)")
    _add_trust(p)
    _add_json(p)

    p = verb("report", verbs.report, "write the page of a comparison or a run")
    p.add_argument("dir", metavar="DIR")
    _add_track(p)
    _add_json(p)


def _add_measuring(verb: Verb) -> None:
    """record, bench, profile."""
    count, seed = _whole(1), _whole(0)
    p = verb("record", verbs.record, "train every seed that has no result yet and write runs/results/", show_records)
    p.add_argument("recipe", metavar="RECIPE|SUITE")
    p.add_argument("--seeds", type=count, metavar="K", help="seeds 0 to K-1")
    p.add_argument("--jobs", type=count, metavar="N", help="trainings at once")
    p.add_argument("--on", type=_one_of("ray"), metavar="ray", help="train each seed on a Ray cluster")
    _add_trust(p)

    p = verb("bench", verbs.bench, "measure speed and memory beside SB3")
    p.add_argument("names", metavar="NAME", nargs="*")
    _add_json(p)

    p = verb("profile", verbs.profile, "measure where the time of a training goes", show_profile)
    p.add_argument("recipe", metavar="RECIPE")
    p.add_argument("--agent", metavar="NAME")
    p.add_argument("--steps", type=count, metavar="N", help="steps to measure, after the first update (default: 20 s)")
    p.add_argument("--seed", type=seed, metavar="S")
    p.add_argument("--num-envs", type=count, metavar="N")
    _add_set(p)
    p.add_argument("--out", metavar="FILE", help="the page (default: in runs/out)")
    _add_device(p)
    _add_trust(p)
    _add_json(p)


def _add_sharing(verb: Verb) -> None:
    """export, push, pull, sync."""
    p = verb("export", verbs.export, "write a trained policy as a file for other programs", show_export)
    p.add_argument("run", metavar="RUN")
    form = p.add_mutually_exclusive_group(required=True)
    form.add_argument("--onnx", metavar="FILE", help="an ONNX file, checked on 1,000 observations of the run's games")
    form.add_argument("--torch", metavar="FILE", help="a program that torch.export.load reads, checked likewise")
    form.add_argument("--sb3", metavar="FILE", help="a Stable-Baselines3 model with these weights, checked likewise")
    form.add_argument("--web", metavar="FILE", help="one HTML page that plays the agent, offline")
    _add_trust(p)
    _add_json(p)

    p = verb("push", verbs.push, "share a run: as a zip file, or on the Hugging Face hub", show_pushed)
    p.add_argument("run", metavar="RUN")
    p.add_argument("target", metavar="REPO", help="you/name on the hub (extra hub), or FILE.zip without an account")
    p.add_argument("--private", action="store_true", help="a new repository that only you can see")
    _add_json(p)

    p = verb("pull", verbs.pull, "make a run folder of a shared run; nothing in it is executed", show_pulled)
    p.add_argument("source", metavar="REPO", help="owner/name on the hub, a zip file or a folder")
    p.add_argument("--out", metavar="DIR", help="the run folder (default: runs/out/NAME)")
    p.add_argument("--env", metavar="ID", help="of a model file that Stable-Baselines3 saved, which is taken in too")
    _add_json(p)

    p = verb("sync", verbs.sync, "write a finished run to TensorBoard or Weights & Biases", show_synced)
    p.add_argument("run", metavar="RUN")
    _add_track(p)
    _add_json(p)


def _add_looking_up(verb: Verb) -> None:
    """explain, inspect, solve, new, completion, list, doctor."""
    p = verb("explain", verbs.explain, "write a page on why a run learns: gradients, loss surface, saliency", show_page)
    p.add_argument("run", metavar="RUN")
    p.add_argument("other", metavar="RUN2", nargs="?", help="a second run beside it, on the same batch")
    p.add_argument("--out", metavar="FILE", help="the page (default: RUN/explain.html)")
    _add_trust(p)
    _add_json(p)

    p = verb("inspect", verbs.inspect, "show the network, layer by layer", lambda result: print(result["table"]))
    p.add_argument("recipe", metavar="RECIPE")
    p.add_argument("--agent", metavar="NAME")
    _add_set(p)
    _add_trust(p)
    _add_json(p)

    p = verb("solve", verbs.solve, "score every move of a board game's position by perfect play", show_solution)
    p.add_argument("game", metavar="GAME", help="ConnectFour")
    p.add_argument("moves", metavar="MOVES", nargs="?", default="", help="columns 1 to 7, such as 4444 (default: none)")
    _add_json(p)

    p = verb("new", verbs.new, "write a working file to start from, and its test", show_new)
    p.add_argument("kind", type=_one_of("agent", "env", "recipe"), metavar="agent|env|recipe")
    p.add_argument("name", metavar="NAME", help="of the module: NAME.py and test_NAME.py in this folder")
    _add_json(p)

    p = verb("completion", verbs.completion, "print a shell's completion of this command", show_completion)
    p.add_argument("shell", type=_one_of("bash", "zsh"), metavar="bash|zsh")

    p = verb("list", verbs.list_names, "list recipes, agents, environments and suites, or the fields of one", show_list)
    p.add_argument(
        "what",
        nargs="?",
        metavar="recipes|agents|envs|suites|AGENT|RECIPE",
        help="of an agent or a recipe every field that --set can change, its value and its meaning",
    )
    _add_trust(p)
    _add_json(p)

    p = verb("doctor", verbs.doctor, "check the installation", show_doctor)
    _add_json(p)


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

    def read(text: str) -> str:
        for word in text.split(","):
            _one_of(*modes, "tensorboard")(word)
        return text

    metavar = "|".join((*modes, "tensorboard"))
    p.add_argument("--track", type=read, metavar=metavar, help="Weights & Biases, TensorBoard, or offline,tensorboard")


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


def _add_json(p: argparse._ActionsContainer) -> None:
    p.add_argument("--json", action="store_true", help="one JSON object on standard output, all else on standard error")
