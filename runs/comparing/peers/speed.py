"""Steps per second of a Stable-Baselines3 training."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from stable_baselines3.common.env_util import make_atari_env, make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

import envs
from rl.imports import require_extra
from runs.comparing.peers.peer import algorithm_class, build_peer, is_atari
from runs.comparing.peers.training import model_arguments


def sb3_speed(
    algorithm: str,
    env: str,
    steps: int,
    *,
    source: Literal["sb3", "zoo"] = "sb3",
    settings: Sequence[str] = (),
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, Any]:
    """Measures a training of SB3 as its documentation shows it, with its own vector environments and wrappers.

    Returns `steps` (as counted by SB3, including those beyond the budget), `seconds`, `steps_per_second` and `n_envs`.
    """
    torch.set_num_threads(threads)
    spec = envs.spec(env)
    peer = build_peer(source, algorithm, spec, settings)
    if is_atari(spec):
        require_extra("cv2")  # SB3's own message names a package that breaks ours
        import ale_py
        import gymnasium

        gymnasium.register_envs(ale_py)
        game = env.rsplit("/", 1)[-1].removesuffix("-v5")
        vec: Any = make_atari_env(f"{game}NoFrameskip-v4", n_envs=peer.n_envs, seed=seed)
        vec = VecFrameStack(vec, peer.frame_stack)
    else:
        vec = make_vec_env(env, n_envs=peer.n_envs, seed=seed)
    if peer.normalize:
        vec = VecNormalize(vec, **(peer.normalize if isinstance(peer.normalize, Mapping) else {}))
    try:
        given = model_arguments(peer, steps, spec.action.size)
        model = algorithm_class(algorithm)(peer.policy, vec, seed=seed, device=device, **given)
        begun = time.perf_counter()
        model.learn(steps)
        seconds = time.perf_counter() - begun
    finally:
        vec.close()
    done = int(model.num_timesteps)
    return {"steps": done, "seconds": seconds, "steps_per_second": done / seconds, "n_envs": peer.n_envs}
