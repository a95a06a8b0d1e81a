"""Stable-Baselines3 on our environments, so that a comparison compares agents and nothing else.

`RowEnv` gives SB3 the rows that our agents see: the same episodes from the same seeds, single frames stacked by the
same rule, rewards clipped for the learner only, a lost life as `done` without a restart. SB3 itself is imported only
here, and only when used.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

import numpy as np

from rl.errors import InputError, unknown
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
"""The only algorithm that reads action masks. It takes the place of `ppo` if the environment has masks."""

VALUE_LEARNERS = ("dqn", "qrdqn")
CRITICS = ("sac", "td3", "tqc", "crossq")
"""Learners of a continuous policy from critics."""
OFF_POLICY = (*VALUE_LEARNERS, *CRITICS)
"""Learners from the replay."""

MUJOCO = ("HalfCheetah", "Ant", "Hopper", "Walker2d", "Humanoid", "Swimmer")

OURS = ("n_envs", "frame_stack", "normalize", "reward_clip", "policy")
"""Settings of a peer that are no argument of the algorithm."""

NOISE = ("noise_type", "noise_std")
"""Settings from which the Zoo makes the argument `action_noise`."""


@dataclass(frozen=True)
class Peer:
    """One of SB3's algorithms with its hyperparameters."""

    algorithm: str
    """A key of `ALGORITHMS`."""
    source: Literal["sb3", "zoo"]
    """Whose hyperparameters: SB3's defaults, or the RL Zoo's tuned ones."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Arguments of the algorithm that differ from its defaults; schedules as the Zoo writes them, `lin_0.001`."""
    policy: str = "MlpPolicy"
    """SB3's policy class."""
    n_envs: int = 1
    """Parallel environments."""
    frame_stack: int = 1
    """Frames that make one observation."""
    normalize: Any = False
    """SB3's VecNormalize, or its arguments."""
    reward_clip: float | None = None
    """Bound to which the learner's rewards are clipped."""

    @property
    def name(self) -> str:
        return f"{self.source}:{self.algorithm}"


def zoo() -> dict[str, dict[str, dict[str, Any]]]:
    """The RL Zoo's hyperparameters, algorithm -> environment -> values, from the commit named in runs/zoo.json."""
    text = resources.files(__package__).joinpath("zoo.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["algorithms"])


def zoo_source() -> str:
    """Repository, commit and files that the Zoo's values come from."""
    return str(json.loads(resources.files(__package__).joinpath("zoo.json").read_text(encoding="utf-8"))["source"])


def build_peer(source: Literal["sb3", "zoo"], algorithm: str, spec: EnvSpec, settings: Sequence[str] = ()) -> Peer:
    """The peer for an environment. `settings` are `field=value` of the algorithm or of `Peer`.

    `ppo` becomes sb3-contrib's MaskablePPO, with PPO's values, if the environment has action masks and sb3-contrib is
    installed. Raises `InputError` for an unknown algorithm or field, one that does not fit the action space or needs
    masks, and an environment that the Zoo has no values for.
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
        table = zoo()["ppo" if algorithm == MASKABLE else algorithm]
        key = zoo_key(spec)
        if key not in table:
            raise InputError(
                f"the RL Zoo has no {algorithm} for {key}: use sb3:{algorithm}, or one of {', '.join(table)}"
            )
        values = {k: v for k, v in table[key].items() if k not in ("n_timesteps", "atari_wrapper")}
    elif atari:
        values = {"frame_stack": 4, "n_envs": 1 if algorithm in OFF_POLICY else 8}
    if algorithm == "ppo" and spec.masked and importlib.util.find_spec("sb3_contrib"):
        algorithm = MASKABLE
    peer = {
        "policy": policy_name(algorithm, spec),
        "reward_clip": 1.0 if atari else None,
        **{k: v for k, v in values.items() if k in OURS},
    }
    rest = {k: v for k, v in values.items() if k not in OURS}
    known = [*arguments(algorithm), *(NOISE if algorithm in CRITICS else ())]
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known and name not in OURS:
            raise unknown(f"field of {source}:{algorithm}", name, [*known, *OURS])
        (peer if name in OURS else rest)[name] = _parse(text)
    peer["policy"] = policy_name(algorithm, spec) if peer["policy"] in ("MlpPolicy", "CnnPolicy") else peer["policy"]
    return Peer(algorithm, source, rest, **peer)


def zoo_key(spec: EnvSpec) -> str:
    """The Zoo's name for an environment: all of Atari is one, the two LunarLanders are two, MuJoCo's are of v4."""
    if spec.id == "LunarLander-v3" and spec.action.kind == "box":
        return "LunarLanderContinuous-v3"
    if spec.id in (f"{name}-v5" for name in MUJOCO):
        return spec.id.replace("-v5", "-v4")
    return "atari" if is_atari(spec) else spec.id


def is_atari(spec: EnvSpec) -> bool:
    return bool(spec.protocol)


def policy_name(algorithm: str, spec: EnvSpec) -> str:
    """SB3's policy for the observation: images, vectors, or several leaves."""
    kind = "MultiInput" if len(spec.obs) > 1 else "Cnn" if any(is_image(leaf) for leaf in spec.obs.values()) else "Mlp"
    return f"{kind}{'Lstm' if algorithm == 'recurrent_ppo' else ''}Policy"


def reads_flat(spec: EnvSpec) -> bool:
    """Whether there is a picture or board that SB3's policy gets as one flat vector."""
    return any(leaf.kind in ("image", "board") and not is_image(leaf) for leaf in spec.obs.values())


def is_image(leaf: Any) -> bool:
    """Whether SB3's CNN can read it: uint8, and no side below the 36 pixels its first kernels need."""
    if leaf.kind != "image" or leaf.dtype != "uint8":
        return False
    height, width = leaf.shape[:2] if leaf.layout == "HWC" else leaf.shape[-2:]
    return bool(min(height, width) >= 36)


def arguments(algorithm: str) -> dict[str, Any]:
    """The algorithm's arguments with their defaults, as JSON has them."""
    import inspect

    signature = inspect.signature(algorithm_class(algorithm).__init__)
    hidden = {
        "self",
        "policy",
        "env",
        "seed",
        "device",
        "verbose",
        "tensorboard_log",
        "_init_setup_model",
        "stats_window_size",
    }
    return {name: p.default for name, p in signature.parameters.items() if name not in hidden}


def algorithm_class(algorithm: str) -> Any:
    """SB3's class. Raises `InputError` where the package is not installed."""
    module, _, name = ALGORITHMS[algorithm].partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        extra = "pip install sb3-contrib" if module == "sb3_contrib" else "pip install stable-baselines3"
        raise InputError(f"sb3:{algorithm} needs {module}, which is not installed: {extra}") from error


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


class FrameStack:
    """The newest `stack` frames of each environment, the first frame of an episode repeated before it."""

    def __init__(self, stack: int) -> None:
        self.stack = stack
        self._frames: dict[str, np.ndarray] = {}

    def push(self, obs: Mapping[str, np.ndarray], first: np.ndarray, only: np.ndarray | None = None) -> None:
        """Takes a row; environments outside `only` keep what they have."""
        for name, leaf in obs.items():
            if name not in self._frames:
                self._frames[name] = np.repeat(leaf[:, None], self.stack, axis=1)
                continue
            frames = self._frames[name]
            if only is None:
                frames[:, :-1] = frames[:, 1:]
                frames[:, -1] = leaf
                frames[first] = leaf[first][:, None]
            else:
                frames[only] = leaf[only][:, None]

    def read(self) -> dict[str, np.ndarray]:
        """[N, S, ...] by leaf; reused by the next `push`."""
        return self._frames
