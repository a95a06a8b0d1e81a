"""Our games against minatar, the reference: the same state, action and draws must give the same everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.arcade import GAMES
from envs.arcade.engine import Games
from tests.envs.arcade_player import Planner
from tests.envs.minatar_twin import Twin

LISTS = ("shots", "bombs", "fish", "subs", "divers")
OURS_ONLY = ("elapsed", "score", "ended")


def comparable(row: Any) -> dict[str, Any]:
    """Our state without what has no meaning: rows past a list's length, the place of something that is not there."""
    state = {name: row[name].tolist() for name in row.dtype.names if name not in OURS_ONLY}
    for name in LISTS:
        if f"num_{name}" in state:
            state[name] = state[name][: state[f"num_{name}"]]
    for k, kind in enumerate(state.get("kind", ())):
        if kind == 0:
            state["lane_x"][k] = state["heading"][k] = 0
    return state


def harden(game: str, row: Any, rng: np.random.Generator) -> None:
    """Starts an episode late in the difficulty ramp, which play seldom lives to see."""
    if game == "Asterix":
        row["spawn_period"], row["move_period"] = rng.integers(1, 11), rng.integers(1, 6)
        row["ramp_level"] = rng.integers(0, 10)
        row["ramp_timer"] = rng.integers(0, 30)
    if game == "Seaquest":
        row["spawn_period"], row["move_period"] = rng.integers(1, 21), rng.integers(2, 6)
        row["ramp_level"] = rng.integers(0, 20)
        row["divers_aboard"] = rng.integers(-2, 7)
        row["y"] = rng.integers(0, 9)
    if game == "SpaceInvaders":
        row["march_period"] = rng.integers(6, 13)
    if game == "Freeway":
        row["time_left"] = rng.integers(0, 300)


def differences(
    game: str, steps: int, *, sticky: float, ramping: bool, player: str, seed: int, num: int = 20
) -> tuple[int, float, int]:
    """Plays `num` games on both sides in lock-step, `steps` in all.

    Returns the steps that differ in anything, the mean return of finished episodes and their number.
    """
    ours = Games(game, num, sticky, ramping)
    theirs = [Twin(GAMES[game], sticky, ramping) for _ in range(num)]
    planner, rng = Planner(game, num, ramping, seed), np.random.default_rng(seed)
    ours.seed(range(seed * num, (seed + 1) * num), np.ones(num, bool))
    fresh, differing = np.ones(num, bool), 0
    returns: list[int] = []
    for _ in range(steps // num):
        counters = ours.rows["rng"].tolist()
        ours.begin(fresh)
        for i in np.flatnonzero(fresh):
            if player == "planner" and rng.random() < 0.5:
                harden(game, ours.rows[i], rng)
                theirs[i].load(ours.rows[i])
            else:
                theirs[i].reset(counters[i])
            differing += not np.array_equal(ours.observe(fresh)[i], theirs[i].observation())
        actions = rng.integers(len(ours.codes), size=num)
        if player == "planner":
            actions = np.where(rng.random(num) < 0.05, actions, planner(ours.rows))
        _, obs, reward, ended, _ = ours.advance(actions, autoreset=False)
        for i, twin in enumerate(theirs):
            their_reward, their_end = twin.act(int(ours.codes[actions[i]]))
            row = ours.rows[i]
            differing += not (
                reward[i] == their_reward
                and ended[i] == their_end
                and np.array_equal(obs[i], twin.observation())
                and comparable(row) == plain(twin.state())
            )
            fresh[i] = ended[i] or their_end
            if fresh[i]:
                returns.append(int(row["score"]))
    return differing, float(np.mean(returns or [0])), len(returns)


def plain(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, list) else np.asarray(value).tolist() for name, value in state.items()}


def lock_step(game: str, steps: int, seed: int) -> dict[str, tuple[int, float, int]]:
    quarter = steps // 4
    return {
        "random, sticky, ramping": differences(game, quarter, sticky=0.1, ramping=True, player="random", seed=seed),
        "random, plain": differences(game, quarter, sticky=0.0, ramping=False, player="random", seed=seed + 1),
        "planner, sticky, ramping": differences(
            game, quarter, sticky=0.1, ramping=True, player="planner", seed=seed + 2
        ),
        "planner, plain": differences(game, quarter, sticky=0.0, ramping=False, player="planner", seed=seed + 3),
    }


@pytest.mark.parametrize("game", GAMES)
def test_20_000_steps_equal_minatar(game: str) -> None:
    assert sum(differing for differing, _, _ in lock_step(game, 20_000, seed=0).values()) == 0


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("game", GAMES)
def test_1_000_000_steps_equal_minatar(game: str) -> None:
    result = lock_step(game, 1_000_000, seed=100)
    print(game, result)
    assert sum(differing for differing, _, _ in result.values()) == 0
