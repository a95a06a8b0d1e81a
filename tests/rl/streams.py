"""Random row streams whose observations say where they come from: [episode, time in episode, absolute time, env]."""

from __future__ import annotations

import numpy as np

from rl.interface import ActionSpec, EnvSpec, ObsLeaf, TimeStep

SPEC = EnvSpec("Stream-v0", {"obs": ObsLeaf((4,), "float32", "vector")}, ActionSpec("discrete", (5,)))
MASKED = EnvSpec("Stream-v0", SPEC.obs, SPEC.action, masked=True)


def random_rows(rng: np.random.Generator, count: int, num_envs: int, masked: bool = False) -> list[TimeStep]:
    """`count` rows in which every kind of boundary occurs: death, time limit, life loss, a cut with no last row."""
    episode, age = np.zeros(num_envs, int), np.zeros(num_envs, int)
    fresh = np.ones(num_envs, bool)
    rows = []
    for t in range(count):
        first = fresh.copy()
        episode += first
        age = np.where(first, 0, age + 1)
        death = ~first & (rng.random(num_envs) < 0.15)
        limit = ~first & (rng.random(num_envs) < 0.1)
        life = ~first & (rng.random(num_envs) < 0.1)
        cut = rng.random(num_envs) < 0.05  # the next row is first although this one is not last
        obs = np.stack([episode, age, np.full(num_envs, t), np.arange(num_envs)], axis=1)
        rows.append(
            TimeStep(
                obs={"obs": obs.astype(np.float32)},
                mask=rng.random((num_envs, 5)) < 0.7 if masked else None,
                action=np.where(first, 0, rng.integers(0, 5, num_envs)),
                reward=np.where(first, 0, rng.normal(size=num_envs)).astype(np.float32),
                discount=np.where(first | death | life, 0, 1).astype(np.float32),
                first=first,
                last=death | limit,
                info={},
            )
        )
        fresh = death | limit | cut
    return rows
