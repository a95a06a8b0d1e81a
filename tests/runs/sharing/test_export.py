"""Exported policies decide as the agent does, whatever it is made of."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import agents
import envs
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.ppo import PPOConfig
from envs.config import EnvConfig
from rl.errors import InputError
from rl.frame_stack import FrameStack
from rl.networks import NetConfig
from runs.recipe import Run
from runs.sharing import deployed, onnx_file
from runs.sharing.export import export
from runs.training.train import train
from tests.agents.pictures import PictureArm
from tests.agents.test_contract import AGENTS, CONTINUOUS, LSTM, PLANNING, SHORT, VALUE

gymnasium.register("PictureArm-v0", PictureArm)
PIXELS = NetConfig(hidden=(8,), layer_norm=True)
BOARD = {"options": {"self_play": True}}
CASES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    **{f"{name}, CartPole": (config, "CartPole-v1", {}) for name, config in AGENTS.items()},
    **{f"{name}, Pendulum": (config, "Pendulum-v1", {}) for name, config in CONTINUOUS.items()},
    "categories": (IQNConfig(**VALUE, noisy=True, stack=2), "Taxi-v4", {}),
    "pictures": (
        DQNConfig(**{**VALUE, "net": NetConfig(hidden=(8,), layer_norm=True)}, stack=2),
        "Arcade/Breakout-v1",
        {},
    ),
    "masked": (PPOConfig(**SHORT, epochs=2, minibatch_size=8), "Boards/TicTacToe-v1", {}),
    "masked values": (DQNConfig(**VALUE), "Boards/TicTacToe-v1", {}),
    "alphazero": (PLANNING, "Boards/TicTacToe-v1", BOARD),
    "leaves": (PPOConfig(**{**SHORT, "net": LSTM}, epochs=2, minibatch_size=8, stack=2), "PictureArm-v0", {}),
}
QUICK = ["leaves", "masked values", "alphazero", "categories", "dqn normalised, CartPole", "iqn all fields, CartPole"]
QUICK += ["r2d2 noisy stacked, CartPole", "ppo lstm, CartPole", "sac, CartPole", "sac all fields, Pendulum"]
QUICK += ["td3 normalised, Pendulum", "gsde lstm, Pendulum", "state deviation, squashed, Pendulum"]
FILES = ["leaves", "td3, Pendulum"]


def made(name: str) -> tuple[deployed.Deployed, Run]:
    """An agent with weights large enough for different actions, and normalisers that have seen rows."""
    config, env, fields = CASES[name]
    if hasattr(config, "eval_epsilon"):
        config = dataclasses.replace(config, eval_epsilon=0.0)
    run = Run(env=env, agent=config, steps=1_000, env_config=EnvConfig(**fields))
    agent = agents.build(config, envs.spec(env, run.env_config), num_envs=8, seed=0, device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    for normaliser in agent.normalisers:
        normaliser.update({k: torch.randn(50, *x.shape) for k, x in agent.spec.obs.items()})
    return deployed.Deployed(agent).eval(), run


@pytest.mark.parametrize("name", [x if x in QUICK else pytest.param(x, marks=pytest.mark.full) for x in CASES])
def test_the_graph_acts_as_the_agent_does(name: str) -> None:
    model, run = made(name)
    agent, spec = model.agent, model.agent.spec
    if name == "alphazero":
        agent.config = dataclasses.replace(agent.config, eval_simulations=0)  # the network's own best move
    env = envs.make(run.env, num_envs=8, seed=1, stream="evaluate", config=run.env_config, games=99)
    actor, frames, state = agent.actor(8, 0), FrameStack(spec, 8, agent.stack), torch.zeros(8, agent.state_size)
    ts = env.reset()
    for _ in range(25):
        obs = frames.push(ts.obs, ts.first)
        state = state.masked_fill(torch.tensor(ts.first)[:, None], 0.0)
        extra = [] if ts.mask is None else [torch.from_numpy(ts.mask)]
        with torch.no_grad():
            out = model(*map(torch.from_numpy, obs.values()), *extra, *([state] if agent.state_size else []))
        state = out[-1] if agent.state_size else state
        action = actor.act(ts)
        wanted = spec.action.to_space(action).reshape(out[0].shape)
        open_game = ~ts.last if spec.masked else slice(None)
        np.testing.assert_allclose(out[0].numpy()[open_game], wanted[open_game], atol=1e-5)
        ts = env.step(action)
    env.close()


def test_an_action_that_does_not_exist_is_never_as_good_as_the_best() -> None:
    model, run = made("dqn normalised, CartPole")
    rows = deployed.record(model, run, 100)
    for wrong in (rows.actions - 2, rows.actions + 7, np.full(100, np.nan)):
        assert not deployed.compare(model, rows, lambda x, a=wrong: _served(rows, a, x)).holds  # type: ignore[misc]


def _served(rows: deployed.Recorded, actions: np.ndarray, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The recorded numbers with other `actions`, for the batch of `inputs`."""
    at = [np.flatnonzero((rows.inputs[0] == x).all(axis=tuple(range(1, x.ndim + 1))))[0] for x in inputs[0]]
    return [actions[at], *(x[at] for x in rows.outputs[1:])]


@pytest.mark.parametrize("name", ["dqn normalised, CartPole", "masked values", "alphazero", "sac all fields, Pendulum"])
def test_a_file_of_another_graph_than_the_agent_acts_by_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph's own outputs, unchanged, must not count as the agent's."""
    model, run = made(name)
    honest = deployed.record(model, run, 100)

    def whole(inputs: list[np.ndarray]) -> list[np.ndarray]:
        return [x.numpy() for x in model(*map(torch.from_numpy, inputs))]

    assert deployed.compare(model, honest, whole).holds
    wrong = type(model.agent).greedy

    def reversed_action(self: Any, *given: Any) -> Any:
        out = wrong(self, *given)
        flipped = -out.action if out.action.is_floating_point() else out.numbers[next(iter(out.numbers))].argmin(-1)
        return out._replace(action=flipped)

    monkeypatch.setattr(type(model.agent), "greedy", reversed_action)
    assert not deployed.compare(model, deployed.record(model, run, 100), whole).holds


def test_a_file_with_outputs_of_other_shapes_is_refused_in_one_line() -> None:
    model, run = made("dqn normalised, CartPole")
    rows = deployed.record(model, run, 100)
    action, values = rows.outputs
    for wrong in (
        [],
        [action[:, None], values],
        [action, values[:, :1]],
        [action, values, values],
        [np.array(0), values],
    ):
        with pytest.raises(InputError, match=r"^the file's outputs have the shapes .* on 1 observations, not \[\(1,\)"):
            deployed.compare(model, rows, lambda inputs, w=wrong: [x[: len(inputs[0])] if x.ndim else x for x in w])  # type: ignore[misc]
    assert deployed.compare(model, rows, lambda inputs: [_served(rows, rows.actions, inputs)[0]]).holds


def parity(name: str, write: Any, path: Path) -> deployed.Parity:
    model, run = made(name)
    rows = deployed.record(model, run, 200)
    write(model, run, rows, path)
    return deployed.compare(model, rows, onnx_file.session(path))


@pytest.mark.parametrize("name", [x if x in FILES else pytest.param(x, marks=pytest.mark.full) for x in CASES])
def test_onnxruntime_takes_the_same_action_with_the_same_numbers(name: str, tmp_path: Path) -> None:
    found = parity(name, onnx_file._save, tmp_path / "a.onnx")
    assert found.holds and found.observations == 200, found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    settings = ["learning_starts=20", "save_every=200", "eval_episodes=1", "eval_every=0"]
    train("cartpole_dqn", steps=200, out=str(folder), track="off", quiet=True, settings=settings)
    return folder


def test_a_file_that_disagrees_is_not_written(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(model: Any, recipe: Any, rows: Any, path: Path) -> None:
        path.write_bytes(b"lie")

    monkeypatch.setattr(onnx_file, "_save", lie)
    monkeypatch.setattr(
        onnx_file, "session", lambda path: lambda inputs: [np.zeros(len(inputs[0]), int), np.zeros((len(inputs[0]), 2))]
    )
    before = tmp_path / "a.onnx"
    before.write_bytes(b"the file of yesterday")
    with pytest.raises(
        InputError, match=r"was not written: on 1,000 observations it took the agent's action [\d,]+ times"
    ):
        export(run, onnx=before)
    assert [x.name for x in tmp_path.iterdir()] == ["a.onnx"] and before.read_bytes() == b"the file of yesterday"


@pytest.mark.parametrize("files", [{}, {"onnx": None}, {"csv": "a"}])
def test_exactly_one_known_format_is_named(run: Path, files: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match="export: give exactly one of --onnx FILE, --torch FILE, --sb3 FILE, --web FILE"
    ):
        export(run, **files)


def test_a_file_in_no_folder_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: name a file in a folder that exists"):
        export("nowhere", onnx=tmp_path / "none" / "a.onnx")


@pytest.mark.parametrize("name", ["q_learning", "mcts", "ntuple"])
def test_agents_without_a_network_of_their_own_refuse_in_one_line(name: str) -> None:
    env = "FrozenLake-v1" if name == "q_learning" else "Boards/TicTacToe-v1"
    agent = agents.build(agents.config(name), envs.spec(env, EnvConfig()), num_envs=1, seed=0)
    with pytest.raises(InputError, match=f"{name} has no network that could play alone"):
        deployed.Deployed(agent)


def test_a_missing_extra_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'.onnx. is not installed: pip install "ludo-rl\[onnx\]"'):
        export(run, onnx=tmp_path / "a.onnx")


def test_a_torch_program_agrees_and_says_what_it_is(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = export(run, torch=tmp_path / "a.pt2")
    assert not [w for w in warned if "No complete tensor" in str(w.message)]  # PyTorch's, of weights that share memory
    assert ".pt2" not in caplog.text  # torch warns if the temporary file has another suffix
    assert found["parity"]["same_actions"] + found["parity"]["ties"] == found["parity"]["observations"] == 1_000
    assert found["parity"]["largest_difference"] <= deployed.TOLERANCE and found["inputs"] == ["obs"]
    again = torch.export.load(tmp_path / "a.pt2", extra_files=(files := {"ludo_rl": ""}))
    action, values = again.module()(torch.zeros(3, 4))
    assert action.dtype == torch.int64 and action.tolist() == values.argmax(-1).tolist()
    assert json.loads(files["ludo_rl"])["env"] == "CartPole-v1"
