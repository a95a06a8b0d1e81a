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
        row["divers_aboard"] = rng.integers(0, 7)
        row["y"] = rng.integers(0, 9)
    if game == "SpaceInvaders":
        row["march_period"] = rng.integers(6, 13)
    if game == "Freeway":
        row["time_left"] = rng.integers(0, 300)


def differences(game: str, steps: int, *, sticky: float, ramping: bool, player: str, seed: int) -> tuple[int, float, int]:
    """Plays both sides in lock-step. Returns steps that differ in anything, the mean return, the episodes."""
    ours, theirs = Games(game, 1, sticky, ramping), Twin(GAMES[game], sticky, ramping)
    one, rng = np.ones(1, bool), np.random.default_rng(seed)
    planner = Planner(game, ramping, seed)
    ours.seed([seed], one)
    returns: list[int] = []
    differing, fresh = 0, True
    for _ in range(steps):
        if fresh:
            counter = int(ours.rows["rng"][0])
            ours.begin(one)
            if player == "planner" and rng.random() < 0.5:
                harden(game, ours.rows[0], rng)
                theirs.load(ours.rows[0])
            else:
                theirs.reset(counter)
            differing += not np.array_equal(ours.observe(one)[0], theirs.observation())
        if player == "random" or rng.random() < 0.05:
            action = int(rng.integers(len(ours.codes)))
        else:
            action = planner(ours.rows[0])
        _, obs, reward, ended, _ = ours.advance(np.array([action]), autoreset=False)
        their_reward, their_end = theirs.act(int(ours.codes[action]))
        row = ours.rows[0]
        differing += not (
            reward[0] == their_reward
            and ended[0] == their_end
            and np.array_equal(obs[0], theirs.observation())
            and comparable(row) == plain(theirs.state())
        )
        fresh = bool(ended[0] or their_end)
        if fresh:
            returns.append(int(row["score"]))
    return differing, float(np.mean(returns)) if returns else float(row["score"]), len(returns)


def plain(state: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() if name not in LISTS else _as_list(value) for name, value in state.items()}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else np.asarray(value).tolist()


def run(game: str, steps: int, seed: int = 0) -> dict[str, tuple[int, float, int]]:
    quarter = steps // 4
    return {
        "random, sticky, ramping": differences(game, quarter, sticky=0.1, ramping=True, player="random", seed=seed),
        "random, plain": differences(game, quarter, sticky=0.0, ramping=False, player="random", seed=seed + 1),
        "planner, sticky, ramping": differences(game, quarter, sticky=0.1, ramping=True, player="planner", seed=seed + 2),
        "planner, plain": differences(game, quarter, sticky=0.0, ramping=False, player="planner", seed=seed + 3),
    }


@pytest.mark.parametrize("game", GAMES)
def test_20_000_steps_equal_minatar(game: str) -> None:
    assert sum(differing for differing, _, _ in run(game, 20_000).values()) == 0


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("game", GAMES)
def test_1_000_000_steps_equal_minatar(game: str) -> None:
    result = run(game, 1_000_000, seed=100)
    print(game, result)
    assert sum(differing for differing, _, _ in result.values()) == 0
