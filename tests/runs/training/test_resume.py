"""Exact resume: a run cut at random points and continued equals one that never stopped, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.dqn import DQN, DQNConfig
from envs import EnvConfig
from rl import checkpoint, segments
from rl.checkpoint import CheckpointError
from rl.errors import InputError, RunError
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs import evaluate, load, resume, train
from runs.folder.jsonl import read_jsonl
from runs.folder.run_folder import resolve as locate
from runs.recipe import Run
from runs.training.session import Session, Stopped

SMALL = DQNConfig(
    net=NetConfig(hidden=(16,)),
    learning_starts=20,
    batch_size=8,
    buffer_size=120,
    replay_ratio=0.5,
    update_every=4,
    target_every=7,
    n_step=2,
    prioritized=True,
    noisy=True,
    epsilon=Ramp(1.0, 0.1, 100),
)
PIXELS = dataclasses.replace(SMALL, net=NetConfig(encoder="nips", hidden=(8,)), stack=4, buffer_size=160)
TIMES = ("seconds", "time/sps")


def run_of(env: str, num_envs: int, steps: int = 300, agent: Any = SMALL, **fields: Any) -> Run:
    fixed = {"log_every": 50, "eval_every": 0, "eval_episodes": 1, "eval_max_steps": 50}
    return Run(env=env, agent=agent, steps=steps, num_envs=num_envs, **{**fixed, **fields})


def final_state(folder: Path) -> dict[str, Any]:
    """All that a run leaves behind, times taken out."""
    saved, _ = checkpoint.newest_good(folder)
    trees = {name: checkpoint.load_tree(saved, name) for name in ("agent", "learner", "session")}
    trees["session"].pop("seconds")
    store = segments.SegmentStore(folder, checkpoint.verify(saved)["segments"])
    last = {}
    for start, stop, rows in store:
        for name in ("action", "reward", "discount", "first"):
            last[name] = np.concatenate([last[name], rows[name]]) if name in last else rows[name]
        last.setdefault("begin", start)
        last["end"] = stop
    trees["rows"] = {k: v[-15:] if isinstance(v, np.ndarray) else v for k, v in last.items() if k != "begin"}
    for name in ("metrics", "episodes", "evaluations"):
        lines = read_jsonl(folder / f"{name}.jsonl")
        trees[name] = [{k: v for k, v in line.items() if k not in TIMES} for line in lines]
    return trees


def assert_equal(a: Any, b: Any, path: str = "") -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_equal(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}[{i}]")
    elif hasattr(a, "shape"):
        assert np.array_equal(np.asarray(a), np.asarray(b)), path
    else:
        assert a == b or (a != a and b != b), f"{path}: {a} != {b}"


def check_cut(run: Run, cut: int, whole: dict[str, Any], out: Path) -> None:
    """Stops the training as a signal would, at the first slot at or beyond `cut`, and resumes it."""
    original = Session._log_episodes

    def stop_at(self: Session, slot: Any) -> None:
        original(self, slot)
        if slot.step >= cut and not getattr(self, "resumed", False):
            self.stop_requested = 15

    Session._log_episodes = stop_at  # type: ignore[method-assign]
    try:
        with pytest.raises(Stopped):
            train(run, out=out)
    finally:
        Session._log_episodes = original  # type: ignore[method-assign]
    assert resume(out)["steps"] == run.steps
    assert_equal(final_state(out), whole)


CASES = [("CartPole-v1", 1), ("CartPole-v1", 4), ("LunarLander-v3", 4)]
EVERY = [(env, n) for env in ("CartPole-v1", "LunarLander-v3") for n in (1, 4, 8)]


@pytest.mark.parametrize(("env", "num_envs"), CASES)
def test_a_run_cut_at_random_points_equals_the_uninterrupted_one(env: str, num_envs: int, tmp_path: Path) -> None:
    run = run_of(env, num_envs)
    train(run, out=tmp_path / "whole")
    whole = final_state(tmp_path / "whole")
    for i, cut in enumerate(np.random.default_rng(num_envs).integers(1, 300 - num_envs, 2)):
        check_cut(run, int(cut), whole, tmp_path / f"cut{i}")


@pytest.mark.full
@pytest.mark.parametrize(("env", "num_envs"), EVERY)
def test_twenty_cut_points_for_each_environment(env: str, num_envs: int, tmp_path: Path) -> None:
    run = run_of(env, num_envs)
    train(run, out=tmp_path / "whole")
    whole = final_state(tmp_path / "whole")
    for i, cut in enumerate(np.random.default_rng(num_envs).integers(1, 300 - num_envs, 20)):
        check_cut(run, int(cut), whole, tmp_path / f"cut{i}")


@pytest.mark.parametrize(
    "num_envs", [1, pytest.param(4, marks=pytest.mark.full), pytest.param(8, marks=pytest.mark.full)]
)
def test_pong_cut_anywhere_equals_the_uninterrupted_run(num_envs: int, tmp_path: Path, request: Any) -> None:
    run = run_of("ALE/Pong-v5", num_envs, steps=160, agent=PIXELS)
    train(run, out=tmp_path / "whole")
    whole = final_state(tmp_path / "whole")
    full = request.config.getoption("-m") != "not full" or num_envs > 1
    for i, cut in enumerate(np.random.default_rng(0).integers(1, 160 - num_envs, 20 if full else 1)):
        check_cut(run, int(cut), whole, tmp_path / f"cut{i}")


def test_a_longer_budget_continues_where_the_shorter_ended(tmp_path: Path, capsys: Any) -> None:
    agent = dataclasses.replace(SMALL, lr=Ramp(1e-3, 1e-5, 150))  # epsilon's ramp has ended before: no surprise
    run = dataclasses.replace(run_of("CartPole-v1", 2, agent=agent), log_every=40, eval_every=0)
    train(run, out=tmp_path / "whole")
    train(dataclasses.replace(run, steps=150), out=tmp_path / "short")
    logged = [line["step"] for line in read_jsonl(tmp_path / "short" / "metrics.jsonl")]
    assert logged == [40, 80, 120, 150]  # the end is logged, and taken back below
    assert resume(tmp_path / "short", steps=300)["steps"] == 300
    assert capsys.readouterr().err == "agent.lr ends its schedule after 150 steps and stays at 1e-05\n"
    short, whole = final_state(tmp_path / "short"), final_state(tmp_path / "whole")
    assert [line["step"] for line in short["evaluations"]] == [150, 300]  # its first end was judged too, and stays
    assert_equal(short | {"evaluations": short["evaluations"][1:]}, whole)
    info = json.loads((tmp_path / "short" / "run.json").read_text())
    assert info["recipe"]["steps"] == 300
    assert [(again["step"], again["steps"]) for again in info["resumed"]] == [(150, 300)]
    train(tmp_path / "short" / "run.json", out=tmp_path / "again")
    assert_equal(final_state(tmp_path / "again"), whole)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("gamma", 0.9, r"run.json has agent.gamma=0.9, step-000000060 was made with 0.99: put that back, or `rl train"),
        ("net", {"hidden": [8]}, "run.json has agent.net.hidden=8, step-000000060 was made with "),
        ("name", "qrdqn", "run.json has agent=qrdqn, step-000000060 was made with dqn"),
    ],
)
def test_another_run_in_run_json_is_refused_and_a_rhythm_is_not(
    tmp_path: Path, field: str, value: Any, message: str
) -> None:
    train(run_of("CartPole-v1", 1, steps=60), out=tmp_path / "run")
    place = tmp_path / "run" / "run.json"
    text = place.read_text()
    info = json.loads(text)
    info["recipe"]["agent"][field] = value
    if field == "name":
        del info["recipe"]["agent"]["huber"]
    place.write_text(json.dumps(info))
    with pytest.raises(InputError, match=message):
        resume(tmp_path / "run", steps=80)
    info = json.loads(text)
    info["recipe"] |= {"log_every": 7, "eval_episodes": 2}
    place.write_text(json.dumps(info))
    assert resume(tmp_path / "run", steps=80)["episodes"] == 2


def test_a_run_stopped_in_its_final_evaluation_gets_it_when_it_is_resumed(tmp_path: Path, monkeypatch: Any) -> None:
    run = run_of("CartPole-v1", 2)
    train(run, out=tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(Session, "_evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(run, out=tmp_path / "cut")
    assert read_jsonl(tmp_path / "cut" / "evaluations.jsonl") == []
    assert resume(tmp_path / "cut", steps=run.steps)["steps"] == run.steps  # as the line that was stopped said
    assert_equal(final_state(tmp_path / "cut"), final_state(tmp_path / "whole"))
    assert resume(tmp_path / "cut")["steps"] == 300, "finished: nothing is done"
    with pytest.raises(InputError, match="has already made 300 steps"):  # fewer than its first update needs
        resume(tmp_path / "cut", steps=10)


def test_a_resume_from_an_earlier_checkpoint_takes_up_its_seconds_and_gives_up_the_later(
    tmp_path: Path, monkeypatch: Any
) -> None:
    train(run_of("CartPole-v1", 1, steps=100, save_every=40), out=tmp_path)
    newest = max((tmp_path / "replay").iterdir())
    data = newest.read_bytes()
    newest.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert locate(tmp_path).checkpoint.name == "step-000000100"
    assert locate(tmp_path, replay=True).checkpoint.name == "step-000000080", "it needs no damaged rows"
    begun = []
    monkeypatch.setattr(Session, "turns", lambda self: begun.append(self) or interrupted())
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path, steps=120)
    (saved,) = (tmp_path / "checkpoints").iterdir()
    assert (saved.name, begun[0].step) == ("step-000000080", 80)
    assert begun[0].seconds == checkpoint.load_tree(saved, "session")["seconds"] > 0


def test_a_failed_update_saves_the_row_that_the_agent_has_counted(tmp_path: Path, monkeypatch: Any) -> None:
    update = DQN.update

    def failing(agent: DQN) -> Any:
        if agent.step >= 60:
            raise RunError("no update")
        return update(agent)

    with monkeypatch.context() as patched:
        patched.setattr(DQN, "update", failing)
        with pytest.raises(RunError, match="no update"):
            train(run_of("CartPole-v1", 2, steps=100), out=tmp_path)
    (saved,) = (tmp_path / "checkpoints").iterdir()
    counted = checkpoint.load_tree(saved, "agent")["step"]
    assert 60 <= counted == checkpoint.load_tree(saved, "session")["step"] == int(saved.name.split("-")[1])
    assert resume(tmp_path)["steps"] == 100


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_an_evaluation_with_nothing_said_is_the_run_s_own(tmp_path: Path) -> None:
    said = train(dataclasses.replace(run_of("CartPole-v1", 1, steps=60), seed=5, eval_episodes=3), out=tmp_path)
    assert evaluate(tmp_path)["returns"] == said["returns"] != evaluate(tmp_path, seed=0)["returns"]
    with pytest.raises(InputError, match="^episodes must be at least 1, got 0$"):
        evaluate(tmp_path, episodes=0)


def test_a_longer_budget_cuts_no_game_where_the_shorter_ended(tmp_path: Path) -> None:
    config = EnvConfig(options={"length": 50})
    run = run_of("Probe/Counting-v0", 3, env_config=config)
    train(dataclasses.replace(run, steps=100), out=tmp_path)  # 33 whole slots and one row of three
    resume(tmp_path, steps=300)
    games = read_jsonl(tmp_path / "episodes.jsonl")
    assert [(g["length"], g["return"]) for g in games] == [(50, 50 * 51 / 2)] * 6


def test_logging_evaluating_and_saving_do_not_change_the_weights(tmp_path: Path) -> None:  # T21
    run = run_of("CartPole-v1", 2)
    train(run, out=tmp_path / "plain")
    busy = dataclasses.replace(run, eval_every=30, save_every=40, log_every=10, eval_sample=True)
    train(busy, out=tmp_path / "busy")
    a, b = final_state(tmp_path / "plain"), final_state(tmp_path / "busy")
    assert_equal(a["agent"], b["agent"])
    assert_equal(a["learner"], b["learner"])


def test_a_checkpoint_of_another_version_names_that_version(tmp_path, monkeypatch):
    train(run_of("CartPole-v1", 1, steps=60), out=tmp_path / "run")
    whole = checkpoint.load_tree

    def older(saved: Path, name: str) -> Any:
        tree = whole(saved, name)
        return {k: v for k, v in tree.items() if k != "before"}

    monkeypatch.setattr(checkpoint, "load_tree", older)
    with pytest.raises(CheckpointError, match="does not fit: has no 'before'; go on with the version that wrote it"):
        resume(tmp_path / "run", steps=80)


def test_weights_of_another_version_s_network_are_one_line(tmp_path, monkeypatch):
    train(run_of("CartPole-v1", 1, steps=60), out=tmp_path / "run")
    whole = checkpoint.load_tree

    def other(saved: Path, name: str) -> Any:
        tree = whole(saved, name)
        if name == "agent":
            tree["network"]["torso.renamed"] = tree["network"].popitem()[1]
        return tree

    monkeypatch.setattr(checkpoint, "load_tree", other)
    for verb in (lambda: resume(tmp_path / "run", steps=80), lambda: load(tmp_path / "run")):
        with pytest.raises(CheckpointError, match=r"step-000000060 does not fit: .*torso\.renamed") as raised:
            verb()
        assert "\n" not in str(raised.value)


class Forgetful(gymnasium.Env):
    """Episodes of 50 steps whose observation no seed brings back: an environment that is never restored exactly."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.t, self.tag = 0, int.from_bytes(os.urandom(2), "little")
        return np.array([self.tag, 0], np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.t += 1
        return np.array([self.tag, self.t], np.float32), 1.0, self.t == 50, False, {}


def test_an_episode_that_a_resume_cuts_is_in_no_transition_and_no_line(tmp_path: Path, monkeypatch: Any) -> None:
    run = run_of(f"{__name__}:Forgetful", 1, steps=120)
    train(run, out=tmp_path)
    agents = []
    monkeypatch.setattr(Session, "load", lambda self, *saved: agents.append(self.agent) or load_session(self, *saved))
    resume(tmp_path, steps=320, trust=True)
    replay = agents[0].replay
    rows = np.arange(replay.oldest, replay.count)
    windows = replay.windows(rows[replay.eligible(rows)], 1)
    assert len(rows) > 60 and (windows.obs["obs"][:, 0] == windows.next_obs["obs"][:, 0]).all()
    lines = [(e["step"], e["return"], e["length"]) for e in read_jsonl(tmp_path / "episodes.jsonl")]
    assert lines == [(step, 50.0, 50) for step in (50, 100, 170, 220, 270, 320)], "20 steps were cut at 120"


load_session = Session.load
