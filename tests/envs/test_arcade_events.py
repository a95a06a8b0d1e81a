"""Events that random play seldom or never brings about, against the rules in each game's docstring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.arcade import ArcadeEnv, ArcadeVectorEnv
from envs.arcade.breakout import FULL_ROW
from envs.arcade.rules import DOWN, FIRE, LEFT, NOOP, RIGHT, UP
from envs.arcade.space_invaders import SWARM_ROW

Fields = dict[str, Any]


def boards(**rows: int) -> list[int]:
    """Ten rows of bits: `boards(r5=8)` has the bit of x = 3 in row 5."""
    return [rows.get(f"r{y}", 0) for y in range(10)]


def lane(row: int, value: int) -> list[int]:
    """Eight lanes, all 0 but for `row`."""
    return [value * (y == row) for y in range(1, 9)]


FALLING = {"ball_x": 4, "ball_y": 8, "dx": 1, "dy": 1}
RISING = {"ball_x": 4, "ball_y": 4, "dx": 1, "dy": -1}
BREAKOUT = {
    "the last brick is worth 1, and the wall stays cleared": (
        {**RISING, "bricks": [0, 0, 1 << 5]},
        NOOP,
        1,
        False,
        {"bricks": [0, 0, 0], "ball_x": 5, "ball_y": 4, "dy": 1, "striking": True},
    ),
    "a cleared wall is built anew when the ball comes down": (
        {**FALLING, "paddle": 4, "bricks": [0, 0, 0]},
        NOOP,
        0,
        False,
        {"bricks": [FULL_ROW] * 3, "ball_x": 5, "ball_y": 8, "dx": 1, "dy": -1},
    ),
    "a wall with one brick left is not": (
        {**FALLING, "paddle": 4, "bricks": [0, 0, 1]},
        NOOP,
        0,
        False,
        {"bricks": [0, 0, 1]},
    ),
    "a ball that the paddle misses ends the game": ({**FALLING, "paddle": 6}, NOOP, 0, True, {"ball_y": 9}),
    "the paddle moves before the ball": ({**FALLING, "paddle": 3}, RIGHT, 0, False, {"paddle": 4, "dy": -1}),
    "the paddle's edge sends the ball back where it came from": (
        {**FALLING, "paddle": 5},
        NOOP,
        0,
        False,
        {"ball_x": 5, "ball_y": 8, "dx": -1, "dy": -1},
    ),
    "a ball along the wall breaks only the first brick": (
        {**RISING, "striking": True, "bricks": [0, 0, 1 << 5]},
        NOOP,
        0,
        False,
        {"bricks": [0, 0, 1 << 5], "ball_x": 5, "ball_y": 3, "dy": -1, "striking": True},
    ),
    "the ball turns round at a side": (
        {"ball_x": 9, "ball_y": 5, "dx": 1, "dy": 1},
        NOOP,
        0,
        False,
        {"ball_x": 9, "ball_y": 6, "dx": -1, "dy": 1},
    ),
    "the ball turns round at the top": (
        {"ball_x": 4, "ball_y": 0, "dx": 1, "dy": -1},
        NOOP,
        0,
        False,
        {"ball_x": 5, "ball_y": 0, "dy": 1},
    ),
}

CROSSING = {"y": 5, "move_timer": 3, "car_timer": [3] * 8}
FREEWAY = {
    "the top is worth 1 and the chicken starts again": (
        {"y": 1, "move_timer": 0},
        UP,
        1,
        False,
        {"y": 9, "move_timer": 2},
    ),
    "a car sends the chicken back": ({**CROSSING, "car_x": lane(5, 4)}, NOOP, 0, False, {"y": 9}),
    "a car of another lane does not": ({**CROSSING, "car_x": lane(4, 4)}, NOOP, 0, False, {"y": 5}),
    "a car that arrives sends the chicken back": (
        {**CROSSING, "car_x": lane(5, 3), "car_speed": [1] * 8, "car_timer": [0] * 8},
        NOOP,
        0,
        False,
        {"y": 9},
    ),
    "the chicken waits between two moves": ({"y": 5, "move_timer": 2}, UP, 0, False, {"y": 5, "move_timer": 1}),
    "the road goes round": (
        {"car_x": [9] * 8, "car_speed": [1] * 8, "car_timer": [0] * 8},
        NOOP,
        0,
        False,
        {"car_x": [0] * 8, "car_timer": [1] * 8},
    ),
    "it goes round on the left too": (
        {"car_x": [0] * 8, "car_speed": [-3] * 8, "car_timer": [0] * 8},
        NOOP,
        0,
        False,
        {"car_x": [9] * 8, "car_timer": [3] * 8},
    ),
    "the last step but one does not end the game": ({"time_left": 1}, NOOP, 0, False, {"time_left": 0}),
    "the last step ends the game": ({"time_left": 0}, NOOP, 0, True, {"time_left": -1}),
}

EMPTY, ENEMY, GOLD = 0, 1, 2
BESIDE = {"lane_x": lane(5, 4), "heading": lane(5, 1)}
HERE = {"lane_x": lane(5, 5), "heading": lane(5, 1)}
ASTERIX = {
    "gold is worth 1 and is gone": ({**HERE, "kind": lane(5, GOLD)}, NOOP, 1, False, {"kind": [EMPTY] * 8}),
    "an enemy ends the game": ({**HERE, "kind": lane(5, ENEMY)}, NOOP, 0, True, {}),
    "an enemy that would move on ends the game": ({**HERE, "kind": lane(5, ENEMY), "move_timer": 0}, NOOP, 0, True, {}),
    "gold that arrives is worth 1": (
        {**BESIDE, "kind": lane(5, GOLD), "move_timer": 0},
        NOOP,
        1,
        False,
        {"kind": [EMPTY] * 8, "move_timer": 4},
    ),
    "an enemy that arrives ends the game": ({**BESIDE, "kind": lane(5, ENEMY), "move_timer": 0}, NOOP, 0, True, {}),
    "walking into an enemy ends the game": ({**BESIDE, "kind": lane(5, ENEMY)}, LEFT, 0, True, {"x": 4}),
    "the top lane is the highest": ({"y": 1}, UP, 0, False, {"y": 1}),
    "the bottom lane is the lowest": ({"y": 8}, DOWN, 0, False, {"y": 8}),
    "what leaves the board leaves its lane empty": (
        {"kind": lane(1, ENEMY), "lane_x": lane(1, 9), "heading": lane(1, 1), "move_timer": 0},
        NOOP,
        0,
        False,
        {"kind": [EMPTY] * 8, "lane_x": [0] * 8, "heading": [0] * 8},
    ),
    "nothing enters a full board": (
        {"kind": [ENEMY] * 8, "lane_x": [0] * 8, "heading": [1] * 8, "spawn_timer": 0},
        NOOP,
        0,
        False,
        {"kind": [ENEMY] * 8, "lane_x": [0] * 8, "heading": [1] * 8, "spawn_timer": 9},
    ),
    "the first level brings more": (
        {"ramp_timer": -1},
        NOOP,
        0,
        False,
        {"spawn_period": 9, "move_period": 5, "ramp_level": 1, "ramp_timer": 100},
    ),
    "the second level is faster too": (
        {"ramp_timer": -1, "ramp_level": 1},
        NOOP,
        0,
        False,
        {"spawn_period": 9, "move_period": 4, "ramp_level": 2},
    ),
    "nothing is faster than the last level": (
        {"ramp_timer": -1, "ramp_level": 19, "spawn_period": 1, "move_period": 1},
        NOOP,
        0,
        False,
        {"spawn_period": 1, "move_period": 1, "ramp_level": 19},
    ),
}

LOW = {"march_timer": 5, "bomb_timer": 5}
SPACE_INVADERS = {
    "the last alien brings a faster swarm": (
        {**LOW, "aliens": boards(r5=1 << 3), "shots": boards(r6=1 << 3)},
        NOOP,
        1,
        False,
        {"aliens": [SWARM_ROW] * 4 + [0] * 6, "shots": boards(), "march_period": 11, "ramp_level": 1},
    ),
    "the sixth period is the shortest": (
        {**LOW, "aliens": boards(r5=1 << 3), "shots": boards(r6=1 << 3), "march_period": 6, "ramp_level": 6},
        NOOP,
        1,
        False,
        {"march_period": 6, "ramp_level": 6},
    ),
    "two aliens that are hit are worth 2": (
        {**LOW, "aliens": boards(r0=1 << 9, r5=0b11000), "shots": boards(r6=0b11000)},
        NOOP,
        2,
        False,
        {"aliens": boards(r0=1 << 9), "shots": boards(), "ramp_level": 0},
    ),
    "the swarm moves sideways": (
        {"aliens": boards(r0=0b110), "march_timer": 0, "bomb_timer": 5},
        NOOP,
        0,
        False,
        {"aliens": boards(r0=0b011), "heading": -1, "march_timer": 1},
    ),
    "at the left edge it turns round and comes down": (
        {"aliens": boards(r0=0b11), "march_timer": 0, "bomb_timer": 5},
        NOOP,
        0,
        False,
        {"aliens": boards(r1=0b11), "heading": 1},
    ),
    "at the right edge too": (
        {"aliens": boards(r8=1 << 9), "heading": 1, "march_timer": 0, "bomb_timer": 5},
        NOOP,
        0,
        False,
        {"aliens": boards(r9=1 << 9), "heading": -1},
    ),
    "an alien that comes down on the cannon ends the game": (
        {"x": 9, "aliens": boards(r8=1 << 9), "heading": 1, "march_timer": 0, "bomb_timer": 5},
        NOOP,
        0,
        True,
        {},
    ),
    "an alien that lands ends the game": (
        {"aliens": boards(r9=1 << 9), "heading": 1, "march_timer": 0, "bomb_timer": 5},
        NOOP,
        0,
        True,
        {},
    ),
    "a bomb ends the game": ({**LOW, "bombs": boards(r8=1 << 5)}, NOOP, 0, True, {}),
    "a bomb beside the cannon does not": ({**LOW, "bombs": boards(r8=1 << 5)}, LEFT, 0, False, {"x": 4}),
    "the lowest alien of the nearest column fires": (
        {"march_timer": 5, "bomb_timer": 0, "aliens": boards(r0=0b10000010, r1=0b10000010, r2=0b1)},
        NOOP,
        0,
        False,
        {"bombs": boards(r1=1 << 7), "bomb_timer": 9},
    ),
    "the cannon fires": ({**LOW}, FIRE, 0, False, {"shots": boards(r8=1 << 5), "reload_timer": 4}),
    "the cannon does not fire while it reloads": (
        {**LOW, "reload_timer": 1},
        FIRE,
        0,
        False,
        {"shots": boards(), "reload_timer": 0},
    ),
}

DIVING = {"x": 5, "y": 5, "surfaced": False}
RISEN = {"x": 5, "y": 1, "surfaced": False}
SEAQUEST = {
    "the last oxygen is used up": ({**DIVING, "oxygen": 1}, NOOP, 0, False, {"oxygen": 0}),
    "a step without oxygen ends the game": ({**DIVING, "oxygen": 0}, NOOP, 0, True, {}),
    "surfacing without a diver ends the game": (RISEN, UP, 0, True, {"y": 0}),
    "surfacing costs a diver, refills the tank and brings more enemies": (
        {**RISEN, "divers_aboard": 2, "oxygen": 7},
        UP,
        0,
        False,
        {"divers_aboard": 1, "oxygen": 200, "surfaced": True, "spawn_period": 19, "move_period": 5, "ramp_level": 1},
    ),
    "surfacing again makes enemies faster": (
        {**RISEN, "divers_aboard": 1, "ramp_level": 1},
        UP,
        0,
        False,
        {"divers_aboard": 0, "spawn_period": 19, "move_period": 4, "ramp_level": 2},
    ),
    "nothing is faster than the last level": (
        {**RISEN, "divers_aboard": 1, "ramp_level": 19, "spawn_period": 1, "move_period": 2},
        UP,
        0,
        False,
        {"spawn_period": 1, "move_period": 2, "ramp_level": 19},
    ),
    "six divers with a full tank are worth 10": (
        {**RISEN, "divers_aboard": 6, "oxygen": 200},
        UP,
        10,
        False,
        {"divers_aboard": -1, "oxygen": 200},
    ),
    "six divers with half a tank are worth 5": ({**RISEN, "divers_aboard": 6, "oxygen": 119}, UP, 5, False, {}),
    "five divers are worth nothing": ({**RISEN, "divers_aboard": 5}, UP, 0, False, {"divers_aboard": 4}),
    "the surface costs nothing": ({"y": 0}, NOOP, 0, False, {"oxygen": 200, "divers_aboard": 0}),
    "a sixth diver is taken aboard": (
        {**DIVING, "divers_aboard": 5, "divers": [[5, 5, 1, 3]]},
        NOOP,
        0,
        False,
        {"divers_aboard": 6, "num_divers": 0},
    ),
    "a seventh diver is not": (
        {**DIVING, "divers_aboard": 6, "divers": [[5, 5, 1, 3]]},
        NOOP,
        0,
        False,
        {"divers_aboard": 6, "divers": [[5, 5, 1, 2]]},
    ),
    "a diver that arrives is taken aboard": (
        {**DIVING, "divers": [[4, 5, 1, 0]]},
        NOOP,
        0,
        False,
        {"divers_aboard": 1, "num_divers": 0},
    ),
    "a fish ends the game": ({**DIVING, "fish": [[5, 5, 1, 3]]}, NOOP, 0, True, {}),
    "a fish that arrives ends the game": ({**DIVING, "fish": [[6, 5, 0, 0]]}, NOOP, 0, True, {}),
    "an enemy submarine ends the game": ({**DIVING, "subs": [[5, 5, 1, 3, 9]]}, NOOP, 0, True, {}),
    "an enemy bullet ends the game": ({**DIVING, "bombs": [[4, 5, 1]]}, NOOP, 0, True, {}),
    "a fish that is shot is worth 1": (
        {**DIVING, "x": 0, "shots": [[3, 5, 1]], "fish": [[4, 5, 0, 3]]},
        NOOP,
        1,
        False,
        {"num_fish": 0, "num_shots": 0},
    ),
    "a fish that swims into a shot is worth 1": (
        {**DIVING, "x": 0, "shots": [[3, 5, 1]], "fish": [[5, 5, 0, 0]]},
        NOOP,
        1,
        False,
        {"num_fish": 0, "num_shots": 0},
    ),
    "an enemy submarine that is shot is worth 1": (
        {**DIVING, "x": 0, "shots": [[3, 5, 1]], "subs": [[4, 5, 0, 3, 9], [9, 2, 0, 3, 9]]},
        NOOP,
        1,
        False,
        {"subs": [[9, 2, 0, 2, 8]], "num_shots": 0},
    ),
    "an enemy submarine fires": (
        {**DIVING, "subs": [[5, 3, 1, 3, 0]]},
        NOOP,
        0,
        False,
        {"bombs": [[6, 3, 1]], "subs": [[5, 3, 1, 2, 10]]},
    ),
    "a shot leaves the board": ({**DIVING, "x": 0, "shots": [[9, 5, 1]]}, NOOP, 0, False, {"num_shots": 0}),
    "we fire where we look": (
        {**DIVING, "facing_right": True},
        FIRE,
        0,
        False,
        {"shots": [[6, 5, 1]], "reload_timer": 4},
    ),
}

CASES = {
    "Breakout": BREAKOUT,
    "Freeway": FREEWAY,
    "Asterix": ASTERIX,
    "SpaceInvaders": SPACE_INVADERS,
    "Seaquest": SEAQUEST,
}


def put(env: ArcadeEnv, fields: Fields) -> None:
    """Continues from the present state with other values; a list brings its length along."""
    state = env.get_state()
    for name, value in fields.items():
        row = state["rows"][name][0:1]
        if row.ndim == 3:
            state["rows"][f"num_{name}"][0] = len(value)
            row[0, : len(value)] = value
        else:
            row[0] = value
    env.set_state(state)


def step(game: str, fields: Fields, action: int, ramping: bool = True) -> tuple[ArcadeEnv, float, bool]:
    """The game one step after the state with these fields."""
    env = ArcadeEnv(game, sticky_action_prob=0.0, difficulty_ramping=ramping)
    env.reset(seed=0)
    put(env, fields)
    _, reward, terminated, _, _ = env.step(env.games.game.ACTIONS.index(action))
    return env, reward, terminated


@pytest.mark.parametrize(
    ("game", "fields", "action", "reward", "ended", "after"),
    [
        pytest.param(game, *case, id=f"{game}: {words}")
        for game, cases in CASES.items()
        for words, case in cases.items()
    ],
)
def test_rare_events_follow_the_rules(
    game: str, fields: Fields, action: int, reward: float, ended: bool, after: Fields
) -> None:
    env, earned, over = step(game, fields, action)
    assert (earned, over) == (reward, ended)
    for name, value in after.items():
        if env.state[name].ndim == 2:
            assert env.state[f"num_{name}"] == len(value)
            assert env.state[name][: len(value)].tolist() == value, name
        else:
            assert np.array_equal(env.state[name], value), (name, env.state[name])


@pytest.mark.parametrize(
    ("game", "words"),
    [
        ("Asterix", "the second level is faster too"),
        ("SpaceInvaders", "the last alien brings a faster swarm"),
        ("Seaquest", "surfacing again makes enemies faster"),
    ],
)
def test_without_ramping_no_level_is_faster(game: str, words: str) -> None:
    fields, action, *_ = CASES[game][words]
    hardness = ("spawn_period", "move_period", "march_period", "ramp_level")
    env, _, _ = step(game, fields, action, ramping=False)
    before = ArcadeEnv(game, difficulty_ramping=False)
    before.reset(seed=0)
    put(before, fields)
    names = [name for name in hardness if name in (before.state.dtype.names or ())]
    assert names and all(env.state[name] == before.state[name] for name in names)


def test_the_top_of_freeway_draws_new_speeds_for_cars_that_stay_where_they_are() -> None:
    env, _, _ = step("Freeway", {"y": 1, "move_timer": 0, "car_speed": [5] * 8, "car_x": [2] * 8}, UP)
    assert (env.state["car_x"] == 2).all() and len(set(env.state["car_speed"].tolist())) > 2


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_restart_forgets_the_action_that_a_sticky_step_would_repeat(mode: str) -> None:
    env = ArcadeVectorEnv("Freeway", 1, sticky_action_prob=1.0, autoreset_mode=mode)
    env.reset(seed=0)
    env.state["last_action"] = UP
    env.reset(seed=0)
    assert env.state["last_action"] == NOOP
    env.state["last_action"], env.state["time_left"] = UP, 0
    assert env.step([0])[2].all()
    if mode == "NextStep":
        env.step([0])
    assert env.state["last_action"] == NOOP
