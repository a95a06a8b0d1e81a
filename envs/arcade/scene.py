"""One arcade state as plain data for drawing: sprites on a grid and the numbers beside them.

`scene` reads a game's state row; `envs.arcade.picture` draws it. A scene is small, compares by value and can be made by
hand, so that pictures are tested without a game and games without a display.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rl.errors import unknown

State = Any
"""One structured row of a game's `STATE` dtype (`envs.arcade.rules`), as an array scalar or a 0-d view."""


@dataclass(frozen=True)
class Sprite:
    """One object. Positions are in cells, (0, 0) the centre of the top-left cell, x to the right, y down."""

    kind: str
    x: float
    y: float
    facing: int = 1
    """1: to the right, -1: to the left."""
    trail: tuple[float, float] = (0.0, 0.0)
    """Direction of travel, whose opposite is drawn as a trail; (0, 0) draws none."""
    moved: tuple[float, float] = (0.0, 0.0)
    """Cells moved by the last step, so that a viewer can glide between two steps."""
    variant: int = 0
    """Colour or shape among those of the kind: the brick's row, the car's pace, the alien's row."""


@dataclass(frozen=True)
class Scene:
    """One state of one game, ready to be drawn. None stands for a number that the game does not have."""

    game: str
    """The game's NAME: Breakout, Asterix, Freeway, Seaquest or SpaceInvaders."""
    sprites: tuple[Sprite, ...]
    score: float = 0.0
    lives: int | None = None
    level: int | None = None
    """Starts at 1 and grows by 1 each time the game becomes harder."""
    oxygen: float | None = None
    """Seaquest: the share of oxygen left, 0 to 1."""
    carried: int | None = None
    """Seaquest: divers aboard, 0 to 6."""
    time: float | None = None
    """Freeway: the share of the episode left, 0 to 1."""
    over: bool = False
    cells: tuple[int, int] = (10, 10)
    """Columns and rows of the board."""


def scene(game: str, state: State, before: State | None = None) -> Scene:
    """The scene of a state row. `before` is the row one step earlier, from which motion is read; without it, motion is
    guessed.

    Raises `InputError` for an unknown game.
    """
    if game not in _GAMES:
        raise unknown("arcade game", game, _GAMES)
    if before is not None and int(before["elapsed"]) + 1 != int(state["elapsed"]):
        before = None  # another episode
    numbers: dict[str, Any] = {}
    sprites = tuple(_GAMES[game](state, before, numbers))
    if "ramp_level" in (state.dtype.names or ()):
        numbers["level"] = int(state["ramp_level"]) + 1
    return Scene(game, sprites, score=float(state["score"]), over=bool(state["ended"]), **numbers)


def _change(state: State, before: State | None, *fields: str) -> tuple[float, ...]:
    """How far the named coordinates moved by the last step, at most one cell each; what is farther was a jump."""
    if before is None:
        return (0.0,) * len(fields)
    steps = [float(state[f]) - float(before[f]) for f in fields]
    return tuple(step if abs(step) <= 1 else 0.0 for step in steps)


def _breakout(s: State, before: State | None, _: dict[str, Any]) -> Iterator[Sprite]:
    for row, bricks in enumerate(s["bricks"]):
        for x in range(10):
            if (int(bricks) >> x) & 1:
                yield Sprite("brick", x, row + 1, variant=row)
    (paddle,) = _change(s, before, "paddle")
    yield Sprite("paddle", int(s["paddle"]), 9, moved=(paddle, 0))
    came = (float(s["ball_x"] - s["trail_x"]), float(s["ball_y"] - s["trail_y"]))
    yield Sprite("ball", int(s["ball_x"]), int(s["ball_y"]), trail=came, moved=came)


def _asterix(s: State, before: State | None, _: dict[str, Any]) -> Iterator[Sprite]:
    if before is not None:  # the lanes moved by the last step
        crossed = before["move_timer"] == 0
    else:
        crossed = s["move_timer"] >= s["move_period"] - 1 and s["elapsed"] > 0
    for lane, (kind, x, heading) in enumerate(zip(s["kind"], s["lane_x"], s["heading"], strict=True)):
        if kind:  # EMPTY, ENEMY, GOLD
            way = (float(heading), 0.0)
            name = "gold" if kind == 2 else "enemy"
            yield Sprite(name, int(x), lane + 1, int(heading), trail=way, moved=way if crossed else (0.0, 0.0))
    dx, dy = _change(s, before, "x", "y")
    yield Sprite("hero", int(s["x"]), int(s["y"]), moved=(dx, dy))


def _freeway(s: State, before: State | None, numbers: dict[str, Any]) -> Iterator[Sprite]:
    for lane, (x, timer, speed) in enumerate(zip(s["car_x"], s["car_timer"], s["car_speed"], strict=True)):
        way = (1.0 if speed > 0 else -1.0, 0.0)
        drove = timer == abs(speed) and s["elapsed"] > 0
        pace = 5 - abs(int(speed))  # speed counts the steps between two moves: 1 is the fastest
        yield Sprite("car", int(x), lane + 1, int(way[0]), way, way if drove else (0.0, 0.0), pace)
    (dy,) = _change(s, before, "y")
    yield Sprite("chicken", 4, int(s["y"]), moved=(0, dy))
    numbers["time"] = max(0.0, float(s["time_left"]) / 2500)


def _seaquest(s: State, before: State | None, numbers: dict[str, Any]) -> Iterator[Sprite]:
    for kind, rows, count in (
        ("fish", "fish", "num_fish"),
        ("enemy_submarine", "subs", "num_subs"),
        ("diver", "divers", "num_divers"),
    ):
        period = 5 if kind == "diver" else s["move_period"]
        # Whose countdown had run out has moved on; a period that has just changed would tell less surely.
        ready = None if before is None else {tuple(t[:3].tolist()) for t in before[rows][: before[count]] if t[3] == 0}
        for thing in s[rows][: int(s[count])]:
            x, y, right, move = (int(v) for v in thing[:4])
            facing = 1 if right else -1
            swam = move >= period if ready is None else (x - facing, y, right) in ready
            way = (float(facing), 0.0)
            yield Sprite(kind, x, y, facing, way, way if swam else (0.0, 0.0))
    for kind, rows, count in (("torpedo", "shots", "num_shots"), ("enemy_torpedo", "bombs", "num_bombs")):
        for x, y, right in s[rows][: int(s[count])]:
            yield Sprite(kind, int(x), int(y), 1 if right else -1, moved=(1.0 if right else -1.0, 0.0))
    dx, dy = _change(s, before, "x", "y")
    yield Sprite("submarine", int(s["x"]), int(s["y"]), 1 if s["facing_right"] else -1, moved=(dx, dy))
    numbers.update(oxygen=max(0.0, float(s["oxygen"]) / 200), carried=max(0, int(s["divers_aboard"])))


def _space_invaders(s: State, before: State | None, _: dict[str, Any]) -> Iterator[Sprite]:
    rows = [int(bits) for bits in s["aliens"]]
    top = next((y for y, bits in enumerate(rows) if bits), 0)
    marched = (0.0, 0.0)
    if before is not None and s["march_timer"] >= before["march_timer"]:
        fresh = sum(map(int.bit_count, rows)) > sum(int(bits).bit_count() for bits in before["aliens"])
        if not fresh:
            marched = (0.0, 1.0) if s["heading"] != before["heading"] else (float(s["heading"]), 0.0)
    for y, bits in enumerate(rows):
        for x in range(10):
            if (bits >> x) & 1:
                yield Sprite("alien", x, y, moved=marched, variant=y - top)
    for kind, field, dy in (("shot", "shots", -1.0), ("enemy_shot", "bombs", 1.0)):
        for y, bits in enumerate(s[field]):
            for x in range(10):
                if (int(bits) >> x) & 1:
                    # A bomb appears below its alien without a move.
                    fell = kind == "shot" or before is None or (y > 0 and (int(before[field][y - 1]) >> x) & 1)
                    yield Sprite(kind, x, y, trail=(0.0, dy), moved=(0.0, dy) if fell else (0.0, 0.0))
    (dx,) = _change(s, before, "x")
    yield Sprite("cannon", int(s["x"]), 9, moved=(dx, 0))


_GAMES: dict[str, Callable[[State, State | None, dict[str, Any]], Iterator[Sprite]]] = {
    "Breakout": _breakout,
    "Asterix": _asterix,
    "Freeway": _freeway,
    "Seaquest": _seaquest,
    "SpaceInvaders": _space_invaders,
}
