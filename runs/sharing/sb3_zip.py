"""Stable-Baselines3's model files (`model.save`): their weights as an agent of this suite, without any pickle.

A model file is a zip with `data` (JSON, in which Python objects are pickles in base64), `policy.pth` and others. Read
are the plain numbers and texts of `data` and, by `torch.load(weights_only=True)`, the tensors of `policy.pth`.
"""

from __future__ import annotations

import dataclasses
import io
import math
import re
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

import agents
import envs
from agents.base import Agent
from envs.config import EnvConfig
from envs.spaces import action_cast, observation_casts
from rl.errors import InputError
from rl.interface import EnvSpec
from rl.networks import NetConfig
from rl.storage import LARGEST_JSON, parse_json
from runs.recipe import Run

LARGEST_WEIGHTS = 1 << 30
"""Bytes of the largest `policy.pth` that is read."""
ALGORITHMS = {"q_net.": "dqn", "actor.latent_pi.": "sac", "actor.mu.": "td3", "action_net.": "ppo"}
"""A part that only this algorithm's policy has; A2C's is PPO's."""

_CNN = (
    (r"torso\.encoder\.stems\.0\.conv\.", "features_extractor.cnn."),
    (
        r"torso\.encoder\.mlp\.0",
        "features_extractor.linear.0",
    ),
)
_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "dqn": ((r"torso\.encoder\.mlp\.", "q_net.q_net."), (r"head\.advantage", "q_net.q_net.LAST")),
    "dqn cnn": (*((a, f"q_net.{b}") for a, b in _CNN), (r"head\.advantage", "q_net.q_net.0")),
    "ppo": (
        (r"torso\.encoder\.mlp\.", "mlp_extractor.policy_net."),
        (r"critic_torso\.encoder\.mlp\.", "mlp_extractor.value_net."),
        (r"policy\.(logits|mean)", "action_net"),
        (r"policy\.log_std", "log_std"),
        (r"value", "value_net"),
    ),
    "sac": (
        (r"policy\.torso\.encoder\.mlp\.", "actor.latent_pi."),
        (r"policy\.head\.mean", "actor.mu"),
        (r"policy\.head\.log_std_layer", "actor.log_std"),
        (r"critics\.torsos\.(\d+)\.encoder\.mlp\.", r"critic.qf\1."),
        (r"critics\.heads\.(\d+)", r"critic.qf\1.LAST"),
    ),
    "td3": (
        (r"policy\.torso\.encoder\.mlp\.", "actor.mu."),
        (r"policy\.head", "actor.mu.LAST"),
        (r"critics\.torsos\.(\d+)\.encoder\.mlp\.", r"critic.qf\1."),
        (r"critics\.heads\.(\d+)", r"critic.qf\1.LAST"),
    ),
}
_CRITIC_CNN = tuple((rf"critic_{a}", f"vf_{b}") for a, b in _CNN)
_RULES["ppo cnn"] = (*_CNN, *_CRITIC_CNN, *_RULES["ppo"][2:])
_COPIES: dict[str, tuple[str, ...]] = {
    "q_net.": ("q_net_target.",),
    "actor.": ("actor_target.",),
    "critic.": ("critic_target.",),
}
_COPIES["features_extractor."] = ("pi_features_extractor.", "vf_features_extractor.")


def names(algorithm: str, cnn: bool, layers: int, keys: Any) -> dict[str, list[str]]:
    """SB3's names of our weights `keys`: each name and its copies in target networks and shared extractors.

    A key that SB3's policy has no place for has none. `layers`: hidden layers of the MLP.
    """
    rules = _RULES.get(("ppo" if algorithm == "a2c" else algorithm) + (" cnn" if cnn else ""), ())
    apart = any(key.startswith("critic_torso.encoder.stems.") for key in keys)  # share_features_extractor=False
    copied = _COPIES | ({"features_extractor.": ("pi_features_extractor.",)} if apart else {})
    found: dict[str, list[str]] = {}
    for key in keys:
        there = [re.sub(f"^{a}", b, key).replace("LAST", str(2 * layers)) for a, b in rules if re.match(a, key)]
        copies = [
            copy + there[0].removeprefix(part)
            for part, others in copied.items()
            if there and there[0].startswith(part)
            for copy in others
        ]
        found[key] = [*there[:1], *copies]
    return found


class Model(NamedTuple):
    """An SB3 model as an agent of this suite, and the run that it would have come from."""

    agent: Agent
    run: Run


def read(path: str | Path, env: str | None = None, device: str = "cpu") -> Model:
    """The agent of an SB3 model file. Nothing in the file is run.

    Args:
        env: the environment's id; without it the spaces are read off the file, and the agent can only `predict`.

    Raises:
        InputError: the file is no model of DQN, PPO, A2C, SAC or TD3, or has a network that this suite lacks.
    """
    data, weights = _contents(Path(path))
    found = [name for part, name in ALGORITHMS.items() if any(key.startswith(part) for key in weights)]
    if not found or any("lstm" in key for key in weights):
        raise InputError(f"{path}: its policy is none of DQN, PPO, A2C, SAC and TD3")
    algorithm = "a2c" if found[0] == "ppo" and "clip_range" not in data else found[0]
    spec = _spec(data, path) if env is None else envs.spec(env, EnvConfig())
    config, cnn, layers = _config(algorithm, data, weights, spec, path)
    agent: Agent = agents.build(config, spec, num_envs=1, seed=0, device=device)
    state = dict(agent.network.state_dict())
    places = names(algorithm, cnn, layers, state)
    if unread := weights.keys() - {name for there in places.values() for name in there}:
        raise InputError(f"{path} does not fit: no network of this suite has its {min(unread)!r}")
    for ours, theirs in places.items():
        if ours.startswith("temperature."):
            continue
        given = weights.get(theirs[0]) if theirs else None
        if given is None or given.shape != state[ours].shape:
            shape = "nothing" if given is None else list(given.shape)
            raise InputError(f"{path} does not fit: {ours} {list(state[ours].shape)} has {shape} in its policy.pth")
        state[ours] = given
    agent.network.load_state_dict(state)
    agent.step = _whole(data.get("num_timesteps"))
    steps = max(agent.step, 2 * getattr(config, "learning_starts", 0), 1)
    return Model(agent, Run(env=env or spec.id, agent=config, steps=steps))


def _contents(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON object `data` and the tensors of `policy.pth`."""
    try:
        with zipfile.ZipFile(path) as archive:
            data, weights = (
                _member(archive, n, most) for n, most in (("data", LARGEST_JSON), ("policy.pth", LARGEST_WEIGHTS))
            )
        plain = parse_json(data)
        with zipfile.ZipFile(io.BytesIO(weights)) as inner:  # torch.load would unpack a compressed one without limit
            if sum(info.file_size for info in inner.infolist()) > LARGEST_WEIGHTS:
                raise ValueError(f"policy.pth unpacks to more than {LARGEST_WEIGHTS >> 20} MB")
        tensors = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file makes zipfile, zlib and torch raise many kinds
        line = (str(error).splitlines() or [""])[0][:200]
        raise InputError(f"{path} is no model that Stable-Baselines3 saved: {type(error).__name__}: {line}") from None
    fine = isinstance(tensors, Mapping) and all(
        isinstance(x, Tensor)
        and x.layout == torch.strided
        and x.is_floating_point()
        and x.device.type == "cpu"
        and x.is_contiguous()
        and x.ndim  # an expanded tensor may be far larger than the file
        for x in tensors.values()
    )
    if not isinstance(plain, dict) or not fine or not all(isinstance(key, str) for key in tensors):
        raise InputError(f"{path} is no model that Stable-Baselines3 saved: policy.pth is no table of tensors")
    if not all(bool(x.isfinite().all()) for x in tensors.values()):
        raise InputError(f"{path} cannot play: its policy.pth holds a number that is not finite")
    return plain, dict(tensors)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of the archive, which may say that it is smaller than it is."""
    with archive.open(name) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise ValueError(f"{name} is larger than {most >> 20} MB")
    return found


def _config(
    algorithm: str, data: Mapping[str, Any], weights: Mapping[str, Tensor], spec: EnvSpec, path: Any
) -> tuple[Any, bool, int]:
    """The agent's config, whether its encoder is SB3's NatureCNN, and the number of hidden layers."""
    kwargs = data.get("policy_kwargs")
    kwargs = kwargs if isinstance(kwargs, Mapping) else {}
    cnn = any("features_extractor.cnn." in key for key in weights)
    if any("features_extractor." in key for key in weights) and not cnn:
        raise InputError(
            f"{path}: its features extractor is SB3's for dictionaries or your own; only NatureCNN is read"
        )
    body = {"dqn": "q_net.q_net.", "sac": "actor.latent_pi.", "td3": "actor.mu."}.get(
        algorithm, "mlp_extractor.policy_net."
    )
    if cnn:
        body = ("q_net." if algorithm == "dqn" else "") + "features_extractor.linear."
    found = sorted(
        (int(key.removeprefix(body).partition(".")[0]), *x.shape)
        for key, x in weights.items()
        if re.fullmatch(re.escape(body) + r"\d{1,3}\.weight", key) and x.ndim == 2
    )
    wrong = [name for (_, width, _), (name, _, reads) in pairwise(found) if reads != width]
    if wrong or (spec.action.kind == "discrete" and spec.action.logits > max(map(len, weights.values()))):
        layer = f"layer {body}{wrong[0]}" if wrong else f"the head of {spec.action.logits} actions"
        raise InputError(f"{path} does not fit: {layer} has another size in its policy.pth")
    hidden = tuple(width for _, width, _ in (found[:-1] if algorithm in ("dqn", "td3") and not cnn else found))
    usual = "tanh" if algorithm in ("ppo", "a2c") and not cnn else "relu"
    given = re.search(r"torch\.nn\.modules\.activation\.(\w+)'", str(kwargs.get("activation_fn", "")))
    if given is None and kwargs.get("activation_fn") is not None and not cnn:
        raise InputError(f"{path}: its activation_fn is none of PyTorch's activations")
    if kwargs.get("normalize_images") is False and cnn:
        raise InputError(f"{path}: its network reads pictures from 0 to 255 (normalize_images=False), ours from 0 to 1")
    act: Any = given[1].lower() if given and not cnn else usual
    net = NetConfig(hidden=hidden, activation=act, encoder="nature" if cnn else "mlp")
    first = weights.get(f"{'q_net.' if algorithm == 'dqn' else ''}features_extractor.cnn.0.weight") if cnn else None
    stack = _stack(spec, first, weights.get(f"{body}0.weight"), path)
    fields: dict[str, Any] = {"net": net, "stack": stack}
    if algorithm in ("ppo", "a2c"):
        fields["critic"] = "shared" if cnn and not _apart(weights) else "separate"
    if isinstance(data.get("gamma"), float) and 0 < data["gamma"] <= 1:
        fields["gamma"] = data["gamma"]
    base = agents.config(algorithm)
    if hasattr(base, "precision"):
        fields["precision"] = "fp32"  # as SB3 computes
    return dataclasses.replace(base, **fields), cnn, len(hidden)


def _apart(weights: Mapping[str, Tensor]) -> bool:
    """Whether policy and critic have a NatureCNN each (share_features_extractor=False)."""
    shared = [key for key in weights if key.startswith("features_extractor.")]
    return any(not torch.equal(weights[key], weights.get(f"vf_{key}", weights[key])) for key in shared)


def _stack(spec: EnvSpec, conv: Tensor | None, linear: Tensor | None, path: Any) -> int:
    """How many frames the first layer reads at once."""
    leaf = next(iter(spec.obs.values()))
    size = sum(leaf.nvec) if leaf.kind == "index" else math.prod(leaf.shape)
    if conv is not None:
        size = size // math.prod(leaf.shape[:2] if leaf.layout == "HWC" else leaf.shape[-2:])
    first = conv if conv is not None else linear
    if len(spec.obs) != 1 or first is None or first.ndim < 2 or not size or first.shape[1] % size:
        raise InputError(f"{path} does not fit {spec.id}: its first layer reads other observations; name another env")
    return first.shape[1] // size


def _spec(data: Mapping[str, Any], path: Any) -> EnvSpec:
    """The environment as the texts beside the pickled spaces describe it."""
    action, _ = action_cast(_space(data.get("action_space"), path, "action_space"))
    (cast,), _ = observation_casts(_space(data.get("observation_space"), path, "observation_space"), action)
    return EnvSpec("sb3", {"obs": cast.leaf}, action)


def _space(given: Any, path: Any, name: str) -> spaces.Space:
    texts = given if isinstance(given, Mapping) else {}
    kind = re.search(r"spaces\.\w+\.(\w+)'", str(texts.get(":type:", "")))
    shape = tuple(_numbers(texts.get("_shape"), int))
    if kind is not None and kind[1] == "Discrete":
        return spaces.Discrete(_whole(texts.get("n")) or 1, start=_whole(texts.get("start")))
    if kind is not None and kind[1] == "Box" and 0 < math.prod(shape) <= 1 << 20:
        if name == "observation_space":
            if texts.get("dtype") == "uint8":
                return spaces.Box(0, 255, shape, np.uint8)
            return spaces.Box(-np.inf, np.inf, shape, np.float32)
        low, high = (_numbers(texts.get(side), float) for side in ("low", "high"))
        if len(low) == len(high) == math.prod(shape):
            return spaces.Box(np.reshape(low, shape).astype(np.float32), np.reshape(high, shape).astype(np.float32))
    raise InputError(f"{path}: its {name} cannot be read without running code; name the environment, env='CartPole-v1'")


def _numbers(text: Any, kind: Any) -> list[Any]:
    return [
        kind(word)
        for word in re.findall(r"-?\d+" if kind is int else r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf)", str(text)[:9999])
    ]


def _whole(value: Any) -> int:
    return min(int(value), 1 << 62) if re.fullmatch(r"-?\d{1,18}", str(value)) else 0
