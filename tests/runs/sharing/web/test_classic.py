"""Classic control in JavaScript against Gymnasium: every step from the same state gives the same state."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from runs.sharing.web.games import CLASSIC
from tests.runs.sharing.web import javascript

REPLAY = """
const game = GAMES[data.game];
return data.steps.map(([t, before, action]) => {
  const s = begin(game, 1n, {limit: 1e9});
  s.x = before;
  s.elapsed = t;
  const seen = game.look(s).map(Math.fround), [reward, over] = game.step(s, action);
  return [seen, s.x, reward, over];
});
"""


def recorded(env_id: str, games: int) -> tuple[list[Any], list[Any]]:
    """(time, state, action) of every step of random games, and (observation, next state, reward, terminated)."""
    env, rng = gymnasium.make(env_id).unwrapped, np.random.default_rng(1)
    limit = min(gymnasium.spec(env_id).max_episode_steps or 0, 60)
    steps, truth = [], []
    for game in range(games):
        seen, _ = env.reset(seed=game)
        if game % 3 and env_id != "CartPole-v1":  # states that random play does not reach
            state = rng.uniform(-1, 1, np.shape(env.state))
            env.state = state * 0.5 if "Mountain" in env_id else state * 3
            seen = None
        over = t = 0
        while not over and t < limit:
            action = env.action_space.sample()
            if isinstance(action, np.ndarray) and rng.random() < 0.3:
                action = action * np.float32(1.5)  # beyond the bounds, as an unsquashed policy draws it
            before = [float(v) for v in env.state]
            old = seen
            seen, reward, over, *_ = env.step(action)
            steps.append((t, before, np.asarray(action).tolist()))
            truth.append((old, [float(v) for v in env.state], float(reward), bool(over)))
            t += 1
    return steps, truth


def check(env_id: str, games: int) -> None:
    steps, truth = recorded(env_id, games)
    got = javascript.run(REPLAY, {"game": CLASSIC[env_id], "steps": steps})
    assert any(over for *_, over in truth) or env_id == "Pendulum-v1"
    for (seen, state, reward, over), (obs, after, earned, ended) in zip(got, truth, strict=True):
        assert obs is None or np.abs(np.float32(seen) - obs).max() <= 6e-8 * max(1.0, np.abs(obs).max())
        assert np.abs(np.array(state) - after).max() < 1e-9
        assert abs(reward - earned) < 1e-9
        assert over == ended


@javascript.needs_javascript
@pytest.mark.parametrize("env_id", CLASSIC)
def test_six_games_equal_gymnasium_state_by_state(env_id: str) -> None:
    check(env_id, 30 if "Mountain" in env_id or "Acrobot" in env_id else 6)


@pytest.mark.full
@javascript.needs_javascript
@pytest.mark.parametrize("env_id", CLASSIC)
def test_1_000_games_equal_gymnasium_state_by_state(env_id: str) -> None:
    check(env_id, 1000)
