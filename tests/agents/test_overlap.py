"""Acting during the updates: the same as a sequential loop with the older weights, to the bit, through errors too."""

from __future__ import annotations

import copy
import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import agents
import envs
from agents.dqn import DQN, DQNConfig
from agents.r2d2 import R2D2Config
from agents.sac import SACConfig
from rl.checkpoint import load_tree, newest_good
from rl.errors import InputError, NonFiniteError, RunError
from rl.loop import interact
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs import resume, train
from runs.comparing.plan import make_plan
from runs.folder.jsonl import read_jsonl
from runs.recipe import Run
from runs.training.train import session

SMALL: dict[str, Any] = {"batch_size": 8, "buffer_size": 150, "learning_starts": 20, "update_every": 4}
CASES = {
    "dqn": (
        "CartPole-v1",
        2,
        DQNConfig(
            net=NetConfig(hidden=(16,)),
            replay_ratio=0.5,
            prioritized=True,
            normalize_obs=True,
            epsilon=Ramp(1.0, 0.1, 150),
            lr=Ramp(1e-2, 1e-3, 200),
            **SMALL,
        ),
    ),
    "r2d2": (
        "CartPole-v1",
        1,
        R2D2Config(net=NetConfig(hidden=(8,), core="lstm", core_size=4), burn_in=2, length=6, period=4, **SMALL),
    ),
    "sac": ("Pendulum-v1", 1, SACConfig(net=NetConfig(hidden=(8, 8)), replay_ratio=0.5, **SMALL)),
}


def run_of(case: str, steps: int = 200) -> Run:
    env, num_envs, agent = CASES[case]
    return Run(
        env=env,
        agent=agent,
        steps=steps,
        num_envs=num_envs,
        overlap=True,
        eval_every=0,
        save_every=0,
        log_every=50,
        eval_episodes=1,
        eval_max_steps=20,
    )


class Sequential:
    """The reference: the same loop in one thread, acting with the weights of before the newest burst."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent
        self.acting = copy.deepcopy(agent.network.state_dict())

    def observe(self, ts: Any) -> None:
        self.agent.observe(ts)

    def update(self) -> Any:
        before = copy.deepcopy(self.agent.network.state_dict())
        made = self.agent.updates
        metrics = self.agent.update()
        if self.agent.updates > made:
            self.acting = before
        return metrics

    def act(self, ts: Any) -> Any:
        now = copy.deepcopy(self.agent.network.state_dict())
        self.agent.network.load_state_dict(self.acting)
        action = self.agent.act(ts)
        self.agent.network.load_state_dict(now)
        return action


def state(folder: Path) -> dict[str, Any]:
    saved = newest_good(folder)[0]
    return {name: load_tree(saved, name) for name in ("agent", "learner")}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool((a == b).all() if hasattr(a, "all") else a == b)


@pytest.mark.parametrize("case", CASES)
def test_overlapped_training_equals_a_sequential_one_with_the_older_weights(case: str, tmp_path: Path) -> None:
    run = run_of(case)
    train(run, out=tmp_path / "run")
    spec = envs.spec(run.env)
    reference = agents.build(run.agent, spec, num_envs=run.num_envs, seed=0, device="cpu")
    with envs.make(run.env, num_envs=run.num_envs) as env:
        for _ in interact(env, Sequential(reference), run.steps):
            pass
    ours = state(tmp_path / "run")
    assert reference.updates > 20
    assert same(ours["agent"], reference.agent_state())
    assert same(ours["learner"]["optimizer"], reference.learner_state()["optimizer"])
    if case == "dqn":
        train(dataclasses.replace(run, overlap=False), out=tmp_path / "plain")
        assert not same(ours["agent"]["network"], state(tmp_path / "plain")["agent"]["network"]), "one burst behind"


@pytest.mark.parametrize("case", ["dqn", "r2d2"])
def test_an_overlapped_run_that_saves_and_resumes_equals_one_that_does_not(case: str, tmp_path: Path) -> None:
    run = run_of(case)
    train(run, out=tmp_path / "whole")
    turns = session(run, out=tmp_path / "cut")
    for turn in turns:
        if turn.step in (31, 32, 90):
            turn.save()  # in the middle of a burst, whose result it must hold
        if turn.step >= 121:
            break
    turns.close()
    resume(tmp_path / "cut")
    assert same(state(tmp_path / "whole"), state(tmp_path / "cut"))
    whole, cut = (
        [{k: v for k, v in line.items() if k not in ("seconds", "time/sps")} for line in read_jsonl(folder)]
        for folder in (tmp_path / "whole" / "metrics.jsonl", tmp_path / "cut" / "metrics.jsonl")
    )
    assert whole == cut


def test_errors_in_the_thread_end_the_run_and_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = DQN.learn

    def fails(self: DQN, windows: Any) -> Any:
        if self.updates == 10:
            raise NonFiniteError("the loss is nan")
        return learn(self, windows)

    monkeypatch.setattr(DQN, "learn", fails)
    with pytest.raises(NonFiniteError, match="the loss is nan"):
        train(run_of("dqn"), out=tmp_path / "run")
    assert not [t for t in threading.enumerate() if t.name.startswith("burst")]
    assert state(tmp_path / "run")["agent"]["updates"] == 10, "the state of before the update is saved"


def test_an_error_of_the_environment_during_a_burst_saves_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = envs.stream.Stream.step

    def fails(self: Any, action: Any) -> Any:
        if self._slot == 60 and self._stream == "train":
            raise RunError("the cable is cut")
        return step(self, action)

    monkeypatch.setattr(envs.stream.Stream, "step", fails)
    with pytest.raises(RunError, match="the cable is cut"):
        train(run_of("dqn"), out=tmp_path / "run")
    monkeypatch.undo()
    assert 0 < state(tmp_path / "run")["agent"]["step"] < resume(tmp_path / "run")["steps"] == 200
    assert not [t for t in threading.enumerate() if t.name.startswith("burst")]


@pytest.mark.parametrize(
    ("recipe", "settings", "words"),
    [
        ("cartpole_ppo", (), "is for learners from a replay, such as dqn and sac, not for ppo"),
        ("cliffwalking_q_learning", (), "not for q_learning"),
        ("tic_tac_toe_alphazero", (), "not for alphazero"),
        ("cartpole_dqn", ("noisy=true",), "set noisy=false"),
    ],
)
def test_agents_that_cannot_overlap_are_refused_in_one_line(
    recipe: str, settings: tuple[str, ...], words: str, tmp_path: Path
) -> None:

    with pytest.raises(InputError, match=words):
        train(recipe, settings=["overlap=true", *settings], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_comparison_refuses_a_contender_that_overlaps() -> None:
    with pytest.raises(InputError, match="equal hyperparameters are another algorithm"):
        make_plan("CartPole-v1", "dqn@sb3:overlap=true,sb3:dqn", steps=5_000)
