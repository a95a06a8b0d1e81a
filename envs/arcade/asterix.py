"""Asterix: walk the board, collect gold (+1), and touch no enemy. Both cross it in eight lanes, faster and faster.

State fields (besides the engine's, see `rules.state_row`):

    x, y          the player; y is 1 to 8
    spawn_timer   steps until something new enters      spawn_period   what it restarts from, 10 down to 1
    move_timer    steps until everything moves          move_period    what it restarts from, 5 down to 1
    ramp_timer    steps until the game gets harder      ramp_level     how often it got harder
    kind          [8] what is in lane k, which is row k + 1: EMPTY, ENEMY or GOLD
    lane_x        [8] its x, 0 where empty
    heading       [8] its direction, -1 or 1, 0 where empty
"""

import numpy as np

from envs.arcade.rules import DOWN, LEFT, NOOP, RIGHT, UP, Row, below, inlined_rule, moved, rule, state_row, uniform

NAME = "Asterix"
VERSION = 1
ACTIONS = (NOOP, LEFT, UP, RIGHT, DOWN)
CHANNELS = ("player", "enemy", "trail", "gold")
STATE = state_row(
    ("x", np.int8),
    ("y", np.int8),
    ("spawn_timer", np.int8),
    ("spawn_period", np.int8),
    ("move_timer", np.int8),
    ("move_period", np.int8),
    ("ramp_timer", np.int8),
    ("ramp_level", np.int8),
    ("kind", np.int8, (8,)),
    ("lane_x", np.int8, (8,)),
    ("heading", np.int8, (8,)),
)
RANGES = {"x": (0, 9), "y": (1, 8), "lane_x": (0, 9), "kind": (0, 2), "heading": (-1, 1)}
EMPTY, ENEMY, GOLD = range(3)


@rule
def reset(s: Row) -> None:
    s.x, s.y = 5, 5
    s.spawn_timer = s.spawn_period = 10
    s.move_timer = s.move_period = 5
    s.ramp_timer, s.ramp_level = 100, 0
    s.kind[:] = EMPTY
    s.lane_x[:] = 0
    s.heading[:] = 0


@rule
def step(s: Row, action: int, ramping: bool) -> tuple[int, bool]:
    reward, ended = 0, False
    if s.spawn_timer == 0:
        s.spawn_timer = s.spawn_period
        spawn(s)

    s.x = moved(s.x, action, LEFT, RIGHT, 0, 9)
    s.y = moved(s.y, action, UP, DOWN, 1, 8)

    # Only the player's own lane can meet the player: before the lanes move, and again after.
    mine = s.y - 1
    met = s.lane_x[mine] == s.x
    if s.move_timer == 0:
        s.move_timer = s.move_period
        if met and s.kind[mine] == GOLD:
            reward = 1
            s.kind[mine] = s.lane_x[mine] = s.heading[mine] = EMPTY
        elif met and s.kind[mine] == ENEMY:
            ended = True
        for k in range(8):  # what leaves the board leaves zeros: no branches, so that it runs as vector code
            x = s.lane_x[k] + s.heading[k]
            inside = (x >= 0) & (x <= 9)
            s.lane_x[k] = x * inside
            s.heading[k] *= inside
            s.kind[k] *= inside
        met = s.lane_x[mine] == s.x
    if met and s.kind[mine] == GOLD:
        reward += 1
        s.kind[mine] = s.lane_x[mine] = s.heading[mine] = EMPTY
    elif met and s.kind[mine] == ENEMY:
        ended = True

    s.spawn_timer -= 1
    s.move_timer -= 1
    if ramping and (s.spawn_period > 1 or s.move_period > 1):
        if s.ramp_timer >= 0:
            s.ramp_timer -= 1
        else:
            s.ramp_timer = 100
            if s.move_period > 1 and s.ramp_level % 2 == 1:
                s.move_period -= 1
            if s.spawn_period > 1:
                s.spawn_period -= 1
            s.ramp_level += 1
    return reward, ended


@rule
def spawn(s: Row) -> None:
    """Something enters an empty lane; the first two draws are made even when all lanes are full."""
    from_left = uniform(s) < 0.5
    is_gold = uniform(s) < 1 / 3
    empty = 0
    for k in range(8):
        empty += s.kind[k] == EMPTY
    if empty == 0:
        return
    choice = below(s, empty)
    for k in range(8):
        if s.kind[k] == EMPTY:
            if choice == 0:
                s.kind[k] = GOLD if is_gold else ENEMY
                s.lane_x[k] = 0 if from_left else 9
                s.heading[k] = 1 if from_left else -1
                return
            choice -= 1


@inlined_rule
def observe(s: Row, board: np.ndarray) -> None:
    board[s.y, s.x, 0] = True
    for k in range(8):
        there = s.kind[k] != EMPTY
        board[k + 1, s.lane_x[k], 1 + 2 * (s.kind[k] == GOLD)] = there
        behind = s.lane_x[k] - s.heading[k]
        board[k + 1, min(max(behind, 0), 9), 2] = there & (behind >= 0) & (behind <= 9)
