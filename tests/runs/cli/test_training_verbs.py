"""`rl` on real trainings: bad input starts nothing, a signal loses nothing, --json is one object."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import gymnasium
import pytest

from runs.cli import command_line as cli
from runs.recipe import recipe_names, resolve

ROOT = Path(__file__).resolve().parents[3]
TINY = ["--steps", "600", "--set", "learning_starts=100", "--set", "eval_episodes=2", "--track", "off", "--quiet"]

THEIRS = '''
import gymnasium
import numpy as np


class Theirs(gymnasium.Env):
    """One number, rewards of 1, episodes of 20 steps; at step 7 of episode 10 something goes wrong."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    episode = 0

    def __init__(self, fault="none", render_mode=None):
        self.fault, self.render_mode = fault, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self.episode += 1
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        obs, reward = np.full(1, self.t / 20, np.float32), 1.0
        if self.t == 7 and self.episode >= 10:
            if self.fault == "obs":
                obs = obs * np.nan
            if self.fault == "reward":
                reward = float("inf")
            if self.fault == "raises":
                raise ZeroDivisionError("their bug")
            if self.fault == "quits":
                raise SystemExit  # as sys.exit() does where a game's window is closed
            if self.fault == "shape":
                obs = np.zeros(2, np.float32)
        last = self.t == 20
        if last and self.episode >= 10 and self.fault == "terminal":
            obs = obs * np.nan
        return obs, reward, last, False, {}


gymnasium.register("Theirs-v0", Theirs)
'''

MINE = """
from dataclasses import dataclass

import torch
from torch import nn

from agents.dqn import DQN, DQNConfig


@dataclass(frozen=True)
class MineConfig(DQNConfig):
    bonus: float = 0.5


class Mine(DQN):
    name = "mine"
    Config = MineConfig


class Seven(nn.Module):
    out_features = 7

    def __init__(self, spec, config, stack):
        super().__init__()
        self.layer = nn.Linear(4, 7)

    def forward(self, obs):
        return torch.relu(self.layer(obs["obs"]))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def theirs(here, monkeypatch):
    """A working directory with the module `theirs`, which registers Theirs-v0."""
    (here / "theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(here))
    yield "theirs:Theirs-v0"
    sys.modules.pop("theirs", None)
    gymnasium.registry.pop("Theirs-v0", None)


def child_env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["CartPol-v1"], ["unknown", "'CartPol-v1'", "did you mean 'CartPole-v1'?"]),
        (["ALE/Pongg-v5"], ["ALE/Pongg-v5", "did you mean 'Pong'?"]),
        (["nowhere:Id-v0"], ["nowhere"]),
        (["gone.py"], ["gone.py"]),
        (["gone.json"], ["gone.json"]),
        (["CartPole-v1", "--agent", "dqnn"], ["unknown agent 'dqnn'", "did you mean 'dqn'?"]),
        (
            ["CartPole-v1", "--agent", "sb3:dqn"],
            ["agent 'sb3:dqn' is Stable-Baselines3's", "--agents sb3:dqn"],
        ),
        (["Mine/Base-v0"], ["unknown environment 'Mine/Base-v0'", "name both, module:Mine/Base-v0"]),
        (["CartPole-v1", "--agent", "nowhere:Agent"], ["nowhere"]),
        (["CartPole-v1", "--agent", "json:Agent"], ["json", "Agent"]),
        (["CartPole-v1", "--set", "agent.lrr=1"], ["unknown field 'agent.lrr'", "'agent.lr'"]),
        (["CartPole-v1", "--set", "gamma=1.5"], ["gamma", "[0, 1]", "1.5"]),
        (["CartPole-v1", "--set", "gamma=high"], ["agent.gamma=high", "a finite number"]),
        (["CartPole-v1", "--set", "batch_size=0"], ["batch_size must be at least 1, got 0"]),
        (["CartPole-v1", "--set", "batch_size=99999"], ["batch_size 99999", "buffer_size"]),
        (["CartPole-v1", "--steps", "500", "--set", "learning_starts=500"], ["learning_starts 500", "500 steps"]),
        (["CartPole-v1", "--set", "n_step=0"], ["n_step must be at least 1, got 0"]),
        (["CartPole-v1", "--set", "double=maybe"], ["agent.double=maybe", "true or false"]),
        (["CartPole-v1", "--set", "optimizer=adamm"], ["agent.optimizer=adamm", "did you mean"]),
        (["CartPole-v1", "--set", "net.encoder=nowhere:Net"], ["nowhere"]),
        (["CartPole-v1", "--set", "env.protocol=nature"], ["protocol"]),
        (["CartPole-v1", "--set", "env.options.colour=red"], ["colour"]),
        (["CartPole-v1", "--device", "cuda"], ["--device cpu"]),
        (["Pendulum-v1", "--agent", "dqn"], ["dqn needs discrete actions", "Pendulum-v1 has box", "ppo"]),
        (["CartPole-v1", "--set", "buffer_size=1e13"], ["GB", "buffer_size"]),
        (["CartPole-v1", "--agent", "ppo", "--set", "rollout=1e12"], ["GB are free", "lower rollout or num_envs"]),
        (["CartPole-v1", "--out", "taken"], ["--out taken", "occupied"]),
        (["CartPole-v1", "--out", "file.txt/run"], ["--out file.txt/run"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0][0] in "CAPng" else "",
)
def test_bad_input_starts_nothing_and_is_one_line(words, said, here, capfd):
    if "cuda" in words:
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a GPU here")
    (here / "taken").mkdir()
    (here / "taken" / "thesis.txt").write_text("mine")
    (here / "file.txt").write_text("mine")
    before = sorted(here.rglob("*"))
    assert cli.main(["train", *words, "--track", "off", "--quiet"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    for word in said:
        assert word in err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("broken.py", "run = Run(", "broken.py: SyntaxError"),
        ("raises.py", "1 / 0", "raises.py: ZeroDivisionError"),
        ("empty.py", "", "empty.py has no `run = Run(...)`"),
        ("not.json", "{", "not.json is not a run.json"),
        ("other.json", '{"recipe": {"env": "CartPole-v1", "stepz": 3}}', "stepz"),
    ],
)
def test_a_recipe_file_that_does_not_read_is_one_line(name, text, said, here, capfd):
    (here / name).write_text(text)
    assert cli.main(["train", name]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert err.count("\n") == 1, err


def test_json_of_a_training_is_one_object_and_its_folder_evaluates_and_trains_again(here, capfd):
    assert cli.main(["train", "CartPole-v1", "--agent", "dqn", "--out", "a", "--json", *TINY]) == 0
    out, _ = capfd.readouterr()
    result = json.loads(out)
    keys = "schema env agent step episodes mean std iqm returns lengths seeds run steps seconds steps_per_second"
    assert set(keys.split()) <= set(result)
    assert (result["schema"], result["env"], result["agent"]) == (1, "CartPole-v1", "dqn")
    assert (result["step"], result["steps"], result["episodes"]) == (600, 600, 2)

    assert cli.main(["evaluate", "a", "--episodes", "3", "--seed", "5", "--json"]) == 0
    score = json.loads(capfd.readouterr().out)
    assert len(score["returns"]) == len(score["lengths"]) == len(score["seeds"]) == 3
    assert score["returns"] == [float(length) for length in score["lengths"]]  # CartPole pays 1 a step

    assert cli.main(["train", "a/run.json", "--out", "b", "--track", "off", "--quiet"]) == 0
    capfd.readouterr()
    a, b = (
        [json.loads(line)["return"] for line in (here / name / "episodes.jsonl").read_text().splitlines()]
        for name in "ab"
    )
    assert a == b

    assert cli.main(["train", "CartPole-v1", "--out", "a", *TINY]) == 2
    assert "rl resume a" in capfd.readouterr().err


def test_people_get_the_score_and_the_folder(here, capfd):
    assert cli.main(["train", "CartPole-v1", "--out", "a", *TINY]) == 0
    out, err = capfd.readouterr()
    assert "CartPole-v1 dqn step 600: mean " in out
    assert out.endswith("run: a\n")
    assert err == ""


@pytest.mark.parametrize("words", [["resume", "gone"], ["evaluate", "gone"], ["watch", "gone", "--video", "x.webm"]])
def test_a_run_that_is_not_there_is_one_line(words, here, capfd):
    assert cli.main(words) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert "gone" in err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("obs", 3, ["observation"]),
        ("terminal", 3, ["observation"]),
        ("reward", 3, ["reward"]),
        ("raises", 1, ["ZeroDivisionError", "their bug"]),
        ("quits", 1, ["environment 0 raised SystemExit"]),
        ("shape", 1, ["shape"]),
    ],
)
def test_a_faulty_environment_ends_the_run_with_its_status_and_one_line(fault, status, said, theirs, capfd):
    words = ["train", theirs, "--agent", "dqn", "--out", "a", "--set", f"env.options.fault={fault}", *TINY]
    assert cli.main(words) == status
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    for word in said:
        assert word in err
    assert json.loads(Path("a/run.json").read_text())["recipe"]["env"] == theirs


def test_a_sound_environment_of_the_user_trains(theirs, capfd):
    assert cli.main(["train", theirs, "--agent", "dqn", "--out", "a", "--json", *TINY]) == 0
    assert json.loads(capfd.readouterr().out)["returns"] == [20.0, 20.0]


def test_an_agent_and_a_network_of_the_user_need_no_change_in_our_tree(here, monkeypatch, capfd):
    (here / "mymod.py").write_text(MINE)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != ""])  # as the installed script has it
    words = ["--agent", "mymod:Mine", "--set", "bonus=2", "--set", "hidden=8", "--out", "a", "--json", *TINY]
    assert cli.main(["train", "CartPole-v1", *words]) == 0
    assert json.loads(capfd.readouterr().out)["agent"] in ("mine", "mymod:Mine")
    agent = json.loads(Path("a/run.json").read_text())["recipe"]["agent"]
    assert (agent["name"], agent["bonus"], agent["net"]["hidden"]) == ("mymod:Mine", 2.0, [8])
    assert cli.main(["evaluate", "a", "--episodes", "2", "--json"]) == 0
    assert cli.main(["train", "a/run.json", "--out", "b", "--track", "off", "--quiet"]) == 0
    capfd.readouterr()
    assert cli.main(["inspect", "CartPole-v1", "--set", "net.encoder=mymod:Seven", "--json"]) == 0
    assert [7] in [layer["shape"] for layer in json.loads(capfd.readouterr().out)["layers"]]
    assert cli.main(["train", "CartPole-v1", "--agent", "mymod:Mime", *TINY]) == 2
    assert "mymod" in capfd.readouterr().err
    sys.modules.pop("mymod", None)


def test_an_installed_package_adds_an_agent_by_its_entry_point(here, monkeypatch, capfd):
    (here / "theirmod.py").write_text(MINE)
    info = here / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ludo_rl.agents]\nlucky = theirmod:Mine\n")
    monkeypatch.syspath_prepend(str(here))
    assert cli.main(["list", "agents", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["agents"]["lucky"] == "from an installed package"
    assert cli.main(["inspect", "CartPole-v1", "--agent", "lucky", "--set", "hidden=8", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["layers"][0]["shape"] == [8]
    sys.modules.pop("theirmod", None)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize("status", [130, 143, 129])
def test_a_signal_saves_and_resume_goes_on_to_the_end(status, here, capfd):
    out = here / "a"
    words = ["train", "CartPole-v1", "--out", str(out), "--steps", "1000000", "--track", "off"]
    child = subprocess.Popen(
        [sys.executable, "-m", "runs", *words],
        cwd=here,
        env=child_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.time() + 60
    while not (out / "metrics.jsonl").exists() or (out / "metrics.jsonl").stat().st_size == 0:
        assert child.poll() is None, child.stderr.read()
        assert time.time() < deadline
        time.sleep(0.05)
    child.send_signal(status - 128)
    said, err = child.communicate(timeout=60)
    assert child.returncode == status, err
    assert said == ""
    assert re.fullmatch(
        rf"rl: stopped by SIG(INT|TERM|HUP) at step [0-9,]+; `rl resume {re.escape(str(out))}` goes on",
        err.splitlines()[-1],
    )
    assert "Traceback" not in err
    saved = sorted(path.name for path in (out / "checkpoints").iterdir())
    step = int(saved[-1].removeprefix("step-"))
    assert cli.main(["resume", str(out), "--steps", str(step + 300), "--json", "--quiet", "--track", "off"]) == 0
    assert json.loads(capfd.readouterr().out)["steps"] == step + 300


@pytest.mark.skipif(os.name == "nt", reason="terminals differ")
def test_a_closed_terminal_loses_nothing(here):
    """Its bar can be shown no more, and the shell's SIGHUP asks it to end: it saves first."""
    import fcntl
    import pty
    import termios

    out = here / "a"
    words = ["train", "CartPole-v1", "--out", str(out), "--steps", "1000000", "--track", "off"]
    terminal, other_end = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "runs", *words],
        cwd=here,
        env=child_env(),
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(other_end)
    deadline = time.time() + 60
    while not (out / "metrics.jsonl").exists() or (out / "metrics.jsonl").stat().st_size == 0:
        assert child.poll() is None and time.time() < deadline
        os.read(terminal, 4096)
    os.close(terminal)
    assert child.wait(timeout=60) == 129
    assert len(list((out / "checkpoints").iterdir())) == 1


def test_a_second_process_on_the_same_run_is_refused(here, capfd):
    out = here / "a"
    holder = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from runs.folder.run_folder import RunFolder
        with RunFolder.open({str(out)!r}):
            print("held", flush=True)
            sys.stdin.read()
        """
    )
    assert cli.main(["train", "CartPole-v1", "--out", str(out), *TINY]) == 0
    child = subprocess.Popen(
        [sys.executable, "-c", holder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_env(),
        cwd=here,
    )
    assert child.stdout.readline() == "held\n"
    try:
        capfd.readouterr()
        assert cli.main(["resume", str(out), "--steps", "9999", "--track", "off"]) == 2
        err = capfd.readouterr().err
        assert f"process {child.pid}" in err
        assert err.count("\n") == 1, err
    finally:
        child.stdin.close()
        child.wait(timeout=30)


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_output_piped_to_head_ends_quietly(here):
    done = subprocess.run(
        f"{sys.executable} -m runs train CartPole-v1 --out a {' '.join(TINY)} | head -n 0; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=here,
        env=child_env(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert (here / "a" / "run.json").exists()


def test_inspect_prints_the_network(here, capfd):
    assert cli.main(["inspect", "CartPole-v1", "--agent", "dqn"]) == 0
    assert "Linear" in capfd.readouterr().out


@pytest.mark.parametrize("recipe", recipe_names())
def test_inspect_takes_every_recipe(recipe, here, capfd):
    env = gymnasium.envs.registry.get(resolve(recipe).env)
    if env is not None and "mujoco" in str(env.entry_point):
        pytest.importorskip("mujoco", reason="an extra")
    assert cli.main(["inspect", recipe, "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    if type(resolve(recipe).agent).__module__.startswith(("agents.tabular", "agents.ntuple")):
        assert shown["multiply_adds"] == 0, "a table is read, not multiplied"
    else:
        assert shown["parameters"] > 0 and shown["multiply_adds"] > 0


def test_inspect_counts_the_tables_of_an_n_tuple_network(here, capfd):
    assert cli.main(["inspect", "connect_four_ntuple", "--set", "agent.tuples=7", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["tuples"]["weights read for one position"] == 14 and shown["tuples"]["tables"] == 14
    assert shown["tuples"]["parameters"] == shown["parameters"] == 14 * 3**8
    assert "additions for one position" in shown["table"]


def test_the_agent_in_readme_is_whole(here, capfd, monkeypatch):
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    begin = text.index("from dataclasses import dataclass\n\nimport torch")
    (here / "mine.py").write_text(text[begin : text.index("```", begin)], encoding="utf-8")
    monkeypatch.syspath_prepend(here)
    words = ["train", "CartPole-v1", "--agent", "mine:Mine", "--set", "power=2", "--set", "learning_starts=20"]
    assert cli.main([*words, "--steps", "60", "--out", "a", "--track", "off", "--quiet"]) == 0
    assert json.loads(Path("a/run.json").read_text())["recipe"]["agent"]["power"] == 2.0
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("agent", ["dqn", "ppo"])
def test_the_network_in_readme_is_whole(agent, here, capfd, monkeypatch):
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    begin = text.index("import torch\nfrom torch import nn")
    (here / "tinynet.py").write_text(text[begin : text.index("```", begin)], encoding="utf-8")
    monkeypatch.syspath_prepend(here)
    words = ["train", "CartPole-v1", "--agent", agent, "--set", "net.encoder=tinynet:Tiny", "--set", "eval_episodes=1"]
    words += ["--set", "learning_starts=20"] if agent == "dqn" else ["--set", "rollout=16"]
    assert cli.main([*words, "--steps", "600", "--out", agent, "--track", "off", "--quiet"]) == 0
    sys.modules.pop("tinynet", None)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_while_python_runs_a_string_ends_with_its_status_too(here):
    """After that, Python ends a module that was run with -m by the signal, unless another string has run."""
    lines = ["import sys", "from runs.cli import command_line", "def run(args):", "    exec('raise KeyboardInterrupt')"]
    lines += ["command_line._run = run", "sys.argv = ['rl', 'list']", "sys.exit(command_line.main())"]
    (here / "stopped.py").write_text("\n".join(lines))
    child = subprocess.run([sys.executable, "-m", "stopped"], cwd=here, env=child_env(), capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (130, "rl: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_final_evaluation_can_be_stopped_and_the_training_is_kept(number, status, here, capfd):
    """A poor policy's games may last for hours; the last checkpoint is written before they begin."""
    out = here / "a"
    words = ["train", "CartPole-v1", "--out", str(out), "--steps", "60", "--set", "learning_starts=20"]
    words += ["--set", "eval_episodes=1000000", "--track", "off"]
    child = subprocess.Popen(
        [sys.executable, "-m", "runs", *words], cwd=here, env=child_env(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.time() + 60
    while not (out / "checkpoints" / "step-000000060").exists():
        assert child.poll() is None, child.stderr.read()
        assert time.time() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == status, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == f"rl: stopped in its final evaluation; `rl resume {out}` plays it"
    assert cli.main(["evaluate", str(out / "run.json"), "--episodes", "1", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["step"] == 60


def test_a_run_says_how_it_was_made_with_what_was_added(here):
    for words in (["train", "CartPole-v1", "--out", "a", *TINY], ["resume", "a", "--steps", "700", "--track", "off"]):
        subprocess.run([sys.executable, "-m", "runs", *words], cwd=here, env=child_env(), check=True)
    info = json.loads((here / "a" / "run.json").read_text())
    assert info["command"][:3] == ["rl", "train", "CartPole-v1"]  # as one types it, not where the module lies
    resumed = ["rl", "resume", "a", "--steps", "700", "--track", "off"]
    assert [again["command"] for again in info["resumed"]] == [resumed]
    assert cli.main(["report", "a"]) == 0
    page = (here / "a" / "report.md").read_text()
    assert "rl train CartPole-v1 --out a" in page
    assert "rl resume a --steps 700" in page


def test_a_training_without_one_update_says_so(here, capfd):
    words = ["--steps", "60", "--set", "rollout=100", "--set", "eval_episodes=1", "--track", "off"]
    assert cli.main(["train", "CartPole-v1", "--agent", "ppo", "--out", "a", *words]) == 0
    assert "no update was made in 60 steps: the policy is untrained\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine"], "unknown recipe or environment 'mine': mine.py is here, name the object in it as mine:Name"),
        (
            ["CartPole-v1", "--agent", "mine"],
            "unknown agent 'mine': mine.py is here, name the object in it as mine:Name",
        ),
    ],
)
def test_a_module_of_ones_own_named_alone_is_told_how_to_name_it(words, said, here, capfd):
    (here / "mine.py").write_text("")
    assert cli.main(["train", *words, "--track", "off", "--quiet"]) == 2
    assert said in capfd.readouterr().err
