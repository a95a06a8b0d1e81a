"""One training by several processes: the gradients and weights of one process, the same bits twice, clean ends."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

import agents
import envs
from agents.a2c import A2CConfig
from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.policy_config import RolloutConfig
from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from agents.r2d2 import R2D2Config
from agents.value_config import ValueConfig
from rl import device
from rl import ranks as joining
from rl.checkpoint import load_tree, newest_good
from rl.cores import usable_cores
from rl.errors import InputError, RunError
from rl.loop import interact
from rl.networks import NetConfig
from rl.seeding import derive_seed
from runs import evaluate, load, resume, train
from runs.cli import command_line as cli
from runs.recipe import Run
from runs.sharing.web.export import export_web
from runs.training import evaluation, ranks
from runs.training.evaluation import GameRecord, padded, play_games, play_together

ROOT = Path(__file__).resolve().parents[3]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
NET = NetConfig(hidden=(16,))
needs_two_cores = pytest.mark.skipif(usable_cores() < 2, reason="two ranks need two cores")
PPO = PPOConfig(
    net=NET,
    rollout=16,
    epochs=2,
    minibatch_size=20,
    lr=1e-3,
    target_kl=0.02,
    max_grad_norm=0.3,
    normalize_obs=True,
    normalize_return=True,
)
AGENTS: dict[str, RolloutConfig] = {
    "ppo": PPO,
    "ppo with memory": dataclasses.replace(PPO, net=NetConfig(hidden=(8,), core="gru", core_size=8), minibatch_size=32),
    "a2c": A2CConfig(net=NET, rollout=5),
    "pqn": PQNConfig(net=NetConfig(hidden=(16,), layer_norm=True), rollout=8, minibatches=4),
}


VALUE: dict[str, Any] = {"net": NET, "batch_size": 13, "learning_starts": 100, "update_every": 4, "lr": 1e-3}
VALUE_AGENTS: dict[str, ValueConfig] = {
    "dqn": DQNConfig(**VALUE, double=True),
    "rainbow": C51Config(**VALUE, n_step=3, double=True, dueling=True, noisy=True, prioritized=True, v_min=0, v_max=50),
    "iqn": IQNConfig(**VALUE, munchausen=True),
    "r2d2": R2D2Config(
        **VALUE | {"net": NetConfig(hidden=(8,), core="gru", core_size=8)},
        burn_in=4,
        length=8,
        period=4,
        prioritized=True,
    ),
}


def run_of(agent: RolloutConfig | ValueConfig = PPO, steps: int = 1_200) -> Run:
    fixed = {"eval_every": 0, "save_every": 0, "log_every": 400, "eval_episodes": 1, "eval_max_steps": 5}
    return Run(env="CartPole-v1", agent=agent, steps=steps, num_envs=4, **fixed)


def state(folder: Path, name: str = "agent") -> Any:
    return load_tree(newest_good(folder)[0], name)


def difference(a: Any, b: Any) -> float:
    """The largest difference of two trees' numbers."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return max((difference(a[k], b[k]) for k in a), default=0.0)
    return float((torch.as_tensor(a).double() - torch.as_tensor(b).double()).abs().max())


class Half:
    """Rank `rank` of two, in one process: the second adds what the first has computed."""

    count = 2
    part = joining.Ranks.part

    def __init__(self, rank: int, sent: list[Tensor]) -> None:
        self.rank, self.sent = rank, sent

    def sum(self, x: Tensor) -> None:
        if self.rank:
            x += self.sent[0]
        else:
            self.sent.append(x.clone())


@pytest.mark.parametrize("name", AGENTS)
def test_the_parts_of_a_gradient_add_up_to_that_of_the_whole_minibatch(name: str) -> None:
    config = AGENTS[name]
    agent = agents.build(config, envs.spec("CartPole-v1"), num_envs=4, seed=0, device="cpu")
    with envs.make("CartPole-v1", num_envs=4) as env:
        for _ in interact(env, agent, 4 * 3 * config.rollout + 8):
            pass
    batch, _ = agent.next_update()
    whole = agent.gradient(batch)
    gradient = agent.optimizer.grad.clone()
    valid = batch.valid if batch.valid.dim() > 1 else torch.ones(1, dtype=torch.bool)
    metrics = {
        k: torch.where(valid, v, 0.0).sum() / valid.sum() if v.dim() > 1 else v.mean() for k, v in whole.metrics.items()
    }
    sent: list[Tensor] = []
    for rank in range(2):
        agent.optimizer.grad.zero_()
        shared = agent._shared_gradient(batch, Half(rank, sent))
    assert difference(agent.optimizer.grad, gradient) < 1e-6 and gradient.abs().max() > 1e-4
    assert float(shared.loss) == pytest.approx(float(whole.loss), abs=1e-6)
    assert {k: float(v) for k, v in shared.metrics.items()} == pytest.approx(
        {k: float(v.detach()) for k, v in metrics.items()}, abs=1e-5
    )


@pytest.mark.parametrize("name", VALUE_AGENTS)
def test_the_parts_of_a_value_learners_update_add_up_to_that_of_the_whole_minibatch(name: str) -> None:
    """13 rows: rank 0 computes 6 and rank 1 computes 7."""
    spec = envs.spec("CartPole-v1")
    whole, first, second = (agents.build(VALUE_AGENTS[name], spec, num_envs=4, seed=0, device="cpu") for _ in range(3))
    for agent in (whole, first, second):
        with envs.make("CartPole-v1", num_envs=4) as env:
            for _ in interact(env, agent, 240):
                pass
    sent: list[Tensor] = []
    first.ranks, second.ranks = Half(0, sent), Half(1, sent)
    agreed = whole.learn(whole.sample())
    first.learn(first.sample())
    shared = second.learn(second.sample())
    assert whole.updates == second.updates > 20
    assert difference(second.optimizer.grad, whole.optimizer.grad) < 1e-6 and whole.optimizer.grad.abs().max() > 1e-4
    assert float(shared["loss"]) == pytest.approx(float(agreed["loss"]), abs=1e-5)
    assert shared["q_mean"].isclose(agreed["q_mean"], atol=1e-5) or name == "r2d2", "of r2d2 only some rows are valid"
    if whole.config.prioritized:
        ours, theirs = (agent.replay.state_dict()["priorities"] for agent in (second, whole))
        assert difference(ours, theirs) < 1e-5


@needs_two_cores
def test_two_ranks_equal_one_process_with_the_same_global_batch(tmp_path: Path) -> None:
    one = train(run_of(), out=tmp_path / "one")
    two = train(run_of(), out=tmp_path / "two", ranks=2)
    ours, theirs = state(tmp_path / "one"), state(tmp_path / "two")
    assert ours["updates"] == theirs["updates"] >= 50, "the KL stop came at the same updates"
    assert difference(ours["network"], theirs["network"]) < 1e-6, "weights and moments of observations"
    assert (
        difference(state(tmp_path / "one", "learner")["returns"], state(tmp_path / "two", "learner")["returns"]) < 1e-6
    )
    assert (tmp_path / "one" / "episodes.jsonl").read_text() == (tmp_path / "two" / "episodes.jsonl").read_text()
    assert one["steps"] == two["steps"] and json.loads((tmp_path / "two" / "run.json").read_text())["ranks"] == 2
    with pytest.raises(InputError, match="--ranks has 1, the run has 2: use the same one"):
        resume(tmp_path / "two", steps=2_000, ranks=1)
    assert not torch.distributed.is_initialized()


@pytest.mark.full
@needs_two_cores
def test_two_ranks_of_rainbow_draw_the_same_samples_as_one_process_and_resume_to_the_bit(tmp_path: Path) -> None:
    run = run_of(VALUE_AGENTS["rainbow"], 500)
    for name, count in (("one", 1), ("two", 2)):
        train(run, out=tmp_path / name, ranks=count)
    assert state(tmp_path / "two")["updates"] == state(tmp_path / "one")["updates"] >= 100
    assert difference(state(tmp_path / "one")["network"], state(tmp_path / "two")["network"]) < 1e-5
    train(dataclasses.replace(run, steps=300), out=tmp_path / "part", ranks=2)
    resume(tmp_path / "part", steps=500)
    assert same_bits(tmp_path / "two", tmp_path / "part")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cartpole_ppo", "--num-envs", "4", "--ranks", "3"], "--ranks 3 is no divisor of the 4 environments"),
        (["cartpole_ppo", "--num-envs", "1", "--ranks", "2"], "--ranks 2 is more than the 1 environments"),
        (["cartpole_ppo", "--num-envs", "64", "--ranks", "64"], "--ranks 64 is more than the "),
        (["pendulum_sac", "--ranks", "2"], "--ranks 2: sac cannot be sharded; ppo, a2c, pqn, reinforce and dqn's"),
        (["cartpole_dqn", "--ranks", "2", "--set", "overlap=true"], "the ranks act and learn in turn: leave overlap"),
        (["cartpole_dqn", "--ranks", "2", "--set", "batch_size=1"], "is more than batch_size 1: raise batch_size"),
        (["connect_four_ppo", "--ranks", "2"], "a learner that is its own opponent has one process"),
        (["cartpole_ppo", "--ranks", "0"], "--ranks: must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_sharded_is_refused_in_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *words, "--out", str(tmp_path / "run"), "--track", "off"]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (tmp_path / "run").exists()


def test_under_torchrun_its_number_of_ranks_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ranks.wanted(None) == 1 and ranks.wanted(2) == 2 and ranks.wanted(None, 2) == 2
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert ranks.wanted(None) == ranks.wanted(4) == 4
    with pytest.raises(InputError, match="--ranks has 2, torchrun has 4"):
        ranks.wanted(2)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import time; time.sleep(60)", "rank 1 did not reach the others within 1 s"),
        ("raise SystemExit(7)", "rank 1 ended before the training began, with exit status 7"),
    ],
)
def test_a_rank_that_does_not_arrive_ends_the_command(
    program: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def start(document: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", program]))
        return started[0]

    monkeypatch.setattr(ranks, "_start", start)
    monkeypatch.setattr(joining, "JOIN_SECONDS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    with pytest.raises(InputError, match=message):
        train(run_of(), out=tmp_path / "run", ranks=2)
    assert started[0].poll() is not None and not (tmp_path / "run").exists()


def test_a_state_travels_between_ranks_as_files_of_a_checkpoint() -> None:
    tree = {"a": torch.arange(3), "b": [1, None, (2.5, "x")], "c": {}}
    found = ranks.unpacked(ranks.packed(tree))
    assert torch.equal(found.pop("a"), tree.pop("a")) and found == tree  # type: ignore[arg-type]


def command(out: Path, *more: str) -> list[str]:
    words = "train cartpole_ppo --steps 3000 --num-envs 4 --set rollout=16 --set eval_every=0 --set eval_episodes=1"
    return [*words.split(), "--set", "save_every=500", "--track", "off", "--out", str(out), *more]


def rl(*words: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, *launcher, "-m", "runs", *words]
    return subprocess.Popen(program, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def same_bits(a: Path, b: Path) -> bool:
    trees = (("agent", "network"), ("learner", "optimizer"))
    return all(difference(state(a, tree)[part], state(b, tree)[part]) == 0 for tree, part in trees)


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.skipif(os.name == "nt" or usable_cores() < 2, reason="two cores, and SIGKILL")
def test_the_same_command_gives_the_same_bits_also_after_any_rank_was_killed_and_by_torchrun(tmp_path: Path) -> None:
    whole = rl(*command(tmp_path / "whole", "--ranks", "2"))
    assert whole.wait(300) == 0
    for victim in (0, 1):
        out = tmp_path / f"killed {victim}"
        first = rl(*command(out, "--ranks", "2"))
        while not list((out / "checkpoints").glob("step-*")):
            time.sleep(0.05)
        (other,) = psutil.Process(first.pid).children()
        os.kill(first.pid if victim == 0 else other.pid, signal.SIGKILL)
        _, err = first.communicate(timeout=120)
        assert victim == 0 or (first.returncode == 1 and "has lost another rank, which has ended" in err)
        psutil.wait_procs([other], 30)
        assert not other.is_running(), "the other rank ends too"
        launcher = TORCHRUN if victim == 0 else ()
        again = rl("resume", str(out), "--track", "off", launcher=launcher)
        _, err = again.communicate(timeout=300)
        assert again.returncode == 0, err
        assert same_bits(tmp_path / "whole", out)
    torchrun = rl(*command(tmp_path / "torchrun"), launcher=TORCHRUN)
    _, err = torchrun.communicate(timeout=300)
    assert torchrun.returncode == 0, err
    assert same_bits(tmp_path / "whole", tmp_path / "torchrun")


class Part:
    """Rank `rank` of two that encode one after the other in one process; `parts` has what both have encoded."""

    count = 2

    def __init__(self, rank: int, parts: list[Tensor]) -> None:
        self.rank, self.parts, self.turns = rank, parts, 0

    def await_turn(self) -> None:
        self.turns += 1

    def join(self, part: Tensor, dim: int) -> Tensor:
        self.parts.append(part.clone())
        return torch.cat((self.parts * 2)[:2] if self.rank == 0 else self.parts, dim)


@pytest.mark.parametrize("core", ["none", "gru"])
def test_each_rank_encodes_the_observations_of_its_own_environments(core: Any) -> None:
    config = PPOConfig(net=NetConfig(hidden=(16,), core=core, core_size=8), rollout=8, minibatch_size=16)
    spec = envs.spec("Arcade/Breakout-v1")
    first, second, alone = (agents.build(config, spec, num_envs=4, seed=0, device="cpu") for _ in range(3))
    with envs.make("Arcade/Breakout-v1", num_envs=4) as env:
        row = env.reset()
    parts: list[Tensor] = []
    for rank, agent in enumerate((first, second)):
        agent.ranks = Part(rank, parts)
        agent.act(row)
    assert [x.shape[1 if core == "gru" else 0] for x in parts] == [2, 2] and second.ranks.turns == 1
    assert second.network.torso.ranks is None, "an evaluation on one rank encodes everything"
    alone.act(row)
    assert difference(alone._stream.extra, second._stream.extra) < 1e-6
    assert alone._stream.memory.allclose(second._stream.memory, atol=1e-6)


class Orders:
    """Rank `rank` of two, whose orders are those of rank 0."""

    count = 2

    def __init__(self, rank: int, given: list[int]) -> None:
        self.rank, self.given = rank, given

    def order(self, number: int = 0) -> int:
        if self.rank == 0:
            self.given.append(number)
        return self.given[-1]


@pytest.mark.parametrize("agent", [PPOConfig(), PQNConfig(), DQNConfig()])
@pytest.mark.parametrize("fast", [True, False])
def test_every_rank_computes_in_the_precision_that_rank_0_measured(
    agent: Any, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, given = dataclasses.replace(run_of(agent), env="Arcade/Breakout-v1"), list[int]()
    spec = envs.spec(run.env)
    monkeypatch.setattr(device, "fast_bf16", lambda where: fast)
    first = ranks.built(run, spec, Orders(0, given), "cpu")  # type: ignore[arg-type]
    monkeypatch.setattr(device, "fast_bf16", lambda where: not fast)
    second = ranks.built(run, spec, Orders(1, given), "cpu")  # type: ignore[arg-type]
    assert first.choices() == second.choices() and first.choices()["precision"] == ("bf16" if fast else "fp32")


def test_a_resumed_run_keeps_its_precision_though_a_second_measurement_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = PPOConfig(net=NetConfig(hidden=(16,)), rollout=16, minibatch_size=32)
    run = dataclasses.replace(run_of(agent, steps=128), env="Arcade/Breakout-v1", num_envs=1)
    for name, first, second in (("whole", True, True), ("parts", True, False)):
        monkeypatch.setattr(device, "fast_bf16", lambda where, fast=first: fast)
        train(dataclasses.replace(run, steps=64) if name == "parts" else run, out=tmp_path / name)
        monkeypatch.setattr(device, "fast_bf16", lambda where, fast=second: fast)
    resume(tmp_path / "parts", steps=128)
    again = json.loads((tmp_path / "parts" / "run.json").read_text())
    assert again["resumed"][0]["choices"]["precision"] == again["choices"]["precision"] == "bf16"
    assert difference(state(tmp_path / "whole")["network"], state(tmp_path / "parts")["network"]) == 0


def test_a_run_that_is_loaded_computes_as_in_its_training_if_the_processor_has_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = PPOConfig(net=NetConfig(hidden=(16,)), rollout=16, minibatch_size=32)
    run = dataclasses.replace(run_of(agent, steps=64), env="Arcade/Breakout-v1", num_envs=1, snapshots=2)
    for fast, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(device, "fast_bf16", lambda where, fast=fast: fast)
        folder = tmp_path / precision
        score = train(run, out=folder)
        for module in (device, evaluation):
            monkeypatch.setattr(module, "fast_bf16", lambda where: True)
        first = min((folder / "checkpoints").iterdir())
        assert [load(path).choices()["precision"] for path in (folder, first)] == [precision] * 2
        assert evaluate(folder)["returns"] == score["returns"]
        assert export_web(folder, tmp_path / "page.html")["generations"][0] == 0  # untrained, and a checkpoint
        assert len(list((folder / "checkpoints").iterdir())) > 1
        shutil.copytree(first, tmp_path / f"{precision} alone")
        assert load(tmp_path / f"{precision} alone").choices()["precision"] == "fp32"
        (folder / "generations" / "checkpoints").mkdir(parents=True)
        generation = shutil.copytree(first, folder / "generations" / "checkpoints" / first.name)
        assert load(generation).choices()["precision"] == precision
        for module in (device, evaluation):
            monkeypatch.setattr(module, "fast_bf16", lambda where: False)
        assert load(folder).choices()["precision"] == "fp32", "emulated bfloat16 takes ten times as long"


@pytest.mark.parametrize("info", [{}, [], {"choices": None}, {"choices": {"precision": "fp8"}}])
def test_a_run_json_without_a_known_precision_means_float32(info: Any) -> None:
    assert evaluation.precision_of(info) == "fp32"


def test_a_run_in_float32_goes_on_and_acts_in_it_though_bfloat16_is_measured_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = PPOConfig(net=NetConfig(hidden=(16,)), rollout=16, minibatch_size=32)
    run = dataclasses.replace(run_of(agent, steps=32), env="Arcade/Breakout-v1", num_envs=1)
    monkeypatch.setattr(device, "fast_bf16", lambda where: False)
    train(run, out=tmp_path / "run")
    monkeypatch.setattr(device, "fast_bf16", lambda where: True)
    assert load(tmp_path / "run").choices()["precision"] == "fp32"
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    del document["choices"]["precision"]  # a run of an agent that had no choice yet
    (tmp_path / "run" / "run.json").write_text(json.dumps(document))
    resume(tmp_path / "run", steps=64)
    again = json.loads((tmp_path / "run" / "run.json").read_text())["resumed"][0]
    assert again["choices"]["precision"] == "fp32"


@pytest.mark.full
@needs_two_cores
def test_two_ranks_that_share_a_convolution_equal_one_process(tmp_path: Path) -> None:
    net = NetConfig(hidden=(32,))
    agent = dataclasses.replace(PPO, net=net, normalize_obs=False, precision="fp32")  # bfloat16 rounds each rank's part
    run = dataclasses.replace(run_of(agent), env="Arcade/Breakout-v1")
    train(run, out=tmp_path / "one")
    train(run, out=tmp_path / "two", ranks=2)
    assert state(tmp_path / "two")["updates"] >= 50
    assert difference(state(tmp_path / "one")["network"], state(tmp_path / "two")["network"]) < 1e-6


@pytest.mark.full
@needs_two_cores
@pytest.mark.parametrize("name", ["a2c", "pqn", "ppo with memory", "dqn", "iqn", "r2d2"])
def test_two_ranks_of_every_kind_of_agent_equal_one_process(name: str, tmp_path: Path) -> None:
    agent = (AGENTS | VALUE_AGENTS)[name]
    train(run_of(agent), out=tmp_path / "one")
    train(run_of(agent), out=tmp_path / "two", ranks=2)
    assert difference(state(tmp_path / "one")["network"], state(tmp_path / "two")["network"]) < 1e-6


def playing(env: str, ranks: int, out: Path, **fields: Any) -> dict[str, Any]:
    agent = PPOConfig(net=NetConfig(hidden=(32, 32)), rollout=16, minibatch_size=32)
    fixed = {"eval_every": 200, "save_every": 0, "eval_max_steps": 150, **fields}
    run = Run(env=env, agent=agent, steps=400, num_envs=4, **fixed)
    return train(run, out=out, ranks=ranks)


@needs_two_cores
@pytest.mark.parametrize(
    ("env", "fields"),
    [("Pendulum-v1", {"eval_episodes": 21}), ("Boards/TicTacToe-v1", {"eval_episodes": 5, "eval_sample": True})],
)
def test_evaluation_games_shared_by_two_ranks_give_the_score_of_one_process(
    env: str, fields: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[range] = []
    part = joining.Ranks.part
    monkeypatch.setattr(joining.Ranks, "part", lambda self, count: played.append(part(self, count)) or played[-1])
    two = playing(env, 2, tmp_path / "two", **fields)
    alone = evaluate(tmp_path / "two")
    count = fields["eval_episodes"]
    assert played == [range(count // 2)] * 2, "rank 0 plays half of the games, on the way and at the end"
    assert {k: two[k] for k in alone} == alone
    lines = (tmp_path / "two" / "evaluations.jsonl").read_text().splitlines()
    assert len(lines) == 2 and len(set(json.loads(lines[1])["seeds"])) == count


class Meeting:
    """Rank 0 of two, in one process; `answers` are what rank 1 sends in turn."""

    def __init__(self, answers: list[np.ndarray]) -> None:
        self.answers, self.sent = answers, list[np.ndarray]()

    def gather(self, data: np.ndarray) -> list[np.ndarray]:
        self.sent.append(data)
        return [data, self.answers.pop(0)]


def answer(over: int, complete: bool, failed: bool, text: str = "") -> np.ndarray:
    return np.concatenate([np.array([over, complete, failed], np.int64).view(np.uint8), padded(text)])


def rows_of(record: GameRecord, own: int) -> Iterator[int]:
    for game in range(own):
        record.returns[game], record.lengths[game], record._done[game] = 1.5 + game, 7, True
        yield record.over


def test_a_rank_that_fails_in_an_evaluation_ends_it_with_its_own_words() -> None:
    record = GameRecord(4, range(2))
    with pytest.raises(RunError, match="the evaluation games of rank 1 failed: ValueError: no ball"):
        play_together(Meeting([answer(0, False, True, "ValueError: no ball")]), rows_of(record, 2), record)


def test_a_request_to_stop_an_evaluation_reaches_the_other_ranks() -> None:
    meeting, record = Meeting([answer(1, False, False)]), GameRecord(4, range(2))

    def stop(over: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_together(meeting, rows_of(record, 2), record, stop)
    assert meeting.sent[0][:24].view(np.int64)[2] == 1


def test_a_record_takes_the_games_of_all_ranks_and_tells_how_many_are_over() -> None:
    record, other = GameRecord(4, range(2)), GameRecord(4, range(2, 4))
    other.returns[2:], other.lengths[2:], other._seats = [-1.0, 0.1], [3, 2**40], np.array([0, 0, 1, 0])
    told: list[int] = []
    numbers = other.numbers().view(np.uint8)
    meeting = Meeting([answer(1, False, False), answer(2, True, False), numbers])
    play_together(meeting, rows_of(record, 2), record, told.append)
    assert record.returns.tolist() == [1.5, 2.5, -1.0, 0.1] and record.lengths.tolist() == [7, 7, 3, 2**40]
    assert told == [1, 2]


def test_games_start_from_the_number_first_with_the_seeds_of_the_whole_list() -> None:
    with envs.make("CartPole-v1", num_envs=3, games=4, first=4, stream="evaluate") as part:
        row, seen = part.reset(), dict[int, int]()
        assert row.info["game"].tolist() == [6, 4, 5], "each in the environment of its number modulo 3"
        while (row.info["game"] >= 0).any():
            seen |= dict(zip(row.info["game"].tolist(), row.info["seed"].tolist(), strict=True))
            row = part.step(np.zeros(3, np.int64))
    assert {game: seed for game, seed in seen.items() if game >= 0} == {
        game: derive_seed(0, "evaluate", game) for game in range(4, 8)
    }


@pytest.mark.parametrize("episodes", [1, 5, 8, 11])
def test_the_games_of_two_ranks_have_the_bits_of_one_process(episodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = NetConfig(hidden=(64,), core="gru", core_size=32)
    run = Run(env="Pendulum-v1", agent=PPOConfig(net=net), steps=1, num_envs=1, eval_max_steps=60)
    agent = agents.build(run.agent, envs.spec(run.env), num_envs=1, seed=0, device="cpu")
    whole = play_games(agent, run, episodes=episodes, seed=0)
    monkeypatch.setattr(evaluation, "play_together", lambda ranks, rows, record, tell: list(rows))
    halves = [
        play_games(agent, run, episodes=episodes, seed=0, ranks=SimpleNamespace(rank=rank, part=part))
        for rank, part in enumerate((lambda n: range(n // 2), lambda n: range(n // 2, n)))
    ]
    assert (np.array([half.returns for half in halves]).sum(0) == whole.returns).all()
