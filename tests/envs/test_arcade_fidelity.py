"""Our games against minatar, the reference: the same state, action and draws must give the same everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minatar import Environment

from envs.arcade import GAMES
from envs.arcade.engine import Games
from tests.envs.arcade_player import Planner
from tests.envs.minatar_twin import Twin

LISTS = ("shots", "bombs", "fish", "subs", "divers")
OURS_ONLY = ("elapsed", "score", "ended")


def comparable(rows: np.ndarray) -> list[dict[str, Any]]:
    """Our states as plain values, without what has no meaning: rows past a list's length."""
    names = [name for name in rows.dtype.names or () if name not in OURS_ONLY]
    states = [dict(zip(names, values)) for values in zip(*(rows[name].tolist() for name in names))]
    for state in states:
        for name in LISTS:
            if f"num_{name}" in state:
                state[name] = state[name][: state[f"num_{name}"]]
    return states


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
        states = comparable(ours.rows)
        for i, twin in enumerate(theirs):
            their_reward, their_end = twin.act(int(ours.codes[actions[i]]))
            differing += not (
                reward[i] == their_reward
                and ended[i] == their_end
                and np.array_equal(obs[i], twin.observation())
                and states[i] == twin.state()
            )
            fresh[i] = ended[i] or their_end
            if fresh[i]:
                returns.append(int(ours.rows["score"][i]))
    return differing, float(np.mean(returns or [0])), len(returns)


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


def test_the_comparison_sees_a_single_wrong_number(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = Twin.state
    monkeypatch.setattr(Twin, "state", lambda twin: {**truth(twin), "divers_aboard": 0})
    differing, _, _ = differences("Seaquest", 4000, sticky=0.1, ramping=True, player="planner", seed=0)
    assert 0 < differing < 4000  # the steps with a diver aboard


def course_of_theirs(game: str, episodes: int) -> list[np.ndarray]:
    """One row per episode of random play: return, length, and mean number of objects in each channel."""
    env, rng, rows = Environment(GAMES[game]), np.random.default_rng(1), []
    env.seed(1)
    codes = env.minimal_action_set()
    for _ in range(episodes):
        env.reset()
        score, length, ended = 0, 0, False
        counts = np.zeros(env.state_shape()[2])
        while not ended:
            reward, ended = env.act(codes[rng.integers(len(codes))])
            score, length = score + reward, length + 1
            counts += env.state().sum((0, 1))
        rows.append(np.array([score, length, *counts / length]))
    return rows


def course_of_ours(game: str, episodes: int) -> list[np.ndarray]:
    """The same of ours: the first `episodes` // 50 of each of 50 games, so that short ones are not favoured."""
    num = 50
    ours, rng = Games(game, num), np.random.default_rng(2)
    ours.seed(range(num), np.ones(num, bool))
    rows: list[list[np.ndarray]] = [[] for _ in range(num)]
    totals = np.zeros((num, 2 + ours.shape[2]))
    fresh = np.ones(num, bool)
    while min(map(len, rows)) < episodes // num:
        ours.begin(fresh)
        totals[fresh] = 0
        _, obs, reward, fresh, _ = ours.advance(rng.integers(len(ours.codes), size=num), autoreset=False)
        totals += np.column_stack([reward, np.ones(num), obs.sum((1, 2))])
        for i in np.flatnonzero(fresh):
            score, length, *counts = totals[i]
            rows[i].append(np.array([score, length, *np.array(counts) / length]))
    return [episode for game_rows in rows for episode in game_rows[: episodes // num]]


@pytest.mark.parametrize("game", GAMES)
def test_returns_lengths_and_object_counts_are_distributed_like_minatars(game: str) -> None:
    """Each side with its own generator: no Kolmogorov-Smirnov distance beyond the 0.1% bound over all columns."""
    theirs = np.array(course_of_theirs(game, 10 if game == "Freeway" else 300))
    ours = np.array(course_of_ours(game, 50 if game == "Freeway" else 3000))
    columns = theirs.shape[1]
    bound = np.sqrt(-np.log(0.001 / columns / 2) / 2 * (1 / len(ours) + 1 / len(theirs)))
    for column in range(columns):
        a, b = np.sort(ours[:, column]), np.sort(theirs[:, column])
        at = np.concatenate([a, b])
        distance = np.abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max()
        assert distance < bound, (column, distance, bound)
