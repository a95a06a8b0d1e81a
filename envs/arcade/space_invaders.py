"""Space Invaders: shoot the aliens (+1 each) before they land; a cleared swarm is replaced by a faster one.

State fields (besides the engine's, see `rules.state_row`). Boards are bits: bit x of row y is the cell (x, y).

    x              the cannon, in row 9
    aliens         [10] where aliens are          heading        the swarm's direction, -1 or 1
    shots          [10] the cannon's bullets      bombs          [10] the aliens' bullets
    reload_timer   steps until the cannon may fire again
    bomb_timer     steps until an alien fires
    march_timer    steps until the swarm moves    march_period   what it restarts from, at most the number of aliens
    ramp_level     how often the swarm has become faster
"""

import numpy as np

from envs.arcade.rules import FIRE, LEFT, NOOP, RIGHT, Row, inlined_rule, moved, rule, state_row

NAME = "SpaceInvaders"
VERSION = 1
ACTIONS = (NOOP, LEFT, RIGHT, FIRE)
CHANNELS = ("cannon", "alien", "alien_left", "alien_right", "friendly_bullet", "enemy_bullet")
STATE = state_row(
    ("x", np.int8),
    ("heading", np.int8),
    ("reload_timer", np.int8),
    ("bomb_timer", np.int8),
    ("march_timer", np.int8),
    ("march_period", np.int8),
    ("ramp_level", np.int8),
    ("aliens", np.int16, (10,)),
    ("shots", np.int16, (10,)),
    ("bombs", np.int16, (10,)),
)
RANGES = {"x": (0, 9), "heading": (-1, 1)}
SWARM_ROW = 0b0011111100
LEFT_EDGE, RIGHT_EDGE = 1 << 0, 1 << 9


@rule
def reset(s: Row) -> None:
    s.x, s.heading = 5, -1
    s.reload_timer, s.bomb_timer = 0, 10
    s.march_timer = s.march_period = 12
    s.ramp_level = 0
    s.shots[:] = 0
    s.bombs[:] = 0
    land_swarm(s)


@rule
def step(s: Row, action: int, ramping: bool) -> tuple[int, bool]:
    reward, ended = 0, False
    if action == FIRE and s.reload_timer == 0:
        s.shots[9] |= 1 << s.x
        s.reload_timer = 5
    s.x = moved(s.x, action, LEFT, RIGHT, 0, 9)
    cannon = 1 << s.x

    for y in range(9):
        s.shots[y] = s.shots[y + 1]
    s.shots[9] = 0
    for y in range(9, 0, -1):
        s.bombs[y] = s.bombs[y - 1]
    s.bombs[0] = 0
    ended = bool((s.bombs[9] | s.aliens[9]) & cannon)

    if s.march_timer == 0:
        s.march_timer = min(count(s.aliens), s.march_period)
        if march(s):
            ended = True
        if s.aliens[9] & cannon:
            ended = True
    if s.bomb_timer == 0:
        s.bomb_timer = 10
        drop_bomb(s)

    left = 0
    for y in range(10):
        hits = s.aliens[y] & s.shots[y]
        if hits:
            reward += count_bits(hits)
            s.aliens[y] ^= hits
            s.shots[y] ^= hits
        left |= s.aliens[y]

    s.reload_timer = max(s.reload_timer - 1, 0)
    s.march_timer -= 1
    s.bomb_timer -= 1
    if left == 0:
        if ramping and s.march_period > 6:
            s.march_period -= 1
            s.ramp_level += 1
        land_swarm(s)
    return reward, ended


@rule
def land_swarm(s: Row) -> None:
    s.aliens[:4] = SWARM_ROW
    s.aliens[4:] = 0


@rule
def march(s: Row) -> bool:
    """Moves the swarm by one cell; at the board's edge it turns round and comes down. True when it lands."""
    columns = 0
    for y in range(10):
        columns |= s.aliens[y]
    if columns & (LEFT_EDGE if s.heading < 0 else RIGHT_EDGE):
        s.heading = -s.heading
        landed = s.aliens[9] != 0
        bottom = s.aliens[9]
        for y in range(9, 0, -1):
            s.aliens[y] = s.aliens[y - 1]
        s.aliens[0] = bottom
        return landed
    for y in range(10):
        s.aliens[y] = s.aliens[y] >> 1 if s.heading < 0 else s.aliens[y] << 1
    return False


@rule
def drop_bomb(s: Row) -> None:
    """The lowest alien of the column nearest to the cannon fires."""
    for distance in range(10):
        for x in (s.x - distance, s.x + distance):
            if 0 <= x <= 9:
                for y in range(9, -1, -1):
                    if (s.aliens[y] >> x) & 1:
                        s.bombs[y] |= 1 << x
                        return


@rule
def count_bits(bits: int) -> int:
    total = 0
    while bits:
        bits &= bits - 1
        total += 1
    return total


@rule
def count(rows: np.ndarray) -> int:
    total = 0
    for y in range(10):
        total += count_bits(rows[y])
    return total


@inlined_rule
def observe(s: Row, board: np.ndarray) -> None:
    board[9, s.x, 0] = True
    side = 2 if s.heading < 0 else 3
    for y in range(10):
        if s.aliens[y]:
            for x in range(10):
                alien = (s.aliens[y] >> x) & 1
                board[y, x, 1] = alien
                board[y, x, side] = alien
        if s.shots[y]:
            for x in range(10):
                board[y, x, 4] = (s.shots[y] >> x) & 1
        if s.bombs[y]:
            for x in range(10):
                board[y, x, 5] = (s.bombs[y] >> x) & 1
