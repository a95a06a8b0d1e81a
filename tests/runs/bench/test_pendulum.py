"""The best return on Pendulum: its dynamics are Gymnasium's, and no recorded game beats it."""

from __future__ import annotations

import gymnasium
import numpy as np

from runs.bench import pendulum
from runs.recording.results import newest, read_results


def test_a_step_is_gymnasiums() -> None:
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    angle, speed, torque = (rng.uniform(-bound, bound, 1000) for bound in (np.pi, 8.0, 2.0))
    after_angle, after_speed, reward = pendulum.step(angle, speed, torque)
    for k in range(1000):
        env.state = np.array([angle[k], speed[k]])  # type: ignore[attr-defined]
        theirs = env.step(np.array([torque[k]]))[1]
        at, fast = env.state  # type: ignore[attr-defined]
        assert np.allclose([reward[k], after_speed[k]], [theirs, fast], atol=1e-6)
        assert np.isclose(np.cos(after_angle[k] - at), 1.0)


def test_a_grid_point_keeps_its_own_value_and_a_cell_mixes_its_corners() -> None:
    values = np.random.default_rng(1).random(pendulum.ANGLES * pendulum.SPEEDS)
    grid = values.reshape(pendulum.ANGLES, pendulum.SPEEDS)
    across, up = 2 * np.pi / (pendulum.ANGLES - 1), 16 / (pendulum.SPEEDS - 1)
    angle, speed = np.array([-np.pi, -np.pi + 7.5 * across]), np.array([8.0, -8.0 + 3.25 * up])
    first, second = pendulum.interpolate(values, pendulum.corners(angle, speed))
    assert np.isclose(first, grid[0, -1])
    assert np.isclose(second, 0.375 * (grid[7, 3] + grid[8, 3]) + 0.125 * (grid[7, 4] + grid[8, 4]))


def test_no_recorded_game_beats_the_best_return() -> None:
    starts = pendulum.start_states(0)
    best = pendulum.best_returns(starts, pendulum.values_by_steps_left(torques=9), torques=101)
    recorded = next(r for r in newest(read_results(recipe="pendulum_sac")) if r["seed"] == 0)["score"]["returns"]
    assert np.all(best > np.array(recorded) - 1.5)
    assert -182 < best.mean() < -179  # 31 torques: -179.4
