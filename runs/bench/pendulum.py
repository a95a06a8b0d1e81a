"""How far the recorded policies of Pendulum are from the best return that their start states allow.

The best return comes from dynamic programming on a grid of angles and speeds, 200 steps backwards in time. The score of
20 games depends on their start states by tens of points, so it means little without this line.

python -m runs.bench.pendulum > runs/results/strength/pendulum.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.classic import compiled
from envs.exact import CLASSIC
from rl.seeding import derive_seed
from runs.recording.results import newest, read_results

Floats = NDArray[np.float64]

RECIPES = ("pendulum_sac", "pendulum_td3", "pendulum_ppo")
HORIZON, SPEED, TORQUE = 200, 8.0, 2.0
ANGLES, SPEEDS = 361, 321
"""Points of the grid."""


def step(angle: Floats, speed: Floats, torque: Floats) -> tuple[Floats, Floats, Floats]:
    """Pendulum-v1's next angle, next speed and reward; `angle` lies in [-pi, pi)."""
    angle, speed, torque = np.broadcast_arrays(angle, speed, torque)
    state, actions = np.zeros((angle.size, 4)), torque.astype(np.float32).reshape(-1, 1)
    state[:, 0], state[:, 1] = angle.ravel(), speed.ravel()
    elapsed, none, ended = np.zeros(len(state), np.int64), np.zeros(len(state), bool), np.zeros(len(state), bool)
    obs, reward = np.zeros((len(state), 3), np.float32), np.zeros(len(state))
    compiled(f"{CLASSIC}pendulum:PendulumEnv")(state, elapsed, none, actions, 2.0, obs, reward, ended)
    return wrap(state[:, 0]).reshape(angle.shape), state[:, 1].reshape(angle.shape), reward.reshape(angle.shape)


def wrap(angle: Floats) -> Floats:
    return (angle + np.pi) % (2 * np.pi) - np.pi  # type: ignore[no-any-return]


def corners(angle: Floats, speed: Floats) -> list[tuple[NDArray[np.intp], Floats]]:
    """The four grid points around each state, as indices of the flat grid, with their bilinear weights."""
    x, y = (angle + np.pi) / (2 * np.pi) * (ANGLES - 1), (speed + SPEED) / (2 * SPEED) * (SPEEDS - 1)
    i, j = np.minimum(x.astype(int), ANGLES - 2), np.minimum(y.astype(int), SPEEDS - 2)
    a, b = x - i, y - j
    first = i * SPEEDS + j
    weights = ((1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b)
    return [(first + shift, w) for shift, w in zip((0, 1, SPEEDS, SPEEDS + 1), weights, strict=True)]


def interpolate(values: Floats, around: list[tuple[NDArray[np.intp], Floats]]) -> Floats:
    return sum(values[index] * weight for index, weight in around)  # type: ignore[return-value]


def values_by_steps_left(torques: int = 31) -> list[Floats]:
    """The best return from every grid point (flat, angle by speed) with 0 to HORIZON steps left."""
    angle, speed = np.meshgrid(np.linspace(-np.pi, np.pi, ANGLES), np.linspace(-SPEED, SPEED, SPEEDS), indexing="ij")
    moves = []
    for torque in np.linspace(-TORQUE, TORQUE, torques):
        *after, reward = step(angle.ravel(), speed.ravel(), np.full(angle.size, torque))
        moves.append((corners(*after), reward))
    values = [np.zeros(angle.size)]
    for _ in range(HORIZON):
        values.append(np.max([reward + interpolate(values[-1], around) for around, reward in moves], axis=0))
    return values


def best_returns(starts: Floats, values: list[Floats], torques: int = 401) -> Floats:
    """Returns [G] of games played by the values, in Pendulum's own dynamics, from `starts` [G, 2] (angle, speed)."""
    angle, speed = wrap(starts[:, :1]), starts[:, 1:]
    choices = np.linspace(-TORQUE, TORQUE, torques)[None]
    total = np.zeros(len(starts))
    for left in reversed(range(HORIZON)):
        angles, speeds, rewards = step(angle, speed, choices)
        best = np.argmax(rewards + interpolate(values[left], corners(angles, speeds)), axis=1)[:, None]
        angle, speed = np.take_along_axis(angles, best, 1), np.take_along_axis(speeds, best, 1)
        total += np.take_along_axis(rewards, best, 1)[:, 0]
    return total


def start_states(seed: int, games: int = 20) -> Floats:
    """The start states (angle, speed) of a recorded seed's final games, [games, 2]."""
    env = gymnasium.make("Pendulum-v1")
    states = []
    for game in range(games):
        env.reset(seed=derive_seed(seed, "evaluate", game))
        states.append(env.unwrapped.state)  # type: ignore[attr-defined]
    return np.array(states)


def measure() -> dict[str, Any]:
    """For each recipe and recorded seed: the mean score, the mean best return and their difference, in points."""
    values, found = values_by_steps_left(), {}
    for recipe in RECIPES:
        rows = []
        for record in newest(read_results(recipe=recipe)):
            best = float(best_returns(start_states(record["seed"]), values).mean())
            score = record["score"]["mean"]
            rows.append({"seed": record["seed"], "score": score, "best": best, "short": best - score})
        found[recipe] = rows
    return {"schema": 1, "env": "Pendulum-v1", "grid": [ANGLES, SPEEDS], "recipes": found}


if __name__ == "__main__":
    measured = measure()
    for recipe, rows in measured["recipes"].items():
        for row in rows:
            print(recipe, *(f"{name} {value:.1f}" for name, value in row.items()), file=sys.stderr)
    print(json.dumps(measured, indent=1))
