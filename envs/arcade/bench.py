"""Speed of a game, in whole steps with observations, and the time of its first use.

Times are processor times of one thread, so that other work on the machine does not count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from envs.arcade.engine import load_game
from envs.arcade.env import ArcadeVectorEnv


def benchmark(game: str, num_envs: int = 1024, seconds: float = 1.0) -> float:
    """Steps a second of random play on one core, with sticky actions and ramping; a reset does not count as a step."""
    env = ArcadeVectorEnv(game, num_envs)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(64, num_envs))
    for action in actions:
        env.step(action)
    steps, k, start = 0, 0, time.process_time()
    while (elapsed := time.process_time() - start) < seconds:
        steps += num_envs - int(np.count_nonzero(env.state["ended"]))
        env.step(actions[k % len(actions)])
        k += 1
    env.close()
    return float(steps / elapsed)


_USE = """
import sys, time
from envs.arcade.env import ArcadeEnv
start = time.process_time()
env = ArcadeEnv(sys.argv[1])
env.reset(seed=0)
env.step(0)
print(time.process_time() - start)
"""


def first_uses(game: str) -> tuple[float, float]:
    """Seconds from making a game to its first step, imports excluded: with nothing compiled, and in a later process."""
    load_game(game)
    with tempfile.TemporaryDirectory() as cache:
        words, env = [sys.executable, "-c", _USE, game], {**os.environ, "NUMBA_CACHE_DIR": cache}
        first, later = (float(subprocess.run(words, env=env, capture_output=True, check=True).stdout) for _ in range(2))
    return first, later
