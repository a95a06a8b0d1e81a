"""`rl profile`: parts of a training, its operations, its page, and that it changes nothing."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import agents
import envs
from agents.dqn import DQNConfig
from rl.checkpoint import load_tree, newest_good
from rl.networks import NetConfig
from rl.networks.compiled import CompiledDense
from runs.bench import parts, profiling
from runs.cli import command_line as cli
from runs.recipe import resolve
from runs.training.train import session

QUICK = ("eval_every=0", "save_every=0", "eval_episodes=1", "eval_max_steps=1")
SMALL = {
    "cartpole_dqn": ("learning_starts=64",),  # NumPy's gradients
    "pendulum_sac": ("learning_starts=64", "batch_size=8", "hidden=16x16", "quantiles=5"),  # autograd
    "pendulum_td3": ("learning_starts=64", "batch_size=8", "hidden=16x16"),  # NumPy's, of critics
    "cartpole_novelocity_ppo": ("rollout=16",),  # rollouts with a memory
}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_tree(newest_good(folder)[0], "agent")["network"]


@pytest.mark.parametrize("recipe", SMALL)
def test_a_profiled_training_has_the_weights_of_one_that_is_not(recipe: str, tmp_path: Path) -> None:
    run = resolve(recipe, settings=[*QUICK, *SMALL[recipe]])
    found = profiling.measured(session(run, out=tmp_path / "a"), steps=100)
    (step,) = (int(path.name[5:]) for path in (tmp_path / "a" / "checkpoints").iterdir())
    for turn in session(run, out=tmp_path / "b"):
        if turn.step == step:
            turn.stop()
    ours, theirs = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs) and len(ours) == len(theirs)
    assert found["updates"] > 0 and found["steps"] >= 100
    shares = {p["part"]: p for p in found["parts"]}
    assert list(shares) == list(parts.PARTS)
    assert sum(p["share"] for p in found["parts"]) == pytest.approx(1, abs=0.01)
    assert sum(p["cpu_share"] for p in found["parts"]) == pytest.approx(1, abs=0.01)
    assert "interact" in {bar["name"] for bar in found["flame"] if bar["depth"] == 0}
    assert found["memory_bytes"]["last"] > 10_000_000


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        ("rl.loop:interact envs.stream:Stream.step envs.vector.serial:Serial.step", "environment"),
        ("rl.loop:interact agents.base:Agent.act agents.base:Actor.act torch.nn:Module.forward", "acting"),
        ("rl.loop:interact agents.replay_agent:ReplayAgent.observe rl.replay:Replay.append", "storing"),
        ("rl.loop:interact agents.replay_agent:ReplayAgent.update rl.replay:Replay.sample", "sampling"),
        ("rl.loop:interact agents.rollout:RolloutAgent.update agents.rollout:RolloutAgent.rollout", "sampling"),
        ("rl.loop:interact a:A.update agents.value:ValueAgent.gradient agents.dqn:DQN.loss", "forward"),
        ("rl.loop:interact a:A.update agents.value:ValueAgent.gradient rl.optim:FlatOptimizer.backward", "backward"),
        ("rl.loop:interact a:A.update rl.optim:FlatOptimizer.apply rl.optim:FlatOptimizer._adam", "optimizer"),
        ("runs.training.session:Session._log_episodes runs.folder.jsonl:JsonlWriter.write", "logging"),
        ("rl.loop:interact envs.stream:Stream.step envs.vector.workers:Workers._poll_pipe_envs", "waiting"),
        ("rl.loop:interact agents.ntuple:NTuple.update envs.boards.model:BoardModel.look_ahead", "acting"),
        ("rl.loop:interact agents.ntuple:NTuple.update agents.ntuple:NTuple._learn", "backward"),
        ("rl.loop:interact a:A.update", "the rest"),
    ],
)
def test_a_stack_belongs_to_one_part(stack: str, part: str) -> None:
    assert parts.part_of(tuple((m, f) for m, _, f in (call.partition(":") for call in stack.split()))) == part


class Session:
    """A stand-in with the function that the clock looks below."""

    def _train(self, call):
        return call()


def test_operations_of_products_convolutions_and_their_gradients_are_counted() -> None:
    x, w = torch.ones(8, 3, 6, 6), torch.ones(5, 3, 3, 3, requires_grad=True)

    def gradient() -> torch.Tensor:
        return torch.nn.functional.conv2d(x, w).sum()

    def backward(loss: torch.Tensor) -> None:
        loss.backward()

    with parts.counted_operations() as found:
        Session()._train(lambda: backward(Session()._train(gradient)))
        Session()._train(lambda: torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3)))
    forward = 2 * 8 * 5 * 4 * 4 * 3 * 3 * 3
    assert found == {"forward": forward, "backward": forward, "the rest": 2 * 2 * 3 * 4}


@pytest.mark.parametrize("width", [16, 144])
def test_operations_of_networks_without_autograd_are_counted(width: int) -> None:
    agent = agents.build(DQNConfig(net=NetConfig(hidden=(width,))), envs.spec("CartPole-v1"), num_envs=1, seed=0)
    x, grad = np.ones((300, 4), np.float32), np.ones((300, 2), np.float32)
    small = isinstance(agent.dense, CompiledDense)
    assert small == (width == 16)
    with parts.counted_operations() as found:
        Session()._train(lambda: agent.dense.backward(grad, agent.dense.forward(x)[1]))
        if not small:
            Session()._train(lambda: agent.dense.input_gradient(grad, agent.dense.forward(x)[1], slice(None)))
    forward = 2 * 300 * (4 * width + width * 2)
    assert found == {"the rest": (1 if small else 2) * forward, "backward": (2 if small else 3) * forward}


@pytest.mark.parametrize("own", [True, False])
def test_the_clock_gives_each_function_its_time(own: bool) -> None:
    clock = profiling.Clock()

    def act() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    def measure() -> None:
        with clock.running():
            Session()._train(act)

    if own:
        measure()
    else:  # a thread gets no signals
        thread = threading.Thread(target=measure)
        thread.start()
        thread.join()
    acting = sum(seconds for stack, seconds in clock.cpu.items() if parts.part_of(stack) == "acting")
    assert acting == pytest.approx(0.1, rel=0.5) and clock.looks > 3
    assert sum(clock.wall.values()) >= 0.9 * acting


def test_the_flame_graphs_bars_lie_within_their_callers() -> None:
    a, b, c = ("m", "a"), ("m", "b"), ("m", "c")
    bars = parts.tree({(a, b): 1.0, (a, c): 2.0, (a,): 1.0})
    assert [(bar["name"], bar["depth"], bar["left"], bar["share"]) for bar in bars] == [
        ("a", 0, 0, 1),
        ("b", 1, 0, 0.25),
        ("c", 1, 0.25, 0.5),
    ]


def test_the_command_writes_a_page_and_one_json_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    words = ["profile", "cartpole_ppo", "--steps", "3000", "--out", str(page), "--set", "rollout=32"]
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"] == "cartpole_ppo" and found["steps"] >= 3000 and found["html"] == str(page)
    assert {p["part"] for p in found["parts"] if p["gflops"]} >= {"acting", "forward", "backward"}
    assert all(p["of_limit"] is None or p["of_limit"] > 0 for p in found["parts"])
    html = page.read_text(encoding="utf-8")
    assert "Flame graph" in html and 'class="agents"' in html and "<script src" not in html and "http" not in html
    assert cli.main(["profile", "cartpole_ppo", "--steps", "500", "--out", str(page / "x"), "--set", "rollout=32"]) == 2
    assert "cannot be written" in capsys.readouterr().err
