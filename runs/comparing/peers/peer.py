"""One of Stable-Baselines3's algorithms with its hyperparameters: its own defaults, or the RL Zoo's tuned values."""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

from rl.errors import InputError, unknown
from rl.imports import not_installed
from rl.interface import EnvSpec

ALGORITHMS = {
    "dqn": "stable_baselines3:DQN",
    "ppo": "stable_baselines3:PPO",
    "a2c": "stable_baselines3:A2C",
    "qrdqn": "sb3_contrib:QRDQN",
    "recurrent_ppo": "sb3_contrib:RecurrentPPO",
    "sac": "stable_baselines3:SAC",
    "td3": "stable_baselines3:TD3",
    "tqc": "sb3_contrib:TQC",
    "crossq": "sb3_contrib:CrossQ",
    "maskable_ppo": "sb3_contrib:MaskablePPO",
}

MASKABLE = "maskable_ppo"
"""The only algorithm that reads action masks. It replaces `ppo` if the environment has masks."""

VALUE_LEARNERS = ("dqn", "qrdqn")
CRITICS = ("sac", "td3", "tqc", "crossq")
"""Algorithms that learn a continuous policy from critics."""
OFF_POLICY = (*VALUE_LEARNERS, *CRITICS)
"""Algorithms that learn from a replay."""

MUJOCO = ("HalfCheetah", "Ant", "Hopper", "Walker2d", "Humanoid", "Swimmer")

OURS = ("n_envs", "frame_stack", "normalize", "reward_clip", "policy")
"""Fields of `Peer` that are not arguments of the algorithm."""

NOISE = ("noise_type", "noise_std")
"""The Zoo's settings for the argument `action_noise`."""


@dataclass(frozen=True)
class Peer:
    """One of SB3's algorithms with its hyperparameters."""

    algorithm: str
    """A key of `ALGORITHMS`."""
    source: Literal["sb3", "zoo"]
    """Source of the hyperparameters: SB3's defaults, or the RL Zoo's tuned values."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Arguments of the algorithm that differ from its defaults. Schedules are written as in the Zoo: `lin_0.001`."""
    policy: str = "MlpPolicy"
    """SB3's policy class."""
    n_envs: int = 1
    """Number of parallel environments."""
    frame_stack: int = 1
    """Number of frames in one observation."""
    normalize: Any = False
    """True for SB3's VecNormalize, or its arguments."""
    reward_clip: float | None = None
    """The learner's rewards are clipped to plus or minus this bound."""

    @property
    def name(self) -> str:
        return f"{self.source}:{self.algorithm}"


def zoo() -> dict[str, dict[str, dict[str, Any]]]:
    """The RL Zoo's hyperparameters: algorithm -> environment -> values."""
    return dict(_zoo_file()["algorithms"])


def zoo_source() -> str:
    """Repository, commit and files of the Zoo's values."""
    return str(_zoo_file()["source"])


def _zoo_file() -> dict[str, Any]:
    return dict(json.loads(resources.files(__package__).joinpath("zoo.json").read_text(encoding="utf-8")))


def build_peer(source: Literal["sb3", "zoo"], algorithm: str, spec: EnvSpec, settings: Sequence[str] = ()) -> Peer:
    """The peer for an environment. `settings` are `field=value` of the algorithm or of `Peer`.

    `ppo` becomes sb3-contrib's MaskablePPO with PPO's values if the environment has action masks and sb3-contrib is
    installed. Raises `InputError` if the algorithm or a field is unknown, if the algorithm does not fit the action
    space or needs masks, and if the Zoo has no values for the environment.
    """
    if algorithm not in ALGORITHMS:
        raise unknown("SB3 algorithm", algorithm, ALGORITHMS)
    if algorithm == MASKABLE and not spec.masked:
        raise InputError(f"{source}:{algorithm} needs action masks, {spec.id} has none: use {source}:ppo")
    kind = spec.action.kind
    if algorithm in VALUE_LEARNERS and kind != "discrete":
        raise InputError(f"{source}:{algorithm} needs one discrete action, {spec.id} has {kind}: use {source}:ppo")
    if algorithm in CRITICS and kind != "box":
        raise InputError(f"{source}:{algorithm} needs continuous actions, {spec.id} has {kind}: use {source}:ppo")
    atari = is_atari(spec)
    values: dict[str, Any] = {}
    if source == "zoo":
        values = _tuned(algorithm, spec)
    elif atari:
        values = {"frame_stack": 4, "n_envs": 1 if algorithm in OFF_POLICY else 8}
    if algorithm == "ppo" and spec.masked and importlib.util.find_spec("sb3_contrib"):
        algorithm = MASKABLE
    policy = policy_name(algorithm, spec)
    values = {"policy": policy, "reward_clip": 1.0 if atari else None, **values}
    known = [*arguments(algorithm), *(NOISE if algorithm in CRITICS else ()), *OURS]
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known:
            raise unknown(f"field of {source}:{algorithm}", name, known)
        values[name] = _parse(text)
    if values["policy"] in ("MlpPolicy", "CnnPolicy"):
        values["policy"] = policy
    own = {name: values.pop(name) for name in OURS if name in values}
    return Peer(algorithm, source, values, **own)


def _tuned(algorithm: str, spec: EnvSpec) -> dict[str, Any]:
    """The Zoo's values for an environment. Raises `InputError` if it has none."""
    table, key = zoo()["ppo" if algorithm == MASKABLE else algorithm], zoo_key(spec)
    if key not in table:
        raise InputError(f"the RL Zoo has no {algorithm} for {key}: use sb3:{algorithm}, or one of {', '.join(table)}")
    return {k: v for k, v in table[key].items() if k not in ("n_timesteps", "atari_wrapper")}


def zoo_key(spec: EnvSpec) -> str:
    """The Zoo's name for an environment.

    All Atari games share one, each LunarLander variant has its own, and MuJoCo's are those of version 4.
    """
    if spec.id == "LunarLander-v3" and spec.action.kind == "box":
        return "LunarLanderContinuous-v3"
    if spec.id in (f"{name}-v5" for name in MUJOCO):
        return spec.id.replace("-v5", "-v4")
    return "atari" if is_atari(spec) else spec.id


def is_atari(spec: EnvSpec) -> bool:
    return bool(spec.protocol)


def policy_name(algorithm: str, spec: EnvSpec) -> str:
    """SB3's policy class for the observation: an image, a vector, or several leaves."""
    kind = "MultiInput" if len(spec.obs) > 1 else "Cnn" if any(is_image(leaf) for leaf in spec.obs.values()) else "Mlp"
    return f"{kind}{'Lstm' if algorithm == 'recurrent_ppo' else ''}Policy"


def reads_flat(spec: EnvSpec) -> bool:
    """Whether SB3's policy gets a picture or board as one flat vector."""
    return any(leaf.kind in ("image", "board") and not is_image(leaf) for leaf in spec.obs.values())


def is_image(leaf: Any) -> bool:
    """Whether SB3's CNN can read the leaf: uint8, and each side has the 36 pixels that its kernels need."""
    if leaf.kind != "image" or leaf.dtype != "uint8":
        return False
    height, width = leaf.shape[:2] if leaf.layout == "HWC" else leaf.shape[-2:]
    return bool(min(height, width) >= 36)


NOT_TUNED = ("self", "policy", "env", "seed", "device", "verbose", "tensorboard_log", "stats_window_size")
"""Arguments of SB3's constructors that are not hyperparameters, besides private ones."""


def arguments(algorithm: str) -> dict[str, Any]:
    """The algorithm's hyperparameters with SB3's defaults."""
    parameters = inspect.signature(algorithm_class(algorithm).__init__).parameters
    return {name: p.default for name, p in parameters.items() if name not in NOT_TUNED and name[0] != "_"}


def algorithm_class(algorithm: str) -> Any:
    """SB3's class. Raises `InputError` if its package is not installed."""
    module, _, name = ALGORITHMS[algorithm].partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise InputError(f"sb3:{algorithm}: {not_installed(module)}") from error


def _parse(text: str) -> Any:
    """`3e-4`, `256x256`, `true`, `none`, JSON, else text."""
    if text.lower() in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[text.lower()]
    parts = text.split("x")
    if len(parts) > 1 and all(part.isdigit() for part in parts):
        return [int(part) for part in parts]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return int(value) if isinstance(value, float) and value.is_integer() and "e" in text and "-" not in text else value
