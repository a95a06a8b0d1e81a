"""The replay's index arithmetic, one compiled call for each sample: in NumPy it takes as long as a small update."""

from __future__ import annotations

import numpy as np

from rl.jit import compiled


@compiled
def eligible(index, num_envs, slots, oldest, count, reach, period, sequence, stack, first):  # type: ignore[no-untyped-def]
    """`Replay.eligible`: bool [B] of the rows `index`, int64 [B].

    oldest, count: times of the oldest row and of the next one. first: bool [slots, num_envs].
    """
    good = np.empty(len(index), np.bool_)
    for k in range(len(index)):
        t = index[k] // num_envs
        env = index[k] - t * num_envs
        good[k] = t >= oldest and t + reach < count
        if good[k]:
            good[k] = t % period == 0 if sequence else not first[(t + 1) % slots, env]
        if good[k] and stack > 1 and oldest > 0 and t - oldest < stack - 1:
            begun = False  # the whole stack is held if its episode begins in it
            for back in range(stack - 1):
                begun = begun or (t - back >= oldest and first[(t - back) % slots, env])
            good[k] = begun
    return good


@compiled
def spans(index, n, num_envs, slots, count, first, reward, discount):  # type: ignore[no-untyped-def]
    """The windows of up to `n` steps that start at the rows `index`, int64 [B], all of them eligible.

    first, reward, discount: the replay's columns, [slots, num_envs].

    Returns:
        (times [2 B] of the start rows and of the end rows, environments [2 B] of both, slots [B] behind the start
        rows, lengths [B], rewards [n, B], 0 beyond the length, discounts [n, B], 1 beyond it)
    """
    size = len(index)
    times, envs = np.empty(2 * size, np.int64), np.empty(2 * size, np.int64)
    after, length = np.empty(size, np.int64), np.zeros(size, np.int64)
    rewards, discounts = np.zeros((n, size), np.float32), np.ones((n, size), np.float32)
    for k in range(size):
        t = index[k] // num_envs
        env = index[k] - t * num_envs
        for step in range(n):
            slot = (t + step + 1) % slots
            if t + step + 1 >= count or first[slot, env]:
                break
            rewards[step, k], discounts[step, k] = reward[slot, env], discount[slot, env]
            length[k] += 1
        times[k], times[size + k], after[k] = t, t + length[k], (t + 1) % slots
        envs[k] = envs[size + k] = env
    return times, envs, after, length, rewards, discounts
