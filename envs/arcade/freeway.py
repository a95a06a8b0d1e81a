"""Freeway: lead the chicken from the bottom row to the top (+1, then it starts again), through eight lanes of traffic.

A car that hits the chicken sends it back to the bottom. An episode lasts 2,501 steps; there is no other end.

State fields (besides the engine's, see `rules.state_row`):

    y            the chicken, always in column 4; 9 is the bottom
    move_timer   steps until the chicken may move up or down again
    time_left    steps left, 2500 down to -1, where the episode ends
    car_x        [8] x of the car in lane k, which is row k + 1
    car_timer    [8] steps until it moves by one cell
    car_speed    [8] +-1 to +-5: its direction, and how many steps apart its moves are (1 is the fastest)
"""

import numpy as np

from envs.arcade.rules import DOWN, NOOP, UP, Row, below, inlined_rule, moved, rule, state_row, uniform

NAME = "Freeway"
VERSION = 1
ACTIONS = (NOOP, UP, DOWN)
CHANNELS = ("chicken", "car", "speed1", "speed2", "speed3", "speed4", "speed5")
STATE = state_row(
    ("y", np.int8),
    ("move_timer", np.int8),
    ("time_left", np.int16),
    ("car_x", np.int8, (8,)),
    ("car_timer", np.int8, (8,)),
    ("car_speed", np.int8, (8,)),
)
RANGES = {"y": (0, 9), "car_x": (0, 9), "car_speed": (-5, 5)}
COLUMN = 4


@rule
def reset(s: Row) -> None:
    s.y, s.move_timer, s.time_left = 9, 3, 2500
    s.car_x[:] = 0
    redraw_speeds(s)


@rule
def step(s: Row, action: int, ramping: bool) -> tuple[int, bool]:
    reward = 0
    if action != NOOP and s.move_timer == 0:
        s.move_timer = 3
        s.y = moved(s.y, action, UP, DOWN, 0, 9)
    if s.y == 0:
        reward = 1
        s.y = 9
        redraw_speeds(s)

    # Only the car in the chicken's lane can hit it: before the cars move, or after.
    hit = 1 <= s.y <= 8 and s.car_x[s.y - 1] == COLUMN
    for k in range(8):  # no branches, so that it runs as vector code
        moves = s.car_timer[k] == 0
        s.car_timer[k] += moves * (abs(s.car_speed[k]) + 1) - 1
        s.car_x[k] = wrapped(s.car_x[k] + moves * heading(s.car_speed[k]))
    if hit or (1 <= s.y <= 8 and s.car_x[s.y - 1] == COLUMN):
        s.y = 9

    s.move_timer = max(s.move_timer - 1, 0)
    s.time_left -= 1
    return reward, s.time_left < 0


@rule
def heading(speed: int) -> int:
    return 1 if speed > 0 else -1


@rule
def wrapped(x: int) -> int:
    """`x` from -1 to 10, wrapped round to 0 to 9."""
    return 0 if x > 9 else 9 if x < 0 else x


@rule
def redraw_speeds(s: Row) -> None:
    """New speeds and directions for all cars, which stay where they are."""
    for k in range(8):
        s.car_speed[k] = 1 + below(s, 5)
    for k in range(8):
        s.car_timer[k] = s.car_speed[k]
        if uniform(s) < 0.5:
            s.car_speed[k] = -s.car_speed[k]


@inlined_rule
def observe(s: Row, board: np.ndarray) -> None:
    board[s.y, COLUMN, 0] = True
    for k in range(8):
        board[k + 1, s.car_x[k], 1] = True
        board[k + 1, wrapped(s.car_x[k] - heading(s.car_speed[k])), 1 + abs(s.car_speed[k])] = True
