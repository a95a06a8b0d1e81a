"""Seaquest: steer a submarine, shoot fish and enemy submarines (+1 each), bring divers up before oxygen runs out.

Surfacing without a diver ends the game. With one to five divers, it costs one diver and refills the oxygen. With six,
all are brought home, for up to +10 points: the more oxygen is left, the more points. Each surfacing makes the enemies
faster (with difficulty ramping).

State fields (besides the engine's, see `rules.state_row`):

    x, y            the submarine; y is 0 (the surface) to 8     facing_right   which way it looks and fires
    oxygen          200 down to 0; a step at 0 ends the game     surfaced       whether it has not dived since surfacing
    divers_aboard   at most 6; below 0 after six came home, as   reload_timer   steps until it may fire again
                    in MinAtar: so many later divers do not count
    spawn_timer     steps until an enemy enters                  spawn_period   what it restarts from, 20 down to 1
    diver_timer     steps until a diver enters                   move_period    steps between enemy moves, 5 down to 2
    ramp_level      how often the game has become harder

and five lists, in order of entry, each an array of which the first `num_...` rows count:

    shots, num_shots      [4, 3]   X, Y, HEADS_RIGHT                our bullets
    bombs, num_bombs      [64, 3]  X, Y, HEADS_RIGHT                their bullets
    fish, num_fish        [40, 4]  X, Y, HEADS_RIGHT, MOVE          MOVE: steps until it moves by one cell
    subs, num_subs        [40, 5]  X, Y, HEADS_RIGHT, MOVE, SHOOT   SHOOT: steps until it fires
    divers, num_divers    [8, 4]   X, Y, HEADS_RIGHT, MOVE
"""

import numpy as np

from envs.arcade.rules import (
    DOWN,
    FIRE,
    LEFT,
    NOOP,
    RIGHT,
    UP,
    Row,
    below,
    inlined_rule,
    moved,
    rule,
    state_row,
    uniform,
)

NAME = "Seaquest"
VERSION = 1
ACTIONS = (NOOP, LEFT, UP, RIGHT, DOWN, FIRE)
CHANNELS = (
    "sub_front",
    "sub_back",
    "friendly_bullet",
    "trail",
    "enemy_bullet",
    "enemy_fish",
    "enemy_sub",
    "oxygen_gauge",
    "diver_gauge",
    "diver",
)
STATE = state_row(
    ("x", np.int8),
    ("y", np.int8),
    ("facing_right", np.bool_),
    ("surfaced", np.bool_),
    ("oxygen", np.int16),
    ("divers_aboard", np.int32),
    ("reload_timer", np.int8),
    ("spawn_timer", np.int8),
    ("spawn_period", np.int8),
    ("diver_timer", np.int8),
    ("move_period", np.int8),
    ("ramp_level", np.int8),
    ("num_shots", np.int8),
    ("num_bombs", np.int8),
    ("num_fish", np.int8),
    ("num_subs", np.int8),
    ("num_divers", np.int8),
    ("shots", np.int8, (4, 3)),
    ("bombs", np.int8, (64, 3)),
    ("fish", np.int8, (40, 4)),
    ("subs", np.int8, (40, 5)),
    ("divers", np.int8, (8, 4)),
)
RANGES = {"x": (0, 9), "y": (0, 8), "num_shots": (0, 4), "num_bombs": (0, 64)}
RANGES |= {"num_fish": (0, 40), "num_subs": (0, 40), "num_divers": (0, 8)}
LISTS = ("shots", "bombs", "fish", "subs", "divers")
X, Y, HEADS_RIGHT, MOVE, SHOOT = range(5)
FULL_TANK = 200


@rule
def reset(s: Row) -> None:
    s.x, s.y, s.facing_right = 5, 0, False
    s.oxygen, s.divers_aboard, s.surfaced = FULL_TANK, 0, True
    s.reload_timer = 0
    s.spawn_timer = s.spawn_period = 20
    s.diver_timer = 30
    s.move_period = 5
    s.ramp_level = 0
    s.num_shots = s.num_bombs = s.num_fish = s.num_subs = s.num_divers = 0


@rule
def step(s: Row, action: int, ramping: bool) -> tuple[int, bool]:
    if s.spawn_timer == 0:
        spawn_enemy(s)
        s.spawn_timer = s.spawn_period
    if s.diver_timer == 0:
        spawn_diver(s)
        s.diver_timer = 30
    steer(s, action)

    reward = move_shots(s)
    move_divers(s)
    sunk, rammed = move_subs(s)
    hit = move_bombs(s)
    caught, bitten = move_fish(s)
    reward += sunk + caught
    ended = rammed or hit or bitten

    s.spawn_timer = max(s.spawn_timer - 1, 0)
    s.diver_timer = max(s.diver_timer - 1, 0)
    s.reload_timer = max(s.reload_timer - 1, 0)
    ended |= s.oxygen <= 0
    if s.y > 0:
        s.oxygen -= 1
        s.surfaced = False
    elif not s.surfaced:
        if s.divers_aboard == 0:
            ended = True
        else:
            reward += surface(s, ramping)
    return reward, ended


@inlined_rule
def steer(s: Row, action: int) -> None:
    if action == FIRE and s.reload_timer == 0:
        s.reload_timer = 5
        shot = s.shots[s.num_shots]
        shot[X], shot[Y], shot[HEADS_RIGHT] = s.x, s.y, s.facing_right
        s.num_shots += 1
    if action in (LEFT, RIGHT):
        s.facing_right = action == RIGHT
    s.x = moved(s.x, action, LEFT, RIGHT, 0, 9)
    s.y = moved(s.y, action, UP, DOWN, 0, 8)


@rule
def surface(s: Row, ramping: bool) -> int:
    """Brings divers home and fills the tank. Returns the reward: up to 10 with six divers, else 0."""
    s.surfaced = True
    reward = 0
    if s.divers_aboard == 6:
        s.divers_aboard = 0
        reward = s.oxygen * 10 // FULL_TANK
    s.divers_aboard -= 1  # even after six: MinAtar then owes one, and so do we
    s.oxygen = FULL_TANK
    if ramping and (s.spawn_period > 1 or s.move_period > 2):
        if s.move_period > 2 and s.ramp_level % 2 == 1:
            s.move_period -= 1
        if s.spawn_period > 1:
            s.spawn_period -= 1
        s.ramp_level += 1
    return reward


@rule
def spawn_enemy(s: Row) -> None:
    """A fish or a submarine enters, unless an enemy in its row moves the other way."""
    right = uniform(s) < 0.5
    is_sub = uniform(s) < 1 / 3
    y = 1 + below(s, 8)
    for k in range(s.num_fish):
        if s.fish[k, Y] == y and s.fish[k, HEADS_RIGHT] != right:
            return
    for k in range(s.num_subs):
        if s.subs[k, Y] == y and s.subs[k, HEADS_RIGHT] != right:
            return
    if is_sub:
        new = s.subs[s.num_subs]
        new[SHOOT] = 10
        s.num_subs += 1
    else:
        new = s.fish[s.num_fish]
        s.num_fish += 1
    new[X], new[Y], new[HEADS_RIGHT], new[MOVE] = 0 if right else 9, y, right, s.move_period


@rule
def spawn_diver(s: Row) -> None:
    right = uniform(s) < 0.5
    new = s.divers[s.num_divers]
    new[X], new[Y], new[HEADS_RIGHT], new[MOVE] = 0 if right else 9, 1 + below(s, 8), right, 5
    s.num_divers += 1


@inlined_rule
def move_shots(s: Row) -> int:
    """Moves our bullets. Returns the number of enemies they hit."""
    hits = 0
    for k in range(s.num_shots - 1, -1, -1):
        shot = s.shots[k]
        shot[X] += 1 if shot[HEADS_RIGHT] else -1
        if shot[X] < 0 or shot[X] > 9:
            s.num_shots = remove(s.shots, s.num_shots, k)
            continue
        target = find(s.fish, s.num_fish, shot[X], shot[Y])
        if target >= 0:
            s.num_fish = remove(s.fish, s.num_fish, target)
        else:
            target = find(s.subs, s.num_subs, shot[X], shot[Y])
            if target >= 0:
                s.num_subs = remove(s.subs, s.num_subs, target)
        if target >= 0:
            hits += 1
            s.num_shots = remove(s.shots, s.num_shots, k)
    return hits


@inlined_rule
def move_divers(s: Row) -> None:
    """Moves divers and takes aboard those that the submarine touches, before their move or after it."""
    for k in range(s.num_divers - 1, -1, -1):
        diver = s.divers[k]
        if at_sub(s, diver) and s.divers_aboard < 6:
            s.divers_aboard += 1
            s.num_divers = remove(s.divers, s.num_divers, k)
        elif not swim(diver, 5):
            s.num_divers = remove(s.divers, s.num_divers, k)
        elif at_sub(s, diver) and s.divers_aboard < 6:
            s.divers_aboard += 1
            s.num_divers = remove(s.divers, s.num_divers, k)


@inlined_rule
def move_subs(s: Row) -> tuple[int, bool]:
    """Moves enemy submarines, which fire now and then. Returns those that ran into a bullet, and whether one hit us."""
    hits, touched = 0, False
    for k in range(s.num_subs - 1, -1, -1):
        sub = s.subs[k]
        touched |= at_sub(s, sub)
        if not swim(sub, s.move_period):
            s.num_subs = remove(s.subs, s.num_subs, k)
            continue
        touched |= at_sub(s, sub)
        shot = find(s.shots, s.num_shots, sub[X], sub[Y])
        if shot >= 0:
            hits += 1
            s.num_shots = remove(s.shots, s.num_shots, shot)
            s.num_subs = remove(s.subs, s.num_subs, k)
        elif sub[SHOOT] == 0:
            sub[SHOOT] = 10
            bomb = s.bombs[s.num_bombs]
            bomb[X], bomb[Y], bomb[HEADS_RIGHT] = sub[X], sub[Y], sub[HEADS_RIGHT]
            s.num_bombs += 1
        else:
            sub[SHOOT] -= 1
    return hits, touched


@inlined_rule
def move_bombs(s: Row) -> bool:
    """Moves enemy bullets. True when one hits."""
    touched = False
    for k in range(s.num_bombs - 1, -1, -1):
        bomb = s.bombs[k]
        touched |= at_sub(s, bomb)
        bomb[X] += 1 if bomb[HEADS_RIGHT] else -1
        if bomb[X] < 0 or bomb[X] > 9:
            s.num_bombs = remove(s.bombs, s.num_bombs, k)
        else:
            touched |= at_sub(s, bomb)
    return touched


@inlined_rule
def move_fish(s: Row) -> tuple[int, bool]:
    """Moves fish. Returns those that ran into a bullet, and whether one hit us."""
    hits, touched = 0, False
    for k in range(s.num_fish - 1, -1, -1):
        fish = s.fish[k]
        touched |= at_sub(s, fish)
        if not swim(fish, s.move_period):
            s.num_fish = remove(s.fish, s.num_fish, k)
            continue
        touched |= at_sub(s, fish)
        shot = find(s.shots, s.num_shots, fish[X], fish[Y])
        if shot >= 0:
            hits += 1
            s.num_shots = remove(s.shots, s.num_shots, shot)
            s.num_fish = remove(s.fish, s.num_fish, k)
    return hits, touched


@rule
def at_sub(s: Row, thing: np.ndarray) -> bool:
    return thing[X] == s.x and thing[Y] == s.y


@rule
def swim(thing: np.ndarray, period: int) -> bool:
    """Counts down to the next move and makes it. False when `thing` has left the board."""
    if thing[MOVE] > 0:
        thing[MOVE] -= 1
        return True
    thing[MOVE] = period
    thing[X] += 1 if thing[HEADS_RIGHT] else -1
    return 0 <= thing[X] <= 9


@rule
def find(things: np.ndarray, num: int, x: int, y: int) -> int:
    """Index of the first thing at (x, y), or -1."""
    for k in range(num):
        if things[k, X] == x and things[k, Y] == y:
            return k
    return -1


@rule
def remove(things: np.ndarray, num: int, k: int) -> int:
    """Takes thing `k` out, keeping the order. Returns how many are left."""
    for j in range(k, num - 1):
        for field in range(things.shape[1]):
            things[j, field] = things[j + 1, field]
    return num - 1


@inlined_rule
def observe(s: Row, board: np.ndarray) -> None:
    board[s.y, s.x, 0] = True
    board[s.y, s.x - 1 if s.facing_right else s.x + 1, 1] = True
    for x in range(10):
        board[9, x, 7] = x < s.oxygen * 10 // FULL_TANK
    for x in range(3, 9):
        board[9, x, 8] = x >= 9 - s.divers_aboard
    for k in range(s.num_shots):
        board[s.shots[k, Y], s.shots[k, X], 2] = True
    for k in range(s.num_bombs):
        board[s.bombs[k, Y], s.bombs[k, X], 4] = True
    for k in range(s.num_fish):
        show(s.fish[k], board, 5)
    for k in range(s.num_subs):
        show(s.subs[k], board, 6)
    for k in range(s.num_divers):
        show(s.divers[k], board, 9)


@inlined_rule
def show(thing: np.ndarray, board: np.ndarray, channel: int) -> None:
    board[thing[Y], thing[X], channel] = True
    behind = thing[X] - 1 if thing[HEADS_RIGHT] else thing[X] + 1
    if 0 <= behind <= 9:
        board[thing[Y], behind, 3] = True
