"""The rules of Gymnasium's five classic control tasks, compiled over a batch.

Every operation has the order and the precision of Gymnasium 1.x, so that the same actions give the same bits as its own
environments. `envs.vector.classic` compares both before it uses them. A rule is scalar code for one row:

    rule(s, action, fresh, two) -> (reward, terminated)     changes the state s, float64 [4]
    show(s, obs)                                            writes the observation, float32

fresh: no step has been taken in this episode. two: the exponent 2.0, unknown to the compiler, which would write x * x
for `pow(x, 2)`; NumPy's scalars call `pow`, and one result of 1,300 differs in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np

from envs.compiled import cache_folder, compile_loops
from envs.exact import CLASSIC

PI = math.pi
F = np.float32
jit = numba.njit(nogil=True, error_model="numpy")


@jit
def cartpole(s: Any, action: Any, fresh: bool, two: float) -> tuple[float, bool]:
    x, x_dot, theta, theta_dot = s[0], s[1], s[2], s[3]
    force = 10.0 if action == 1 else -10.0
    cos, sin = math.cos(theta), math.sin(theta)
    temp = (force + 0.1 * 0.5 * (theta_dot * theta_dot) * sin) / (0.1 + 1.0)
    theta_acc = (9.8 * sin - cos * temp) / (0.5 * (4.0 / 3.0 - 0.1 * (cos * cos) / (0.1 + 1.0)))
    x_acc = temp - 0.1 * 0.5 * theta_acc * cos / (0.1 + 1.0)
    s[0], s[1] = x + 0.02 * x_dot, x_dot + 0.02 * x_acc
    s[2], s[3] = theta + 0.02 * theta_dot, theta_dot + 0.02 * theta_acc
    limit = 12 * 2 * PI / 360
    return 1.0, s[0] < -2.4 or s[0] > 2.4 or s[2] < -limit or s[2] > limit


@jit
def mountain_car(s: Any, action: Any, fresh: bool, two: float) -> tuple[float, bool]:
    v = s[1] + ((action - 1) * 0.001 + math.cos(3 * s[0]) * -0.0025)
    v = min(max(v, -0.07), 0.07)
    x = min(max(s[0] + v, -1.2), 0.6)
    if x == -1.2 and v < 0:
        v = 0.0
    s[0], s[1] = x, v
    return -1.0, x >= 0.5 and v >= 0


@jit
def mountain_car_continuous(s: Any, action: Any, fresh: bool, two: float) -> tuple[float, bool]:
    """Gymnasium's state is float64 after a reset and float32 after a step, and so is the sum that moves it."""
    a = action[0]
    third = 3 * s[0] if fresh else np.float64(F(3) * F(s[0]))
    pull = 0.0025 * math.cos(third)
    push = np.float64(a * F(0.0015) - F(pull)) if -1 <= a <= 1 else min(max(a, -1.0), 1.0) * 0.0015 - pull
    v = s[1] + push if fresh else np.float64(F(s[1]) + F(push))
    high, low = (0.07, -0.07) if fresh else (np.float64(F(0.07)), np.float64(F(-0.07)))
    v = min(max(v, low), high)
    x = s[0] + v if fresh else np.float64(F(s[0]) + F(v))
    right, left, goal = (0.6, -1.2, 0.45) if fresh else (np.float64(F(0.6)), np.float64(F(-1.2)), np.float64(F(0.45)))
    x = min(max(x, left), right)
    if x == left and v < 0:
        v = 0.0
    s[0], s[1] = F(x), F(v)
    over = x >= goal and v >= 0
    return (100.0 if over else 0.0) - np.float64(a) * np.float64(a) * 0.1, over


@jit
def pendulum(s: Any, action: Any, fresh: bool, two: float) -> tuple[float, bool]:
    theta, speed = s[0], s[1]
    u = min(max(action[0], F(-2.0)), F(2.0))
    angle = ((theta + PI) % (2 * PI)) - PI
    cost = math.pow(angle, two) + 0.1 * math.pow(speed, two) + np.float64(F(0.001) * F(math.pow(u, F(two))))
    speed = speed + (15.0 * math.sin(theta) + np.float64(F(3.0) * u)) * 0.05
    s[1] = min(max(speed, -8.0), 8.0)
    s[0] = theta + s[1] * 0.05
    return -cost, False


@jit
def slope(a: float, t1: float, t2: float, w1: float, w2: float, two: float) -> tuple[float, float, float, float]:
    """The derivative of Acrobot's angles and speeds under the torque a."""
    sin2, cos2 = math.sin(t2), math.cos(t2)
    d1 = 0.25 + (1.25 + cos2) + 1.0 + 1.0
    d2 = (0.25 + 0.5 * cos2) + 1.0
    phi2 = 0.5 * 9.8 * math.cos(t1 + t2 - PI / 2.0)
    phi1 = -0.5 * math.pow(w2, two) * sin2 - w2 * w1 * sin2 + 1.5 * 9.8 * math.cos(t1 - PI / 2) + phi2
    acc2 = (a + d2 / d1 * phi1 - 0.5 * math.pow(w1, two) * sin2 - phi2) / (1.25 - math.pow(d2, two) / d1)
    return w1, w2, -(d2 * acc2 + phi1) / d1, acc2


@jit
def acrobot(s: Any, action: Any, fresh: bool, two: float) -> tuple[float, bool]:
    a, h, q = action - 1.0, 0.2 / 2.0, 0.2 / 6.0
    k = slope(a, s[0], s[1], s[2], s[3], two)
    m = slope(a, s[0] + h * k[0], s[1] + h * k[1], s[2] + h * k[2], s[3] + h * k[3], two)
    n = slope(a, s[0] + h * m[0], s[1] + h * m[1], s[2] + h * m[2], s[3] + h * m[3], two)
    o = slope(a, s[0] + 0.2 * n[0], s[1] + 0.2 * n[1], s[2] + 0.2 * n[2], s[3] + 0.2 * n[3], two)
    for i in range(4):
        s[i] = s[i] + q * (k[i] + 2 * m[i] + 2 * n[i] + o[i])
    for i in range(2):
        while s[i] > PI:
            s[i] = s[i] - (PI - -PI)
        while s[i] < -PI:
            s[i] = s[i] + (PI - -PI)
    s[2] = min(max(s[2], -4 * PI), 4 * PI)
    s[3] = min(max(s[3], -9 * PI), 9 * PI)
    over = -math.cos(s[0]) - math.cos(s[1] + s[0]) > 1.0
    return 0.0 if over else -1.0, over


@jit
def plain(s: Any, obs: Any) -> None:
    for i in range(len(obs)):
        obs[i] = s[i]


@jit
def angle_and_speed(s: Any, obs: Any) -> None:
    obs[0], obs[1], obs[2] = math.cos(s[0]), math.sin(s[0]), s[1]


@jit
def angles_and_speeds(s: Any, obs: Any) -> None:
    obs[0], obs[1], obs[2], obs[3] = math.cos(s[0]), math.sin(s[0]), math.cos(s[1]), math.sin(s[1])
    obs[4], obs[5] = s[2], s[3]


TASKS: dict[str, tuple[Callable, Callable]] = {
    CLASSIC + "cartpole:CartPoleEnv": (cartpole, plain),
    CLASSIC + "acrobot:AcrobotEnv": (acrobot, angles_and_speeds),
    CLASSIC + "mountain_car:MountainCarEnv": (mountain_car, plain),
    CLASSIC + "continuous_mountain_car:Continuous_MountainCarEnv": (mountain_car_continuous, plain),
    CLASSIC + "pendulum:PendulumEnv": (pendulum, angle_and_speed),
}
"""Gymnasium's entry point -> its rule and its observation."""


def rule(s: Any, action: Any, fresh: bool, two: float) -> tuple[float, bool]: ...  # type: ignore[empty-body]


def show(s: Any, obs: Any) -> None: ...


def advance(
    state: np.ndarray,
    elapsed: np.ndarray,
    skip: np.ndarray,
    actions: np.ndarray,
    two: float,
    obs: np.ndarray,
    reward: np.ndarray,
    terminated: np.ndarray,
) -> None:
    """One step of every row that is not skipped; writes `obs`, `reward` and `terminated` of those rows."""
    for i in range(len(state)):
        if not skip[i]:
            reward[i], terminated[i] = rule(state[i], actions[i], elapsed[i] == 0, two)
            elapsed[i] += 1
            show(state[i], obs[i])


@lru_cache
def compiled(entry_point: str) -> Any:
    """`advance` for one of `TASKS`."""
    game, picture = TASKS[entry_point]
    scope = {**globals(), "rule": game, "show": picture}
    name = game.__name__
    folder = cache_folder("classic", name, [Path(__file__)])
    return compile_loops(name, folder, scope, (), (advance,), slow=False)[0]
