"""The command line's own promises: exit statuses, one line on standard error, one JSON object on standard output."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rl.errors import InputError, NonFiniteError, RunError
from runs.cli import command_line as cli
from runs.cli import parser, verbs
from runs.comparing.suites import SUITES
from runs.folder.processes import ending_signals
from runs.folder.trust import ask
from runs.recipe import recipe_names

ROOT = Path(__file__).resolve().parents[3]


def rl(*words: str, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "runs", *words], capture_output=True, text=True, cwd=cwd, env=env, timeout=120, **options
    )


def verb_that(raises=None, returns=None, prints=()):
    """A stand-in for the body of `rl doctor`: the shell around it is what is under test."""

    def call(args):
        for line in prints:
            print(line)
        if prints:
            os.write(1, b"from a C library\n")
        if raises is not None:
            raise raises
        return returns

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tran"], "unknown command 'tran': did you mean 'train'?"),
        (["xyzzy"], "unknown command 'xyzzy': `rl --help` shows them all"),
        (["--vresion"], "unknown option --vresion: did you mean --version?"),
        (["train"], "train: missing: RECIPE; see rl train --help"),
        (
            ["train", "a", "b"],
            "unexpected argument 'b' (one recipe or environment, the agent after --agent)",
        ),
        (
            ["train", "--env", "CartPole-v1"],
            "unknown option --env: the environment's id stands alone, rl train Cart",
        ),
        (
            ["train", "a", "--set", "b=1", "c=2"],
            "unexpected argument 'c=2': every field has its own --set, as in --set c=2",
        ),
        (["list", "a", "b"], "unexpected argument 'b'; see rl list --help"),
        (["--verbose", "train", "a"], "--verbose comes after the verb: rl train ... --verbose"),
        (["train", "a", "--stepz", "5"], "unknown option --stepz: did you mean --steps?"),
        (["train", "a", "--stepz=5"], "unknown option --stepz: did you mean --steps?"),
        (["train", "a", "--num_envs", "5"], "unknown option --num_envs: did you mean --num-envs?"),
        (["train", "a", "--step", "5"], "unknown option --step: did you mean --steps?"),
        (["train", "a", "--steps"], "train: --steps: expected one argument; see rl train --help"),
        (["train", "a", "--steps", "many"], "train: --steps: expected a whole number, got 'many'"),
        (["train", "a", "--steps", "1.5"], "train: --steps: expected a whole number, got '1.5'"),
        (["train", "a", "--steps", "inf"], "train: --steps: expected a whole number, got 'inf'"),
        (["train", "a", "--steps", "0"], "train: --steps: must be at least 1, got 0"),
        (["train", "a", "--steps", "-5"], "train: --steps: must be at least 1, got -5"),
        (["train", "a", "--seed", "-1"], "train: --seed: must be at least 0, got -1"),
        (["train", "a", "--num-envs", "0"], "train: --num-envs: must be at least 1, got 0"),
        (["train", "a", "--track", "onlin"], "train: --track: unknown value 'onlin': did you mean 'online'?"),
        (["train", "a", "--device", "gpu"], "train: --device: unknown value 'gpu': "),
        (["train", "a", "--quiet", "--verbose"], "not allowed with"),
        (["evaluate", "a", "--episodes", "0"], "evaluate: --episodes: must be at least 1, got 0"),
        (["watch", "a", "--vido", "x.mp4"], "unknown option --vido: did you mean --video?"),
        (["compare", "a"], "compare: missing: --agents"),
        (["compare", "--agents", "dqn"], "compare: name a RECIPE or --tasks"),
        (["compare", "a", "--agents", "dqn", "--on", "slurm"], "unknown value 'slurm': known: ray"),
        (["tune", "clasic", "--trials", "1"], "unknown suite 'clasic': did you mean 'classic'?"),
        (["record", "atari55"], "unknown suite 'atari55': did you mean 'atari5'?"),
        (["compare", "arcad", "--agents", "dqn"], "unknown suite 'arcad': did you mean 'arcade'?"),
        (["train", "box2d_continous"], "unknown recipe 'box2d_continous': did you mean 'box2d_continuous'?"),
        (["list", "envz"], "unknown value 'envz': did you mean 'envs'?"),
        (["list", "classic"], "classic is a suite: list one of its tasks, CartPole-v1, Acrobot-v1"),
        (["list", "CartPole-v9"], "unknown value 'CartPole-v9': did you mean 'CartPole-v1'?"),
        (["list", "os:path"], "agent 'os:path': path is no agent, it has no Config"),
    ],
)
def test_bad_arguments_are_one_line_with_the_mend_and_status_2(words, message, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rl: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "number"), [("50000", 50_000), ("5e4", 50_000), ("50_000", 50_000), ("9" * 18, int("9" * 18))]
)
def test_whole_numbers_are_read_as_people_write_them(text, number):
    args = parser.build_parser()[0].parse_args(["train", "a", "--steps", text])
    assert args.steps == number


@pytest.mark.parametrize(
    ("words", "recipe", "tasks"),
    [
        (["classic"], None, "classic"),
        (["box2d_continuous", "--tasks", "Pendulum-v1"], None, "box2d_continuous,Pendulum-v1"),
        (["cartpole_dqn", "--tasks", "Pendulum-v1"], "cartpole_dqn", "Pendulum-v1"),
        (["cartpole_dqn"], "cartpole_dqn", None),
    ],
)
def test_compare_takes_a_suite_in_the_place_of_a_recipe(words, recipe, tasks, monkeypatch):
    seen: dict = {}
    module = type(sys)("runs.comparing.compare")
    module.compare = lambda recipe, agents, **options: seen.update(recipe=recipe, tasks=options.get("tasks"))
    monkeypatch.setitem(sys.modules, "runs.comparing.compare", module)
    assert cli.main(["compare", *words, "--agents", "dqn"]) == 0
    assert seen == {"recipe": recipe, "tasks": tasks}


def test_help_of_compare_names_every_suite(capsys):
    assert cli.main(["compare", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in SUITES)


def test_options_not_given_leave_the_functions_defaults(monkeypatch):
    seen: dict = {}
    module = type(sys)("runs.training.train")
    module.train = lambda recipe, **options: seen.update(recipe=recipe, **options)
    monkeypatch.setitem(sys.modules, "runs.training.train", module)
    assert cli.main(["train", "cartpole_dqn"]) == 0
    assert seen.pop("trust") is ask, "the command line asks the person, unlike the function"
    assert seen == {"recipe": "cartpole_dqn", "track": "auto", "quiet": False}
    assert (
        cli.main(["train", "x", "--seed", "0", "--set", "lr=1", "--set", "gamma=0.9", "--track", "off", "--watch"]) == 0
    )
    assert seen == {
        "recipe": "x",
        "seed": 0,
        "settings": ["lr=1", "gamma=0.9"],
        "track": "off",
        "watch": True,
        "quiet": False,
        "trust": ask,
    }


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("unknown agent 'x'"), 2, "rl: unknown agent 'x'"),
        (RunError("the environment raised"), 1, "rl: the environment raised"),
        (NonFiniteError("loss is nan"), 3, "rl: loss is nan"),
        (OSError(28, "No space left on device"), 1, "rl: [Errno 28] No space left on device"),
        (MemoryError(), 1, "rl: out of memory: "),
        (ModuleNotFoundError("no", name="ray"), 2, "rl: the package 'ray' is not installed: "),
        (KeyError("oops"), 1, "rl: KeyError: 'oops' (--verbose shows where)"),
        (InputError("two\nlines"), 2, "rl: two lines"),
        (KeyboardInterrupt(), 130, "rl: interrupted"),
        (KeyboardInterrupt("stopped at step 5, saved"), 130, "rl: stopped at step 5, saved"),
        (cli.Terminated(), 143, "rl: terminated"),
    ],
)
def test_what_a_verb_raises_becomes_its_status_and_one_line(error, status, line, monkeypatch, capsys):
    monkeypatch.setattr(verbs, "doctor", verb_that(raises=error))
    assert cli.main(["doctor"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


WITHOUT = {
    "optuna": ("tune", ["tune", "cartpole_dqn", "--trials", "1"]),
    "optuna, for a suite": ("tune", ["tune", "classic", "--trials", "1"]),
    "ray": ("ray", ["compare", "CartPole-v1", "--agents", "ppo", "--steps", "4096", "--on", "ray"]),
    "sb3_contrib": ("contrib", ["compare", "CartPole-v1", "--agents", "sb3:qrdqn", "--steps", "100"]),
    "huggingface_hub": ("hub", ["pull", "you/cartpole-dqn"]),
    "shtab": ("completion", ["completion", "bash"]),
}
"""Missing module -> the extra that installs it, and a command that needs it."""


@pytest.mark.parametrize("missing", WITHOUT)
def test_a_command_without_its_package_names_the_extra(missing, tmp_path, monkeypatch, capsys):
    extra, words = WITHOUT[missing]
    for name in [name for name in sys.modules if name.split(".")[:2] == ["runs", "tuning"]]:
        monkeypatch.delitem(sys.modules, name)  # imported anew, as a process of its own would
    monkeypatch.setitem(sys.modules, missing.partition(",")[0], None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert f'pip install "ludo-rl[{extra}]"\n' in err
    assert err.count("\n") == 1 and list(tmp_path.rglob("*.json")) == []


def test_verbose_adds_the_traceback_before_the_line(monkeypatch, capsys):
    monkeypatch.setattr(verbs, "doctor", verb_that(raises=RunError("it raised")))
    assert cli.main(["doctor", "--verbose"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("rl: it raised\n")


def test_json_is_the_only_thing_on_standard_output(monkeypatch, capfd):
    import numpy as np

    result = {
        "mean": np.float32(1.5),
        "bad": float("nan"),
        "returns": np.arange(2),
        "n": np.int64(3),
        "ok": True,
        "x": None,
    }
    monkeypatch.setattr(verbs, "doctor", verb_that(returns=result, prints=["pygame says hello"]))
    assert cli.main(["doctor", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == {"schema": 1, "mean": 1.5, "bad": None, "returns": [0, 1], "n": 3, "ok": True, "x": None}
    assert out.count("\n") == 1
    assert "pygame says hello" in err
    assert "from a C library" in err


def test_a_failure_under_json_leaves_standard_output_empty(monkeypatch, capfd):
    monkeypatch.setattr(verbs, "doctor", verb_that(raises=RunError("broke"), prints=["noise"]))
    assert cli.main(["doctor", "--json"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("rl: broke\n")


@pytest.mark.parametrize("words", [["train"], ["inspect"], ["record"], ["compare", "--agents", "dqn"]])
def test_a_misspelt_recipe_is_said_without_loading_anything_heavy(words, capsys, monkeypatch):
    monkeypatch.setattr(verbs, "_call", lambda *args, **options: pytest.fail("a verb's module was imported"))
    assert cli.main([words[0], "cartpol_dqn", *words[1:]]) == 2
    assert capsys.readouterr().err == "rl: unknown recipe 'cartpol_dqn': did you mean 'cartpole_dqn'?\n"


def test_the_comment_of_a_pasted_line_is_left_out(monkeypatch):
    """zsh and cmd pass it on."""
    given = []
    monkeypatch.setattr(verbs, "_call", lambda *args, **options: given.append(options))
    assert cli.main(["compare", "CartPole-v1", "--agents", "dqn", "#", "a", "page", "--seeds", "7"]) == 0
    assert given[0].get("seeds") is None


def test_a_file_of_words_that_is_not_utf_8_is_one_line(tmp_path, capsys):
    (tmp_path / "mine.args").write_bytes("--agents dqn\n".encode("utf-16"))  # as PowerShell 5 writes it
    assert cli.main(["compare", f"@{tmp_path / 'mine.args'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rl: a file is not UTF-8 text (invalid start byte at byte 0)")


def test_words_in_a_file_stand_for_themselves(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.args").write_text('--agents "a b=dqn"  # one\n\n# two\n--agents ppo --seeds 3\n--tasks classic\n')
    given = []
    monkeypatch.setattr(verbs, "_call", lambda *args, **options: given.append((args, options)))
    assert cli.main(["compare", f"@{tmp_path / 'mine.args'}", "--seeds", "4"]) == 0
    ((_, recipe, agents), options) = given[0]
    assert (recipe, agents, options["tasks"], options["seeds"]) == (None, "a b=dqn,ppo", "classic", 4)
    assert cli.main(["compare", "@nowhere.args"]) == 2
    assert capsys.readouterr().err == "rl: @nowhere.args cannot be read: No such file or directory\n"


def test_pytorchs_threads_do_not_spin_for_a_busy_core_unless_the_user_says_so(monkeypatch):
    for given, stands in ((None, "1000"), ("5", "5")):
        monkeypatch.setenv("GOMP_SPINCOUNT", given or "")
        if given is None:
            monkeypatch.delenv("GOMP_SPINCOUNT")
        assert cli.main(["--version"]) == 0
        assert os.environ["GOMP_SPINCOUNT"] == stands


def test_the_module_form_is_the_command():
    done = rl("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rl 0.")


def test_the_console_script_is_installed_beside_the_interpreter():
    script = Path(sys.executable).with_name("rl.exe" if os.name == "nt" else "rl")
    if not script.exists():
        pytest.skip("run from the tree without an installation")
    done = subprocess.run([script, "tran"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "rl: unknown command 'tran': did you mean 'train'?\n")


def test_a_stranger_called_runs_in_the_working_directory_loses_to_ours(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "out").mkdir()
    script = Path(sys.executable).with_name("rl.exe" if os.name == "nt" else "rl")
    if not script.exists():
        pytest.skip("run from the tree without an installation")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="pipes close differently")
@pytest.mark.parametrize("words", [["--help"], ["list", "recipes"], ["train", "--help"]])
def test_a_closed_pipe_ends_quietly(words):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "runs", *words], stdout=write, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize(
    ("status", "said"), [(130, "rl: interrupted\n"), (143, "rl: terminated\n"), (129, "rl: terminated\n")]
)
def test_a_signal_ends_a_verb_with_its_status_and_one_line(status, said):
    code = (
        "import sys, time\nfrom runs import cli\nfrom runs.cli import parser\n"
        "parser.verbs.doctor = lambda args: (print('started', flush=True), time.sleep(60))\n"
        "sys.exit(cli.main(['doctor']))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout.readline() == "started\n"
    time.sleep(0.1)
    child.send_signal(status - 128)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (status, said)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_nohup_keeps_a_command_going_when_its_terminal_closes():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ending_signals() == [signal.SIGTERM]
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert ending_signals() == [signal.SIGTERM, signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_the_tests_handle_signals_even_if_nohup_or_a_background_job_started_them():
    ignored = "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    shown = "print([signal.getsignal(s) for s in (signal.SIGINT, signal.SIGHUP)])"
    code = f"import signal; {ignored}; import tests.conftest; {shown}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "default_int_handler" in done.stdout and "SIG_DFL" in done.stdout, done.stderr


def test_a_backslash_in_a_file_of_words_is_a_part_of_a_path_on_windows():
    line = r'--out runs\out\a --title "two words" # why'
    assert parser.split_line(line, escape="") == ["--out", r"runs\out\a", "--title", "two words"]
    assert parser.split_line(r"a\ b 'c d'", escape="\\") == ["a b", "c d"]


def test_a_pipe_without_a_reader_ends_quietly_on_windows_too(monkeypatch):
    monkeypatch.setattr(cli, "os", SimpleNamespace(name="nt"))
    assert cli._is_closed_pipe(BrokenPipeError()) and cli._is_closed_pipe(OSError(errno.EINVAL, "Invalid argument"))
    assert not cli._is_closed_pipe(OSError(errno.EINVAL, "Invalid argument", "a?b")), "a name that cannot be"
    monkeypatch.setattr(cli, "os", os)
    assert not cli._is_closed_pipe(OSError(errno.EINVAL, "Invalid argument"))


def test_a_path_with_a_drive_is_no_module(capsys):
    assert cli.main(["list", r"C:\Users\me\mine.py"]) == 2
    assert capsys.readouterr().err == "rl: there is no recipe file C:\\Users\\me\\mine.py\n"


def test_help_names_every_verb_and_answers_at_once():
    begin = time.perf_counter()
    done = rl("--help")
    seconds = time.perf_counter() - begin
    for verb in parser.build_parser()[1]:
        assert re.search(rf"\n    {verb}\s+\w", done.stdout), verb  # a long name has its meaning on the next line
    assert seconds < 5.0  # 0.15 s measured; importing torch alone would take 2 to 5


def test_every_verb_of_the_design_has_its_options():
    verbs = parser.build_parser()[1]
    design = {
        "train": "--agent --steps --seed --seeds --jobs --num-envs --set --out --track --device --watch --ranks --json",
        "resume": "--steps --ranks",
        "evaluate": "--episodes --seed --sample --greedy --json",
        "watch": "--video --episodes --grid --seed --follow --sample --greedy",
        "play": "--vs --record --text --replay",
        "compare": "--agents --tasks --steps --seeds --jobs --on --out --json",
        "tune": "--minutes --trials --seeds --jobs --agent --steps --set --on --out --json",
        "explain": "--out --json",
        "grade": "--recipe --games --seed --jobs --seconds --out --trust --json --csv",
        "league": "--games --players --out --seed --json",
        "export": "--onnx --torch --sb3 --web --json",
        "sync": "--track --json",
        "push": "--private --json",
        "pull": "--out --env --json",
        "report": "",
        "record": "--seeds --jobs",
        "bench": "--json",
        "profile": "--steps --out --set --json",
        "inspect": "",
        "solve": "--json",
        "new": "--json",
        "completion": "",
        "list": "",
        "doctor": "",
    }
    assert set(verbs) == set(design)
    for verb, options in design.items():
        has = {option for action in verbs[verb]._actions for option in action.option_strings}
        assert set(options.split()) | {"--quiet", "--verbose"} <= has, verb


def test_list_envs_begins_with_the_games_and_ends_with_the_tests_own():
    done = rl("list", "envs", "--json")
    families = list(dict.fromkeys(json.loads(done.stdout)["envs"].values()))
    assert families[:5] == ["Arcade", "Boards", "Gymnasium", "Memory", "ALE"]
    assert families[-1].startswith("Probe: ")


def test_list_recipes_shows_each_with_its_claim():
    done = rl("list", "recipes", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)["recipes"]
    assert set(listed) == set(recipe_names())
    assert (
        listed["cartpole_dqn"].startswith("DQN balances CartPole")
        and "Recorded with 10 seeds: " in listed["cartpole_dqn"]
    )
    assert listed["breakout_dqn"].startswith("aim: ")


def test_list_names_the_suites_with_their_tasks():
    done = rl("list", "suites", "--json")
    listed = json.loads(done.stdout)["suites"]
    assert set(listed) == set(SUITES) and listed["classic"].startswith("4 tasks: CartPole-v1, Acrobot-v1")
    assert listed["atari57"].startswith("57 tasks: ALE/") and listed["atari57"].endswith(", ...")


def test_list_agents_shows_the_registry():
    import agents

    done = rl("list", "agents")
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in agents.REGISTRY)


def test_list_of_an_agent_or_a_recipe_shows_its_fields_with_their_meaning():
    done = rl("list", "rainbow")
    assert done.returncode == 0, done.stderr
    assert "  agent.n_step=3  " in done.stdout
    assert "Longest window of rewards before the bootstrap." in done.stdout
    fields = json.loads(rl("list", "cartpole_dqn", "--json").stdout)["fields"]
    assert fields["steps"] == {
        "value": "50000",
        "accepts": "a whole number",
        "meaning": "Budget in counted steps, over all environments.",
    }


def test_doctor_reports_where_the_four_packages_come_from():
    done = rl("doctor", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for room in ("rl", "agents", "envs", "runs"):
        assert Path(report["imports"][room]) == ROOT / room / "__init__.py"
    assert report["versions"]["torch"]
    assert report["atari_games"] > 50
    assert report["memory"]["total_gb"] > 0


def test_doctor_names_a_double_installation(monkeypatch):
    from runs.cli import doctor

    monkeypatch.setattr(doctor, "_installed", lambda name: name in ("pygame", "pygame-ce"))
    (problem,) = doctor._doubles()
    assert problem.startswith("pygame-ce and pygame both install the module pygame: ")
    assert problem.endswith("pip uninstall pygame-ce pygame, then pip install pygame-ce")


def test_solve_prints_the_score_of_every_column_and_refuses_wrong_moves_in_one_line():
    done = rl("solve", "ConnectFour", "32164625")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "column    1    2    3    4    5    6    7",
        "score    -4   -3  +11   +4    0   -2   -5",
        "the player to move wins with stone 21; best: 3",
    ]
    result = json.loads(rl("solve", "ConnectFour", "7422341735647741166133573473242566", "--json").stdout)
    assert result["scores"] == [-3, 1, None, None, -4, 1, None] and (result["score"], result["best"]) == (1, [2, 6])
    for words, line in (
        (("ConnectFour", "4444444"), "rl: move 7 goes into column 4, which is full\n"),
        (("Chess", "44"), "rl: unknown solved game 'Chess': known: ConnectFour\n"),
    ):
        done = rl("solve", *words)
        assert (done.returncode, done.stderr) == (2, line)


@pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
@pytest.mark.parametrize("closed", ["0<&-", "1<&-", "2<&-", "0<&- 1<&- 2<&-"])
def test_a_closed_stream_costs_nothing(closed, tmp_path):
    done = subprocess.run(f"exec {sys.executable} -m runs doctor {closed}", shell=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--tensorboard", "here it is --track"),
        ("--n-envs", "here it is --num-envs"),
        ("--total_timesteps", "here it is --steps"),
        ("--learning-rate", "here it is --set lr=1e-3"),
    ],
)
def test_an_option_of_another_library_is_named_as_ours(option, words, capsys):
    assert cli.main(["train", "CartPole-v1", option, "5"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("word", ["@rainbow", "@runs/studies/rainbow.args"])
def test_a_study_is_found_by_name_from_any_folder(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = parser.parse(["compare", word, "--seeds", "1"])
    assert args.title == "Rainbow, one piece at a time" and args.seeds == 1
    (tmp_path / "rainbow").write_text("--title mine --tasks CartPole-v1 --agents dqn")
    assert parser.parse(["compare", "@rainbow"]).title == "mine", "a file of one's own comes first"
    with pytest.raises(InputError, match="@nothing cannot be read"):
        parser.parse(["compare", "@nothing"])


def test_several_runs_are_evaluated_in_one_object(monkeypatch, capsys):
    monkeypatch.setattr(verbs, "_call", lambda where, run, **options: {"mean": float(run), "episodes": 1})
    assert cli.main(["evaluate", "1", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["results"] == [{"run": "1", "mean": 1.0, "episodes": 1}, {"run": "2", "mean": 2.0, "episodes": 1}]
    assert cli.main(["evaluate", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 1.0


@pytest.mark.parametrize(
    ("words", "begin", "end"),
    [
        (["explain", "a" * 5_000], "rl: no file can have this name", "a'"),
        (["inspect", "cartpole_dqn", "b" * 5_000], "rl: unexpected argument 'bbb", "see rl inspect --help"),
        (["solve", "4" * 5_000], "rl: unknown solved game '444", "known: ConnectFour"),
    ],
)
def test_an_endless_word_leaves_the_beginning_and_the_end_of_its_line(words, begin, end, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(begin) and error.rstrip().endswith(end) and error.count("\n") == 1
    assert len(error) < 2_010 and " [...] " in error


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_a_signal_that_arrives_in_a_finalizer_ends_the_command_all_the_same():
    """Python ignores what a finalizer raises, and the end of an import has one: `rl watch` then waited for ever."""

    class Late:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    late = Late()
    with pytest.raises(cli.Terminated) as ended, cli._ending():
        del late
        time.sleep(10)
    assert ended.value.status == 143
