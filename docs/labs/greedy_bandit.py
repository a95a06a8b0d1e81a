"""Lab: exploration. Read greedy_bandit.md first, then repair `choose` below.

python docs/labs/greedy_bandit.py        plays 500 bandits with ten arms at once
"""

from __future__ import annotations

from collections.abc import Callable

import lab  # type: ignore[import-not-found]
import numpy as np

BANDITS = 500
ARMS = 10
PULLS = 1_000
EVERY = 100
Choose = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]


def choose(mean: np.ndarray, count: np.ndarray, t: int, rng: np.random.Generator) -> np.ndarray:
    """The arm that each bandit pulls now, int [bandits].

    mean, count: the mean reward of each arm so far (0 if it was never pulled) and its pulls, [bandits, arms].
    t: pulls so far.
    """
    # HOLE: this takes the best arm so far. An arm that began badly is never tried again.
    return mean.argmax(1)


def learn(choose: Choose = choose) -> list[float]:
    """The share of pulls of the best arm, in percent, for every `EVERY` pulls."""
    rng = np.random.default_rng(0)
    value = rng.normal(0, 1, (BANDITS, ARMS))
    best, rows = value.argmax(1), np.arange(BANDITS)
    mean, count, hits = np.zeros((BANDITS, ARMS)), np.zeros((BANDITS, ARMS)), []
    for t in range(PULLS):
        arm = choose(mean, count, t, rng)
        reward = value[rows, arm] + rng.normal(0, 1, BANDITS)
        count[rows, arm] += 1
        mean[rows, arm] += (reward - mean[rows, arm]) / count[rows, arm]
        hits.append(float((arm == best).mean()))
    return [100 * float(np.mean(hits[i : i + EVERY])) for i in range(0, PULLS, EVERY)]


def check(curve: list[float]) -> str:
    """What is wrong with a curve, or "" if nothing is."""
    if curve[-1] < 75:
        return f"at the end the best arm gets {curve[-1]:.0f}% of the pulls; 75% are possible"
    return ""


if __name__ == "__main__":
    lab.main(learn, check)
