"""Stable-Baselines3's models come in without running anything of theirs, and ours go out with the same actions."""

from __future__ import annotations

import copy
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3

from rl.errors import InputError
from runs import load
from runs.sharing import sb3_zip
from runs.sharing.export import export
from runs.sharing.sb3_zip import read
from runs.training.train import train

SMALL = {"buffer_size": 10, "policy_kwargs": {"net_arch": [7, 5]}}
MODELS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "dqn": (DQN, "CartPole-v1", SMALL),
    "ppo": (PPO, "CartPole-v1", {"policy_kwargs": {"activation_fn": torch.nn.ReLU, "net_arch": [9, 8, 7]}}),
    "a2c": (A2C, "Pendulum-v1", {}),
    "sac": (SAC, "Pendulum-v1", SMALL),
    "td3": (TD3, "Pendulum-v1", SMALL),
}


class Picture(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 255, (4, 40, 40), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, **_: Any) -> Any:
        return self.observation_space.sample(), {}


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, found = tmp_path_factory.mktemp("zips"), {}
    for name, (kind, env, fields) in MODELS.items():
        found[name] = folder / f"{name}.zip"
        kind("MlpPolicy", gymnasium.make(env), seed=1, device="cpu", **copy.deepcopy(fields)).save(found[name])
    return found


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_an_agent_out_of_sb3s_file_acts_as_sb3s_model(name: str, named: bool, zips: dict[str, Path]) -> None:
    kind, env, _ = MODELS[name]
    agent = load(zips[name], sb3=True, env=env if named else None)
    obs = np.random.default_rng(0).normal(scale=30, size=(500, 4 if env == "CartPole-v1" else 3)).astype(np.float32)
    wanted, _ = kind.load(zips[name], device="cpu").predict(obs, deterministic=True)
    action, state = agent.predict(obs, deterministic=True)
    np.testing.assert_allclose(action, wanted, atol=1e-5)
    assert agent.name == name and state is None and len(np.unique(wanted)) > 1


@pytest.mark.parametrize("kind", [DQN, PPO])
def test_sb3s_pictures_network_is_read_too(kind: Any, tmp_path: Path) -> None:
    more = {"buffer_size": 10} if kind is DQN else {}
    model = kind("CnnPolicy", Picture(), device="cpu", seed=0, **more)
    model.save(tmp_path / "a.zip")
    obs = np.random.default_rng(0).integers(0, 256, (20, 4, 40, 40), np.uint8)
    action, _ = load(tmp_path / "a.zip", sb3=True).predict(obs, deterministic=True)
    assert action.tolist() == model.predict(obs, deterministic=True)[0].tolist()


@pytest.mark.parametrize("shared", [True, False])
def test_separate_picture_networks_of_policy_and_critic_give_sb3s_values_and_go_out_again(
    shared: bool, tmp_path: Path
) -> None:
    model = PPO("CnnPolicy", Picture(), device="cpu", seed=0, policy_kwargs={"share_features_extractor": shared})
    model.save(tmp_path / "a.zip")
    agent = load(tmp_path / "a.zip", sb3=True)
    obs = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 4, 40, 40), np.uint8))
    with torch.no_grad():
        ours = agent.greedy({"obs": obs}, None, None)
        wanted = model.policy.predict_values(obs)[:, 0]
    torch.testing.assert_close(ours.numbers["value"], wanted, atol=1e-5, rtol=1e-4)
    places = sb3_zip.names("ppo", True, 1, agent.network.state_dict())
    filled = {name for there in places.values() for name in there}
    assert filled == set(model.policy.state_dict())


def test_an_sb3_policy_with_layers_of_another_kind_is_refused(tmp_path: Path) -> None:
    PPO("CnnPolicy", Picture(), device="cpu", policy_kwargs={"net_arch": [512]}).save(tmp_path / "a.zip")
    with pytest.raises(InputError, match="does not fit: no network of this suite has its 'mlp_extractor.policy_net.0"):
        load(tmp_path / "a.zip", sb3=True)


class Bomb:
    def __reduce__(self) -> Any:
        return (open, ("/tmp/ludo-sb3-was-run", "w"))


def packed(path: Path, data: bytes, weights: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", data)
        archive.writestr("policy.pth", weights)
    return path


def saved(value: Any) -> bytes:
    torch.save(value, file := io.BytesIO())
    return file.getvalue()


GOOD = {"q_net.q_net.0.weight": torch.ones(2, 4), "q_net.q_net.0.bias": torch.zeros(2)}
HEAD = {"q_net.q_net.4.weight": torch.ones(2, 10**6)}
HOSTILE: dict[str, tuple[bytes, bytes]] = {
    "a pickle instead of weights": (b"{}", pickle.dumps(Bomb())),
    "a pickle inside the weights": (b"{}", saved({"q_net.q_net.0.weight": Bomb()})),
    "no JSON": (b"{", saved(GOOD)),
    "JSON that is no object": (b"[]", saved(GOOD)),
    "JSON nested too deeply": (b"[" * 100_000 + b"]" * 100_000, saved(GOOD)),
    "JSON larger than 32 MB": (b" " * (33 << 20), saved(GOOD)),
    "weights that are no table": (b"{}", saved([torch.ones(3)])),
    "names that are no text": (b"{}", saved({1: torch.ones(3)})),
    "a number that is not finite": (b"{}", saved({**GOOD, "q_net.q_net.0.bias": torch.tensor([0.0, np.nan])})),
    "another policy": (b"{}", saved({"my_net.weight": torch.ones(2, 2)})),
    "a first layer for other observations": (b"{}", saved({**GOOD, "q_net.q_net.0.weight": torch.ones(2, 5)})),
    "a head of another size": (
        b"{}",
        saved({"q_net.q_net.0.weight": torch.ones(3, 4), "q_net.q_net.0.bias": torch.ones(3)}),
    ),
    "a missing bias": (b"{}", saved({"q_net.q_net.0.weight": torch.ones(2, 4)})),
    "a tensor of a terabyte on four bytes": (b"{}", saved({**GOOD, "x": torch.zeros(1).expand(10**6, 10**6)})),
    "weights without data": (b"{}", saved({**GOOD, "x": torch.ones(3, device="meta")})),
    "whole numbers": (b"{}", saved({key: x.to(torch.int8) for key, x in GOOD.items()})),
    "layers that do not fit each other": (
        b"{}",
        saved({"q_net.q_net.0.weight": torch.ones(10**6, 4), "q_net.q_net.2.weight": torch.ones(10**6, 1), **HEAD}),
    ),
    "another activation": (
        b'{"policy_kwargs": {"activation_fn": "<class \'torch.nn.modules.linear.Identity\'>"}}',
        saved(GOOD),
    ),
    "a scalar as a weight": (b"{}", saved({**GOOD, "q_net.q_net.0.weight": torch.tensor(1.0)})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_file_is_refused_in_one_line_and_runs_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(packed(tmp_path / "a.zip", *HOSTILE[name]), "CartPole-v1")
    assert "\n" not in str(caught.value) and not Path("/tmp/ludo-sb3-was-run").exists()


def test_weights_and_spaces_that_unpack_without_limit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = saved({**GOOD, "x": torch.zeros(1 << 19)})
    with zipfile.ZipFile(io.BytesIO(large)) as plain, zipfile.ZipFile(tmp_path / "inner", "w", 8) as small:
        for info in plain.infolist():
            small.writestr(info.filename, plain.read(info))
    monkeypatch.setattr(sb3_zip, "LARGEST_WEIGHTS", 1 << 20)
    with pytest.raises(InputError, match="unpacks to more than 1 MB"):
        read(packed(tmp_path / "a.zip", b"{}", (tmp_path / "inner").read_bytes()), "CartPole-v1")
    spaces = {
        "observation_space": {":type:": "<class 'gymnasium.spaces.box.Box'>", "_shape": "(4,)", "dtype": "float32"},
        "action_space": {":type:": "<class 'gymnasium.spaces.discrete.Discrete'>", "n": str(10**11), "start": "0"},
    }
    with pytest.raises(InputError, match="the head of 100000000000 actions"):
        read(packed(tmp_path / "a.zip", json.dumps(spaces).encode(), saved(GOOD)))


def test_a_file_that_is_no_zip_and_one_without_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("data", "{}")
    for name in ("a.zip", "b.zip", "none.zip"):
        with pytest.raises(InputError, match="is no model that Stable-Baselines3 saved"):
            read(tmp_path / name, "CartPole-v1")


def test_pickled_entries_of_the_json_are_never_decoded(zips: dict[str, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(zips["dqn"]) as archive:
        data, weights = json.loads(archive.read("data")), archive.read("policy.pth")
    for entry in data.values():
        if isinstance(entry, dict) and ":serialized:" in entry:
            entry[":serialized:"] = "!not base64, not a pickle!"
    assert read(packed(tmp_path / "a.zip", json.dumps(data).encode(), weights)).agent.name == "dqn"


@pytest.mark.parametrize("agent", ["dqn", "ppo"])
def test_our_weights_go_out_and_come_back_as_the_same_policy(agent: str, tmp_path: Path) -> None:
    settings = ["eval_every=0", "eval_episodes=1", "net.hidden=8x6"]
    settings += ["learning_starts=20"] if agent == "dqn" else []
    train("CartPole-v1", agent=agent, steps=300, out=str(tmp_path / "a"), quiet=True, track="off", settings=settings)
    found = export(tmp_path / "a", sb3=tmp_path / "a.zip")
    assert found["parity"]["same_actions"] + found["parity"]["ties"] == 1_000
    obs = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    ours, _ = load(tmp_path / "a").predict(obs, deterministic=True)
    again, _ = load(tmp_path / "a.zip", sb3=True, env="CartPole-v1").predict(obs, deterministic=True)
    assert again.tolist() == ours.tolist()


def test_a_network_that_sb3_lacks_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    settings = ["eval_every=0", "eval_episodes=1", "dueling=true", "learning_starts=20"]
    train("CartPole-v1", agent="dqn", steps=100, out=str(tmp_path / "a"), quiet=True, track="off", settings=settings)
    with pytest.raises(InputError, match="has no place for head"):
        export(tmp_path / "a", sb3=tmp_path / "a.zip")
    settings = ["eval_every=0", "eval_episodes=1", "learning_starts=20"]
    train("cartpole_dqn", steps=100, out=str(tmp_path / "b"), quiet=True, track="off", settings=settings)
    with pytest.raises(InputError, match=r"has no place for .*no layer norm") as error:
        export(tmp_path / "b", sb3=tmp_path / "a.zip")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a.zip").exists()
