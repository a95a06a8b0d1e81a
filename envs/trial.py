"""Tries an environment out before a training.

Do seeds determine its episodes? Are worker processes faster? Are time and memory enough for as many as are asked for?
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.spaces import action_cast, mask_of, observation_casts, random_actions
from envs.stream import Stream
from envs.vector.single import Single
from rl.cores import usable_cores
from rl.errors import InputError, NonFiniteError, RunError
from rl.interface import TimeStep
from rl.memory import available_memory, private_memory, release_freed_memory

ASYNC_COST = 100e-6, 50e-6
"""Seconds a slot costs in worker processes: in all, and for each environment. Measured on two cores."""

TRIAL = 50, 0.2
"""Steps and seconds that an environment is played for, to see whether other games change an episode."""


def repeats(env: Stream) -> bool:
    """Whether a seed gives the same first observation, and the same first step, after other games were played."""
    rng = np.random.default_rng(0)

    def step(row: TimeStep) -> TimeStep:
        return env.step(random_actions(env.spec.action, env.num_envs, row.mask, rng))

    try:
        first = row = env.reset()
        state = rng.bit_generator.state
        second = row = step(first)
        end = time.perf_counter() + TRIAL[1]
        for _ in range(TRIAL[0]):
            row = step(row)
            if time.perf_counter() > end:
                break
        rng.bit_generator.state = state
        again = env.reset(episode=0)
        return _same(first, again) and _same(second, step(again))
    except (RunError, NonFiniteError, InputError):  # the training names the environment's own fault
        return True


def _same(row: TimeStep, other: TimeStep) -> bool:
    equal = all(np.array_equal(leaf, other.obs[name]) for name, leaf in row.obs.items())
    return equal and np.array_equal(row.exact_reward, other.exact_reward)


def faster(single: Single, num_envs: int) -> str:
    """The faster of sync and async, from the shortest of 20 steps of `single`, which a busy machine does not lengthen.

    The steps take allowed actions only.
    """
    cores = usable_cores()
    if cores == 1:
        return "sync"
    env, rng = single.env, np.random.default_rng(0)
    try:
        spec, to_env = action_cast(env.action_space)
        mask_cast = observation_casts(env.observation_space, spec)[1]
        observation, info = single.reset(0)
        step = float("inf")
        for _ in range(20):
            mask = mask_of(info) if mask_cast is None else mask_cast.one(observation, 0)
            action = to_env(random_actions(spec, 1, [mask], rng))[0]
            begun = time.perf_counter()
            observation, _, terminated, truncated, info = single.step(action)
            step = min(step, time.perf_counter() - begun)
            if terminated or truncated:
                observation, info = single.reset(0)
    except (RunError, InputError):  # the training names the environment's own fault, with its index
        return "sync"
    rounds = -(-num_envs // cores)
    return "async" if 1.3 * (ASYNC_COST[0] + ASYNC_COST[1] * num_envs + rounds * step) < num_envs * step else "sync"


MANY = 256
"""Environments from which on their cost is predicted before they are made."""
SAMPLE = 64, 0.5
"""Environments, and seconds, that the prediction is measured on."""
PATIENCE = 120.0
"""Seconds that making all environments may take."""
RESTART_PATIENCE = 15.0
"""Seconds that starting all rows of the compiled loop may take. Gymnasium starts each, again after every episode."""
ROW_COST = 15e-6, 2e3
"""Seconds and bytes that a row of the compiled loop takes beside its reset: its seed, its row in agent and replay."""
WORKER_COST = 30e-3, 8e6
"""Seconds and bytes that a worker process takes beside its environment. Measured on two cores."""


def require_affordable(
    id: str,
    start: Callable[[], Any],
    num_envs: int,
    beside: tuple[float, float] = (0.0, 0.0),
    patience: float = PATIENCE,
) -> None:
    """Raises `InputError` if `num_envs` environments would take too long to make, or more memory than is free.

    start: makes and resets one of them, something with a `close`. beside: seconds and bytes that each takes on top.
    patience: seconds that all of them may take.
    """
    if num_envs < MANY:
        return
    started: list[Any] = []
    release_freed_memory()  # environments that reuse freed memory would seem smaller than they are
    times, before = [time.perf_counter()], private_memory()
    while len(started) < SAMPLE[0] and times[-1] - times[0] < SAMPLE[1]:
        started.append(start())
        times.append(time.perf_counter())
    seconds = float(np.diff(times).min()) + beside[0]  # the shortest, which a busy machine does not lengthen
    size = max(0, private_memory() - before) / len(started) + beside[1]
    for one in started:
        one.close()
    free = available_memory()
    if num_envs * seconds > patience or num_envs * size > free:
        most = int(min(patience / seconds, free / size if size else num_envs))
        raise InputError(
            f"{num_envs:,} environments of {id} would take about {num_envs * seconds:,.0f} s and "
            f"{num_envs * size / 1e9:.1f} GB to make ({1000 * seconds:,.2f} ms and {size / 1000:.0f} kB each, "
            f"measured; {free / 1e9:.1f} GB are free): num_envs may be about {most:,}"
        )
