"""Lab: maximisation bias. Read maximisation_bias.md first, then repair `targets` below.

python docs/labs/maximisation_bias.py        plays 1,000 copies of a problem with two states at once
"""

from __future__ import annotations

from collections.abc import Callable

import lab  # type: ignore[import-not-found]
import numpy as np

COPIES = 1_000
EPISODES = 300
EVERY = 25
ACTIONS = 10  # in B
ALPHA = 0.1
EPSILON = 0.1
MEANS = np.full(ACTIONS, -0.1)  # of the rewards in B
ONE_GOOD = np.array([0.5] + [-1.0] * (ACTIONS - 1))  # another problem, in which left is right
Targets = Callable[[np.ndarray, np.ndarray], np.ndarray]


def targets(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The value of B, [copies], from two tables of its action values, [copies, actions].

    own: the table that is updated now. other: the second table, which learned from other episodes.
    """
    # HOLE: the largest of ten noisy estimates is larger than the largest value. Use both tables.
    return own.max(1)


def learn(targets: Targets = targets, means: np.ndarray = MEANS) -> list[float]:
    """The share of episodes, in percent, in which the copies go left in A, for every `EVERY` episodes."""
    rng = np.random.default_rng(0)
    copies = np.arange(COPIES)
    a, b = np.zeros((2, COPIES, 2)), np.zeros((2, COPIES, ACTIONS))  # two tables of each state; left is action 0
    lefts = []
    for _ in range(EPISODES):
        values = a.sum(0) + rng.random((COPIES, 2)) * 1e-9  # ties are broken at random
        action = np.where(rng.random(COPIES) < EPSILON, rng.integers(2, size=COPIES), values.argmax(1))
        left = copies[action == 0]
        lefts.append(len(left) / COPIES)
        table = rng.integers(2, size=COPIES)  # a coin says which table learns from this episode
        own, other = b[table[left], left], b[1 - table[left], left]
        value = np.zeros(COPIES)  # right: the episode ends, reward 0
        value[left] = targets(own, other)
        a[table, copies, action] += ALPHA * (value - a[table, copies, action])
        explore = rng.random(len(left)) < EPSILON
        best = (own + other + rng.random(own.shape) * 1e-9).argmax(1)
        move = np.where(explore, rng.integers(ACTIONS, size=len(left)), best)
        reward = rng.normal(means[move], 1.0)
        b[table[left], left, move] += ALPHA * (reward - b[table[left], left, move])
    return [100 * float(np.mean(lefts[i : i + EVERY])) for i in range(0, EPISODES, EVERY)]


def check(curve: list[float], targets: Targets = targets) -> str:
    """What is wrong with a curve, and with `targets` on a problem with one good action; "" if nothing is."""
    if max(curve) > 60:
        return f"{max(curve):.0f}% go left, where every action loses 0.1 on average"
    if curve[-1] > 15:
        return f"at the end {curve[-1]:.0f}% still go left; exploration alone gives {50 * EPSILON:.0f}%"
    good = learn(targets, ONE_GOOD)[-1]
    if good < 30:
        return f"if one action in B pays 0.5 on average and nine lose 1, only {good:.0f}% go left, where it lies"
    return ""


if __name__ == "__main__":
    lab.main(learn, check)
