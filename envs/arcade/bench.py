"""How fast a game is: whole steps of the vector environment, observations included."""

from __future__ import annotations

import time

import numpy as np

from envs.arcade.env import ArcadeVectorEnv


def benchmark(game: str, num_envs: int = 1024, seconds: float = 1.0) -> float:
    """Steps a second of random play on one core, with sticky actions and ramping; a reset does not count as a step."""
    env = ArcadeVectorEnv(game, num_envs)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(64, num_envs))
    for action in actions:
        env.step(action)
    steps, k, start = 0, 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        steps += num_envs - int(np.count_nonzero(env.state["ended"]))
        env.step(actions[k % len(actions)])
        k += 1
    env.close()
    return float(steps / elapsed)
