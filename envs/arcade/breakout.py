"""Breakout: keep the ball in play with the paddle and clear the wall; a cleared wall is built anew. +1 per brick.

State fields (besides the engine's, see `rules.state_row`):

    paddle            x of the paddle, which lies in row 9
    ball_x, ball_y    the ball
    trail_x, trail_y  where the ball was one step ago
    dx, dy            the ball's direction, each -1 or 1 (dy = 1 is down)
    striking          whether the last step touched a brick: a ball passing along the wall breaks only the first
    bricks            [3] bit x of bricks[k] is the brick at (x, k + 1)
"""

import numpy as np

from envs.arcade.rules import LEFT, NOOP, RIGHT, Row, below, inlined_rule, moved, rule, state_row

NAME = "Breakout"
VERSION = 1
ACTIONS = (NOOP, LEFT, RIGHT)
CHANNELS = ("paddle", "ball", "trail", "brick")
STATE = state_row(
    ("paddle", np.int8),
    ("ball_x", np.int8),
    ("ball_y", np.int8),
    ("trail_x", np.int8),
    ("trail_y", np.int8),
    ("dx", np.int8),
    ("dy", np.int8),
    ("striking", np.bool_),
    ("bricks", np.int16, (3,)),
)
RANGES = dict.fromkeys(("paddle", "ball_x", "ball_y", "trail_x", "trail_y"), (0, 9)) | {"dx": (-1, 1), "dy": (-1, 1)}
FULL_ROW = 0b1111111111


@rule
def reset(s: Row) -> None:
    side = below(s, 2)  # from the left wall to the right, or from the right wall to the left
    s.paddle = 4
    s.ball_x, s.ball_y = 9 * side, 3
    s.trail_x, s.trail_y = s.ball_x, s.ball_y
    s.dx, s.dy = 1 - 2 * side, 1
    s.striking = False
    s.bricks[:] = FULL_ROW


@rule
def step(s: Row, action: int, ramping: bool) -> tuple[int, bool]:
    reward, ended = 0, False
    s.paddle = moved(s.paddle, action, LEFT, RIGHT, 0, 9)

    x, y = s.ball_x + s.dx, s.ball_y + s.dy
    if x < 0 or x > 9:
        x = s.ball_x
        s.dx = -s.dx

    touching = 1 <= y <= 3 and (s.bricks[y - 1] >> x) & 1
    if touching:
        if not s.striking:
            reward = 1
            s.bricks[y - 1] ^= 1 << x
            y = s.ball_y
            s.dy = -s.dy
    elif y < 0:
        y = 0
        s.dy = -s.dy
    elif y == 9:
        if not s.bricks.any():
            s.bricks[:] = FULL_ROW
        if s.paddle == s.ball_x:
            y = s.ball_y
            s.dy = -s.dy
        elif s.paddle == x:  # the paddle's edge: back where it came from
            y = s.ball_y
            s.dx, s.dy = -s.dx, -s.dy
        else:
            ended = True

    s.striking = touching
    s.trail_x, s.trail_y = s.ball_x, s.ball_y
    s.ball_x, s.ball_y = x, y
    return reward, ended


@inlined_rule
def observe(s: Row, board: np.ndarray) -> None:
    board[9, s.paddle, 0] = True
    board[s.ball_y, s.ball_x, 1] = True
    board[s.trail_y, s.trail_x, 2] = True
    for k in range(3):
        for x in range(10):
            board[k + 1, x, 3] = (s.bricks[k] >> x) & 1
