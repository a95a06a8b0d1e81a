"""Draws an arcade state: a backdrop and one painter for each kind of sprite, all in one palette.

A painter's unit is the cell's height, and (0, 0) is the centre of its cell. It runs once for each size: every frame
places the finished stamps, so that 60 frames a second cost little.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from envs import drawing
from envs.arcade.scene import Scene, Sprite
from envs.drawing import Canvas, Colour, Pen, Stamp, faded, mix

SMALLEST = 96
"""Pixels below which a picture is drawn larger and reduced."""

TITLES = {"SpaceInvaders": "SPACE INVADERS"}
SKIN = (255, 205, 160)
STEEL = (178, 190, 214)
NIGHT = (6, 9, 20)


def draw(canvas: Canvas, scene: Scene, part: float = 1.0) -> None:
    """Paints `scene` over the whole canvas: backdrop, sprites, score and gauges.

    With `part` below 1, every sprite stands at that part of its way from the previous step to this one. A viewer that
    draws several frames for each step thus shows smooth motion.
    """
    width, height = canvas.width, canvas.height
    if min(width, height) < SMALLEST:  # a thumbnail: reduced from a picture that has room for everything
        more = -(-SMALLEST // min(width, height))
        large = Canvas(width * more, height * more)
        draw(large, scene, part)
        canvas.picture(large.array(), 0, 0, width, height)
        return
    left, top, board_w, board_h = board_area(width, height, scene.cells)
    bar = _score_bar(height)
    cell_w, cell_h = board_w / scene.cells[0], board_h / scene.cells[1]
    canvas.fill(drawing.INK)
    board = canvas.part(left, top, board_w, board_h)
    board.stamp(_backdrop(scene.game, board_w, board_h, scene.cells), board_w / 2, board_h / 2)
    size = (max(2, round(cell_w)), max(2, round(cell_h)))
    behind = 1 - min(1.0, max(0.0, part))
    for sprite in sorted(scene.sprites, key=lambda s: _LAYER.get(s.kind, 0)):
        x, y = sprite.x - sprite.moved[0] * behind, sprite.y - sprite.moved[1] * behind
        centre = ((x + 0.5) * cell_w, (y + 0.5) * cell_h)
        _trail(board, sprite, centre, size)
        board.stamp(_stamp(sprite.kind, sprite.variant, sprite.facing, size), *centre)
    if scene.oxygen is not None or scene.carried is not None:
        _gauges(board, scene, cell_w, cell_h)
    _score_line(canvas, scene, left, board_w, bar)
    if scene.over and not behind:
        board.rect(0, 0, board_w, board_h, (*NIGHT, 150))
        letters, middle = board_h * 0.11, board_h * 0.48
        board.text("GAME OVER", board_w / 2, middle, letters, drawing.TEXT, "centre")
        board.text(f"score {scene.score:g}", board_w / 2, middle + letters, letters * 0.5, drawing.YELLOW, "centre")


def board_area(width: int, height: int, cells: tuple[int, int] = (10, 10)) -> tuple[int, int, int, int]:
    """Where the board lies on a picture of this size: left, top, width, height.

    The largest board whose cells are between square and half again as wide as high (a television's shape).
    """
    bar = _score_bar(height)
    high = min(height - bar, width * cells[1] // cells[0])
    wide = min(width, int(high * cells[0] / cells[1] * 1.5))
    return (width - wide) // 2, bar + (height - bar - high) // 2, wide, high


def _score_bar(height: int) -> int:
    return max(8, round(height * 0.085))


def _score_line(canvas: Canvas, scene: Scene, left: int, width: int, bar: int) -> None:
    canvas.rect(0, 0, canvas.width, bar, drawing.PANEL)
    canvas.rect(0, bar - max(1, bar // 24), canvas.width, max(1, bar // 24), drawing.EDGE)
    small, large, pad, y = bar * 0.36, bar * 0.60, bar * 0.3, bar * 0.49
    x = left + pad
    for label, value, colour in (("SCORE", scene.score, drawing.YELLOW), ("LEVEL", scene.level, drawing.CYAN)):
        if value is not None:
            x += canvas.text(label, x, y + bar * 0.05, small, drawing.MUTED) + pad * 0.6
            x += canvas.text(f"{value:g}", x, y, large, colour) + pad * 2
    if scene.lives is not None:
        size = (round(bar * 0.5), round(bar * 0.5))
        for life in range(scene.lives):
            canvas.stamp(_stamp("heart", 0, 1, size), x + bar * (0.25 + life * 0.55), y)
        x += bar * 0.55 * scene.lives + pad
    right = left + width - pad
    if scene.time is not None:
        long = min(width * 0.25, bar * 4)
        colour = drawing.GREEN if scene.time > 0.25 else drawing.RED
        canvas.bar(right - long, y - bar * 0.11, long, bar * 0.22, scene.time, colour)
        canvas.text("TIME", right - long - pad * 0.6, y + bar * 0.05, small, drawing.MUTED, "right")
    else:
        title = TITLES.get(scene.game, scene.game.upper())
        if right - canvas.text_width(title, bar * 0.42) > x:
            canvas.text(title, right, y, bar * 0.42, drawing.MUTED, "right")


def _gauges(board: Canvas, scene: Scene, cell_w: float, cell_h: float) -> None:
    """Seaquest's oxygen and divers aboard, written into the sea floor, which nothing swims in."""
    y, letters = 9.53 * cell_h, cell_h * 0.38
    if scene.oxygen is not None:
        x = cell_w * 0.3
        x += board.text("OXYGEN", x, y, letters, drawing.TEXT) + letters * 0.6
        colour = drawing.CYAN if scene.oxygen > 0.3 else drawing.RED
        board.bar(x, y - cell_h * 0.15, cell_w * 5.8 - x, cell_h * 0.30, scene.oxygen, colour, (58, 46, 46))
    if scene.carried is not None:
        size = (round(cell_w * 0.62), round(cell_h * 0.62))
        for place in range(6):
            stamp = _stamp("diver" if place < scene.carried else "no_diver", 0, 1, size)
            board.stamp(stamp, cell_w * (6.3 + place * 0.64), y)


def _trail(board: Canvas, sprite: Sprite, centre: tuple[float, float], size: tuple[int, int]) -> None:
    """Dots behind a ball, streaks behind what drives, swims or falls."""
    dx, dy = sprite.trail
    if not (dx or dy):
        return
    if sprite.kind == "ball":
        for age in range(1, 7):
            back = age / 5
            board.stamp(_stamp("spark", age, 1, size), centre[0] - dx * back * size[0], centre[1] - dy * back * size[1])
    elif dx:
        pace = sprite.variant if sprite.kind == "car" else 2
        stamp = _stamp("streak", pace, 1 if dx > 0 else -1, size)
        board.stamp(stamp, centre[0] - dx * 0.78 * size[0], centre[1])
    else:
        board.stamp(_stamp("fall", 0, 1, size), centre[0], centre[1] - dy * 0.70 * size[1])


@lru_cache(maxsize=512)
def _stamp(kind: str, variant: int, facing: int, size: tuple[int, int]) -> Stamp:
    """The finished picture of a sprite. Larger than its cell where it glows or its wings stand out."""
    unit = min(size)
    pen = Pen(round(size[0] * 1.5), round(size[1] * 1.5), unit)
    cell = _Cell(pen, size[0] / unit / 2, 1.0 if facing >= 0 else -1.0)
    _PAINTERS.get(kind, _unknown)(cell, variant)
    return pen.stamp()


class _Cell:
    """A pen that mirrors for what faces left, and knows `a`, half the width of a cell in cell heights."""

    def __init__(self, pen: Pen, a: float, side: float) -> None:
        self._pen, self.a, self._side = pen, a, side

    def circle(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self._pen.circle(x * self._side, y, radius, colour)

    def ellipse(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        self._pen.ellipse(x * self._side, y, width, height, colour)

    def rect(self, x: float, y: float, width: float, height: float, colour: Colour, radius: float = 0.0) -> None:
        self._pen.rect(x if self._side > 0 else -x - width, y, width, height, colour, radius)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self._pen.polygon([(x * self._side, y) for x, y in points], colour)

    def line(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        self._pen.line([(x * self._side, y) for x, y in points], colour, width)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float = 0.5) -> None:
        self._pen.glow(x * self._side, y, radius, colour, strength)


BRICKS = (drawing.RED, drawing.ORANGE, drawing.GREEN, drawing.CYAN, drawing.VIOLET)


def _brick(c: _Cell, row: int) -> None:
    colour = BRICKS[row % len(BRICKS)]
    w, x = 2 * c.a - 0.07, -c.a + 0.035
    c.rect(x, -0.40, w, 0.80, mix(colour, drawing.BLACK, 0.42), 0.12)  # underside
    c.rect(x, -0.40, w, 0.68, mix(colour, drawing.WHITE, 0.45), 0.12)  # lit edge
    c.rect(x + 0.06, -0.32, w - 0.06, 0.60, colour, 0.09)
    c.rect(x + 0.14, -0.26, w - 0.28, 0.10, mix(colour, drawing.WHITE, 0.30), 0.05)


def _paddle(c: _Cell, _: int) -> None:
    w, x = 2 * c.a, -c.a
    c.glow(0, 0, 0.75, drawing.BLUE, 0.35)
    c.rect(x, -0.24, w, 0.46, mix(drawing.ORANGE, drawing.BLACK, 0.4), 0.23)
    c.rect(x, -0.24, w, 0.38, drawing.ORANGE, 0.19)
    c.rect(x + 0.24, -0.24, w - 0.48, 0.46, mix(STEEL, drawing.BLACK, 0.4))
    c.rect(x + 0.24, -0.24, w - 0.48, 0.38, STEEL)
    c.rect(x + 0.16, -0.18, w - 0.32, 0.09, faded(drawing.WHITE, 0.8), 0.045)


def _ball(c: _Cell, _: int) -> None:
    c.glow(0, 0, 0.62, drawing.YELLOW, 0.5)
    c.circle(0, 0, 0.27, drawing.YELLOW)
    c.circle(-0.02, -0.02, 0.23, (255, 240, 190))
    c.circle(-0.08, -0.09, 0.09, drawing.WHITE)


def _spark(c: _Cell, age: int) -> None:
    c.circle(0, 0, 0.25 - 0.03 * age, faded(drawing.YELLOW, 0.42 - 0.06 * age))


def _hero(c: _Cell, _: int) -> None:
    c.glow(0, 0, 0.70, drawing.CYAN, 0.22)
    for side in (-1, 1):  # wings of the helmet
        for k in range(3):
            tip = (side * (0.52 - 0.07 * k), -0.54 + 0.17 * k)
            c.polygon([(side * 0.20, -0.34 + 0.07 * k), tip, (side * 0.24, -0.16 + 0.05 * k)], drawing.WHITE)
    c.rect(-0.26, 0.20, 0.52, 0.28, drawing.RED, 0.12)  # tunic
    c.rect(-0.26, 0.34, 0.52, 0.07, drawing.GREEN)
    c.circle(0, 0.02, 0.27, SKIN)
    c.polygon([(-0.30, -0.08), (-0.24, -0.28), (0, -0.44), (0.24, -0.28), (0.30, -0.08)], drawing.YELLOW)
    c.rect(-0.31, -0.12, 0.62, 0.08, mix(drawing.YELLOW, drawing.BLACK, 0.3), 0.04)
    for x in (-0.10, 0.10):
        c.circle(x, 0.03, 0.055, drawing.WHITE)
        c.circle(x + 0.01, 0.035, 0.032, drawing.INK)
    c.circle(0, 0.11, 0.075, mix(SKIN, drawing.RED, 0.3))
    for side in (-1, 1):  # moustache
        c.polygon([(0, 0.13), (side * 0.18, 0.15), (side * 0.30, 0.30), (side * 0.10, 0.25)], drawing.ORANGE)


def _enemy(c: _Cell, _: int) -> None:
    """A legionary: red crest, closed helmet, spear to the front."""
    iron, dark = (150, 160, 186), (84, 92, 120)
    c.line([(-0.20, 0.36), (0.56, 0.20)], (140, 98, 62), 0.06)
    c.polygon([(0.52, 0.12), (0.70, 0.17), (0.55, 0.28)], drawing.WHITE)
    c.polygon([(-0.40, 0.0), (-0.36, -0.36), (-0.10, -0.50), (0.20, -0.46), (0.26, -0.32), (-0.10, -0.32)], drawing.RED)
    c.rect(-0.28, 0.22, 0.50, 0.26, mix(drawing.RED, drawing.BLACK, 0.25), 0.08)
    c.circle(0, 0, 0.29, iron)
    c.rect(-0.29, -0.04, 0.58, 0.30, iron, 0.08)
    c.polygon([(0.04, -0.08), (0.31, -0.08), (0.31, 0.14), (0.16, 0.26), (0.08, 0.14)], SKIN)
    c.line([(0.08, -0.05), (0.26, 0.01)], drawing.INK, 0.05)
    c.circle(0.20, 0.05, 0.04, drawing.INK)
    c.rect(-0.32, -0.13, 0.66, 0.07, dark, 0.03)
    c.circle(-0.12, -0.16, 0.05, mix(iron, drawing.WHITE, 0.5))


def _gold(c: _Cell, _: int) -> None:
    """A cauldron of gold."""
    c.glow(0, -0.06, 0.66, drawing.YELLOW, 0.5)
    for x, y in ((-0.20, -0.12), (0.20, -0.12), (0, -0.14), (-0.11, -0.24), (0.11, -0.24), (0, -0.33)):
        c.circle(x, y, 0.13, mix(drawing.YELLOW, drawing.BLACK, 0.30))
        c.circle(x, y - 0.015, 0.105, drawing.YELLOW)
        c.circle(x - 0.03, y - 0.05, 0.035, (255, 245, 200))
    c.ellipse(0, 0.14, 0.72, 0.56, (62, 68, 92))
    c.rect(-0.40, -0.12, 0.80, 0.13, (92, 100, 130), 0.06)
    c.ellipse(-0.15, 0.12, 0.12, 0.24, (104, 112, 144))
    for x in (-0.22, 0.14):
        c.rect(x, 0.34, 0.09, 0.12, (62, 68, 92), 0.03)


CARS = (drawing.GREEN, drawing.CYAN, drawing.VIOLET, drawing.ORANGE, drawing.RED)


def _car(c: _Cell, speed: int) -> None:
    """Seen from above, driving to the right; the faster the hotter its colour."""
    colour = CARS[max(0, min(len(CARS) - 1, speed))]
    a = c.a - 0.05
    for reach in (0.10, 0.18, 0.26):  # headlights
        for y in (-0.20, 0.20):
            cone = [
                (a - 0.06, y - 0.04),
                (a + reach, y - 0.04 - reach / 2),
                (a + reach, y + 0.04 + reach / 2),
                (a - 0.06, y + 0.04),
            ]
            c.polygon(cone, faded((255, 240, 180), 0.13))
    c.rect(-a, -0.26, 2 * a, 0.62, faded(drawing.BLACK, 0.35), 0.2)
    for x in (-a + 0.10, a - 0.34):
        c.rect(x, -0.37, 0.24, 0.74, (14, 16, 24), 0.05)
    c.rect(-a, -0.31, 2 * a, 0.62, mix(colour, drawing.BLACK, 0.25), 0.17)
    c.rect(-a, -0.31, 2 * a, 0.55, colour, 0.16)
    glass = (24, 32, 56)
    c.rect(-a * 0.66, -0.24, a * 1.20, 0.46, glass, 0.11)
    c.rect(-a * 0.42, -0.21, a * 0.66, 0.40, mix(colour, drawing.WHITE, 0.22), 0.07)
    for y in (-0.27, 0.13):
        c.rect(a - 0.10, y, 0.10, 0.13, (255, 246, 200), 0.05)
        c.rect(-a, y, 0.07, 0.13, (255, 60, 60), 0.03)


def _chicken(c: _Cell, _: int) -> None:
    c.glow(0, 0, 0.72, drawing.WHITE, 0.28)
    for x in (-0.08, 0.10):
        c.line([(x, 0.28), (x, 0.44), (x + 0.09, 0.46)], drawing.ORANGE, 0.055)
    c.polygon([(-0.20, 0.05), (-0.46, -0.22), (-0.44, 0.02), (-0.40, 0.20), (-0.10, 0.30)], (226, 230, 240))
    c.ellipse(-0.02, 0.10, 0.62, 0.50, drawing.WHITE)
    c.ellipse(0.18, -0.14, 0.32, 0.50, drawing.WHITE)
    for x, y in ((0.10, -0.40), (0.20, -0.44), (0.29, -0.38)):
        c.circle(x, y, 0.085, drawing.RED)
    c.circle(0.20, -0.25, 0.17, drawing.WHITE)
    c.polygon([(0.33, -0.32), (0.54, -0.22), (0.33, -0.14)], drawing.ORANGE)
    c.ellipse(0.33, -0.08, 0.09, 0.15, drawing.RED)
    c.circle(0.25, -0.27, 0.045, drawing.INK)
    c.ellipse(-0.08, 0.10, 0.34, 0.24, (206, 212, 228))


def _hull(c: _Cell, body: Colour, trim: Colour) -> None:
    a = c.a
    dark, light = mix(body, drawing.BLACK, 0.35), mix(body, drawing.WHITE, 0.35)
    c.ellipse(-a + 0.03, 0.08, 0.10, 0.50, mix(trim, drawing.WHITE, 0.2))  # propeller
    c.polygon([(-a * 0.5, 0.0), (-a + 0.02, -0.20), (-a + 0.02, 0.32), (-a * 0.5, 0.18)], dark)
    c.rect(-0.18, -0.30, 0.36, 0.30, dark, 0.08)
    c.rect(-0.15, -0.30, 0.32, 0.30, body, 0.08)
    c.ellipse(0.02, 0.10, 2 * a - 0.18, 0.58, dark)
    c.ellipse(0.02, 0.07, 2 * a - 0.18, 0.52, body)
    c.ellipse(0.02, -0.06, (2 * a - 0.18) * 0.72, 0.13, light)


def _submarine(c: _Cell, _: int) -> None:
    c.glow(0, 0.05, 0.74, drawing.YELLOW, 0.2)
    c.line([(0.02, -0.28), (0.02, -0.46), (0.16, -0.46)], STEEL, 0.06)
    _hull(c, drawing.YELLOW, drawing.ORANGE)
    for x in (-0.20, 0.04, 0.28):
        c.circle(x, 0.08, 0.085, mix(drawing.ORANGE, drawing.BLACK, 0.3))
        c.circle(x, 0.08, 0.060, (190, 236, 255))


def _enemy_submarine(c: _Cell, _: int) -> None:
    body = (214, 62, 74)
    c.polygon([(-0.14, -0.26), (-0.02, -0.46), (0.10, -0.26)], body)
    _hull(c, body, (120, 126, 150))
    c.polygon([(0.10, -0.02), (0.40, 0.02), (0.34, 0.12), (0.12, 0.10)], drawing.INK)  # angry visor
    c.circle(0.25, 0.05, 0.045, drawing.YELLOW)
    c.rect(c.a - 0.22, 0.10, 0.24, 0.09, (120, 126, 150), 0.04)  # torpedo tube


def _fish(c: _Cell, _: int) -> None:
    """A shark, since it kills."""
    a, body, belly = c.a, (96, 122, 168), (206, 220, 238)
    c.polygon([(-a * 0.55, 0.03), (-a, -0.32), (-a * 0.86, 0.03), (-a, 0.30)], body)
    c.polygon([(-0.16, -0.16), (-0.06, -0.46), (0.20, -0.16)], body)
    c.polygon([(-0.02, 0.12), (-0.18, 0.38), (0.18, 0.16)], mix(body, drawing.BLACK, 0.25))
    c.ellipse(0.05, 0.02, 2 * a - 0.26, 0.46, body)
    c.ellipse(0.12, 0.11, 2 * a - 0.50, 0.24, belly)
    for k in range(4):
        x = a * 0.34 + k * 0.085
        c.polygon([(x, 0.08), (x + 0.085, 0.08), (x + 0.042, 0.18)], drawing.WHITE)
    c.line([(a * 0.34, 0.08), (a * 0.34 + 0.34, 0.07)], (70, 30, 44), 0.04)
    c.circle(a * 0.52, -0.05, 0.055, drawing.WHITE)
    c.circle(a * 0.52 + 0.01, -0.05, 0.034, drawing.RED)


def _person(c: _Cell, suit: Colour, skin: Colour, glass: Colour, fins: Colour) -> None:
    c.line([(-0.06, 0.06), (-0.32, 0.00)], suit, 0.12)
    c.line([(-0.06, 0.08), (-0.32, 0.20)], suit, 0.12)
    c.polygon([(-0.30, -0.06), (-0.52, -0.12), (-0.46, 0.08), (-0.30, 0.06)], fins)
    c.polygon([(-0.30, 0.13), (-0.50, 0.20), (-0.44, 0.34), (-0.28, 0.26)], fins)
    c.rect(-0.16, -0.20, 0.26, 0.13, glass, 0.06)  # air tank
    c.ellipse(0.02, 0.04, 0.44, 0.27, suit)
    c.line([(0.10, 0.10), (0.36, 0.22)], skin, 0.09)
    c.circle(0.27, -0.04, 0.145, skin)
    c.rect(0.26, -0.12, 0.18, 0.12, glass, 0.05)


def _diver(c: _Cell, _: int) -> None:
    c.glow(0, 0, 0.60, drawing.CYAN, 0.25)
    _person(c, drawing.ORANGE, SKIN, (190, 236, 255), drawing.GREEN)
    for x, y, r in ((0.40, -0.28, 0.05), (0.32, -0.40, 0.035)):
        c.circle(x, y, r, faded(drawing.WHITE, 0.6))


def _no_diver(c: _Cell, _: int) -> None:
    shade = faded(drawing.BLACK, 0.45)
    c.rect(-0.36, -0.16, 0.72, 0.36, shade, 0.18)


def _torpedo(c: _Cell, _: int) -> None:
    c.glow(0.05, 0.04, 0.42, drawing.YELLOW, 0.4)
    c.rect(-0.26, -0.03, 0.50, 0.14, (255, 250, 220), 0.07)
    c.rect(0.08, -0.03, 0.16, 0.14, drawing.ORANGE, 0.07)
    for x, r in ((-0.40, 0.055), (-0.54, 0.04)):
        c.circle(x, 0.04, r, faded(drawing.WHITE, 0.5))


def _enemy_torpedo(c: _Cell, _: int) -> None:
    c.glow(0.05, 0.04, 0.42, drawing.RED, 0.5)
    c.rect(-0.26, -0.03, 0.50, 0.14, (255, 150, 150), 0.07)
    c.rect(0.08, -0.03, 0.16, 0.14, drawing.RED, 0.07)
    for x, r in ((-0.40, 0.055), (-0.54, 0.04)):
        c.circle(x, 0.04, r, faded((255, 200, 200), 0.5))


ALIENS = (
    (drawing.PINK, ("...#....", "..###...", ".#####..", "##.#.##.", "#######.", "..#.#...", ".#.#.#..", "#.....#.")),
    (drawing.VIOLET, (".#...#..", "..#.#...", ".#####..", "##.#.##.", "#######.", "#.###.#.", "#.#.#.#.", "..#.#...")),
    (drawing.CYAN, ("..###...", ".#####..", "#######.", "#..#..#.", "#######.", "..#.#...", ".#.#.#..", "#.#.#.#.")),
    (drawing.GREEN, (".#...#..", "#.###.#.", "#######.", "##.#.##.", ".#####..", ".#...#..", "#.....#.", ".#...#..")),
)


def _alien(c: _Cell, row: int) -> None:
    colour, bitmap = ALIENS[row % len(ALIENS)]
    c.glow(0, 0, 0.72, colour, 0.28)
    pixel = 0.80 / 8
    for y, line in enumerate(bitmap):
        for x, mark in enumerate(line[:7]):
            if mark == "#":
                shade = mix(colour, drawing.WHITE, 0.35 - 0.07 * y) if y < 5 else colour
                c.rect((x - 3.5) * pixel * 1.12, (y - 4) * pixel, pixel * 1.14, pixel * 1.04, shade)


def _cannon(c: _Cell, _: int) -> None:
    c.glow(0, 0.1, 0.75, drawing.GREEN, 0.3)
    dark = mix(drawing.GREEN, drawing.BLACK, 0.4)
    a = min(c.a, 0.62)
    c.rect(-0.07, -0.46, 0.14, 0.40, drawing.GREEN, 0.05)
    c.rect(-0.20, -0.16, 0.40, 0.30, drawing.GREEN, 0.08)
    c.rect(-a + 0.04, 0.06, 2 * a - 0.08, 0.36, dark, 0.10)
    c.rect(-a + 0.04, 0.06, 2 * a - 0.08, 0.28, drawing.GREEN, 0.10)
    c.rect(-a + 0.14, 0.10, 2 * a - 0.28, 0.07, mix(drawing.GREEN, drawing.WHITE, 0.5), 0.03)


def _shot(c: _Cell, _: int) -> None:
    c.glow(0, 0, 0.45, drawing.GREEN, 0.5)
    c.rect(-0.055, -0.34, 0.11, 0.68, (220, 255, 230), 0.055)


def _enemy_shot(c: _Cell, _: int) -> None:
    c.glow(0, 0, 0.45, drawing.RED, 0.5)
    c.line([(0, -0.36), (0.11, -0.22), (-0.11, -0.02), (0.11, 0.18), (0, 0.36)], (255, 140, 130), 0.085)


def _streak(c: _Cell, pace: int) -> None:
    """Behind what travels to the right; the faster the longer."""
    for y, start in ((-0.20, -0.30), (0.02, -0.50), (0.22, -0.20)):
        start = 0.30 + (start - 0.30) * (0.4 + 0.3 * pace)
        for k in range(4):
            light = faded(drawing.WHITE, (0.05 + 0.05 * k) * (0.6 + 0.2 * pace))
            c.rect(start + k / 4 * (0.30 - start), y, (0.30 - start) / 4, 0.045, light)


def _fall(c: _Cell, _: int) -> None:
    for k in range(5):
        c.circle(0, (k - 2) * 0.14, 0.035, faded(drawing.WHITE, 0.25))


def _heart(c: _Cell, _: int) -> None:
    for x in (-0.17, 0.17):
        c.circle(x, -0.10, 0.21, drawing.RED)
    c.polygon([(-0.37, 0.0), (0, 0.42), (0.37, 0.0), (0, -0.15)], drawing.RED)
    c.circle(-0.20, -0.15, 0.06, (255, 190, 190))


def _unknown(c: _Cell, _: int) -> None:
    c.rect(-0.35, -0.35, 0.7, 0.7, drawing.MUTED, 0.1)


_PAINTERS: dict[str, Callable[[_Cell, int], None]] = {
    "brick": _brick,
    "paddle": _paddle,
    "ball": _ball,
    "spark": _spark,
    "hero": _hero,
    "enemy": _enemy,
    "gold": _gold,
    "car": _car,
    "chicken": _chicken,
    "submarine": _submarine,
    "enemy_submarine": _enemy_submarine,
    "fish": _fish,
    "diver": _diver,
    "no_diver": _no_diver,
    "torpedo": _torpedo,
    "enemy_torpedo": _enemy_torpedo,
    "alien": _alien,
    "cannon": _cannon,
    "shot": _shot,
    "enemy_shot": _enemy_shot,
    "streak": _streak,
    "fall": _fall,
    "heart": _heart,
}


_LAYER = {
    "torpedo": 1,
    "enemy_torpedo": 1,
    "shot": 1,
    "enemy_shot": 1,
    "hero": 2,
    "chicken": 2,
    "submarine": 2,
    "ball": 3,
}
"""What is drawn over the rest where two share a cell."""


@lru_cache(maxsize=6)
def _backdrop(game: str, width: int, height: int, cells: tuple[int, int]) -> Stamp:
    unit = height / cells[1]
    pen = Pen(width, height, unit, oversample=2)
    _BACKDROPS.get(game, _plain)(pen, pen.half_width, pen.half_height)
    return pen.stamp()


def _plain(p: Pen, w: float, h: float) -> None:
    p.gradient(-w, -h, 2 * w, 2 * h, (22, 28, 54), (12, 16, 34))


def _wall(p: Pen, w: float, h: float) -> None:
    """Breakout: a dark court with a faint grid of lights."""
    p.gradient(-w, -h, 2 * w, 2 * h, (24, 26, 62), (9, 12, 28))
    for x in np.arange(-w, w + 0.1, w / 5):
        p.line([(float(x), -h), (float(x), h)], faded(drawing.BLUE, 0.06), 0.02)
    for y in np.arange(-h, h + 0.1, 1.0):
        p.line([(-w, float(y)), (w, float(y))], faded(drawing.BLUE, 0.06), 0.02)
    p.gradient(-w, h - 0.07, 2 * w, 0.07, drawing.RED, mix(drawing.RED, drawing.BLACK, 0.5))
    p.gradient(-w, -h, 2 * w, 0.10, STEEL, mix(STEEL, drawing.BLACK, 0.5))
    for x in (-w, w - 0.06):
        p.gradient(x, -h, 0.06, 2 * h, STEEL, mix(STEEL, drawing.BLACK, 0.6))


def _meadow(p: Pen, w: float, h: float) -> None:
    """Asterix: eight paths through a meadow between two hedges."""
    p.gradient(-w, -h, 2 * w, 2 * h, (32, 74, 66), (22, 54, 52))
    for lane in range(1, 9):
        y = -h + lane
        p.rect(-w, y + 0.06, 2 * w, 0.88, (92, 78, 62) if lane % 2 else (84, 71, 57), 0.0)
        p.rect(-w, y + 0.06, 2 * w, 0.06, faded(drawing.BLACK, 0.22))
    rng = np.random.default_rng(7)
    for x, lane in zip(rng.uniform(-w, w, 60), rng.integers(1, 9, 60), strict=True):
        p.ellipse(float(x), float(-h + lane + rng.uniform(0.25, 0.85)), 0.12, 0.05, faded(drawing.BLACK, 0.18))
    for y in (-h + 0.5, h - 0.5):
        for x in np.arange(-w - 0.3, w + 0.5, 0.42):
            wobble = float(rng.uniform(-0.08, 0.08))
            p.circle(float(x), y + wobble, 0.44, (24, 84, 58))
            p.circle(float(x) - 0.08, y + wobble - 0.10, 0.30, (38, 112, 72))
            p.circle(float(x) - 0.14, y + wobble - 0.18, 0.12, (62, 142, 90))


def _road(p: Pen, w: float, h: float) -> None:
    """Freeway: eight lanes of asphalt between two strips of grass."""
    p.gradient(-w, -h, 2 * w, 2 * h, (48, 52, 66), (40, 44, 58))
    rng = np.random.default_rng(3)
    for y in (-h, h - 1):
        p.gradient(-w, y, 2 * w, 1.0, (52, 128, 78), (38, 102, 66))
        for x in rng.uniform(-w, w, 46):
            foot = float(y + rng.uniform(0.2, 0.95))
            p.line([(float(x), foot), (float(x) + 0.04, foot - 0.13)], faded((120, 200, 120), 0.45), 0.03)
    for y in (-h + 0.96, h - 1.0):
        p.rect(-w, y, 2 * w, 0.05, (210, 214, 224))
    for lane in range(2, 9):
        y = -h + lane
        if lane == 5:
            for shift in (-0.05, 0.03):
                p.rect(-w, y + shift, 2 * w, 0.035, drawing.YELLOW)
            continue
        for x in np.arange(-w + 0.15, w, 1.1):
            p.rect(float(x), y - 0.02, 0.55, 0.04, faded(drawing.WHITE, 0.55))
    for y in (-h + 0.5,):
        for k in range(10):  # the finishing line
            x = -w + 2 * w * (k + 0.5) / 10
            p.polygon([(x - 0.10, y + 0.12), (x + 0.10, y + 0.12), (x, y - 0.12)], faded(drawing.WHITE, 0.30))


def _sea(p: Pen, w: float, h: float) -> None:
    """Seaquest: sky over waves, water that darkens with depth, sand below."""
    p.gradient(-w, -h, 2 * w, 0.75, (255, 176, 122), (255, 216, 156))
    p.circle(w * 0.55, -h + 0.42, 0.26, (255, 244, 214))
    p.gradient(-w, -h + 0.62, 2 * w, 2 * h - 1.40, (34, 128, 190), (10, 32, 86))
    for x in (-0.75, -0.3, 0.2, 0.62):
        p.polygon(
            [(x * w, -h + 0.8), (x * w + 0.7, -h + 0.8), (x * w + 0.1, h - 1), (x * w - 1.2, h - 1)],
            (255, 255, 255, 10),
        )
    for row, colour in ((0.0, (120, 210, 240)), (0.10, (62, 160, 214)), (0.20, (34, 128, 190))):
        xs = np.linspace(-w, w, 160)
        ys = -h + 0.62 + row + 0.07 * np.sin(xs * 4.2 + row * 30)
        crest = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
        p.polygon([*crest, (w, -h + 1.0), (-w, -h + 1.0)], colour)
    rng = np.random.default_rng(5)
    for x, y, r in zip(
        rng.uniform(-w, w, 40), rng.uniform(-h + 1.4, h - 1.2, 40), rng.uniform(0.02, 0.06, 40), strict=True
    ):
        p.circle(float(x), float(y), float(r), (255, 255, 255, 26))
    xs = np.linspace(-w, w, 120)
    ys = h - 0.98 + 0.07 * np.sin(xs * 1.3) + 0.03 * np.sin(xs * 3.7 + 1)
    floor = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    p.polygon([*floor, (w, h), (-w, h)], (120, 98, 82))
    p.polygon([*((x, y + 0.10) for x, y in floor), (w, h), (-w, h)], (92, 74, 68))
    for x in rng.uniform(-w, w, 9):
        for k in range(5):
            sway = 0.09 * float(np.sin(k * 1.3 + x))
            p.circle(float(x) + sway, h - 1.0 - 0.11 * k, 0.055 - 0.006 * k, faded(drawing.GREEN, 0.45))


def _space(p: Pen, w: float, h: float) -> None:
    """Space Invaders: night, stars and the ground that is defended."""
    p.gradient(-w, -h, 2 * w, 2 * h, (12, 10, 34), (26, 18, 58))
    p.glow(-w * 0.4, -h * 0.2, 4.5, drawing.VIOLET, 0.30)
    p.glow(w * 0.6, h * 0.1, 3.8, drawing.BLUE, 0.30)
    rng = np.random.default_rng(11)
    for x, y, r in zip(
        rng.uniform(-w, w, 130), rng.uniform(-h, h - 0.6, 130), rng.uniform(0.008, 0.028, 130), strict=True
    ):
        p.circle(float(x), float(y), float(r), faded(drawing.WHITE, float(rng.uniform(0.3, 0.95))))
    xs = np.linspace(-w, w, 100)
    ys = h - 0.22 + 0.07 * np.sin(xs * 1.1) + 0.03 * np.sin(xs * 3.1)
    ground = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    p.polygon([*ground, (w, h), (-w, h)], (30, 66, 66))
    p.line(ground, (70, 170, 130), 0.04)


_BACKDROPS: dict[str, Callable[[Pen, float, float], None]] = {
    "Breakout": _wall,
    "Asterix": _meadow,
    "Freeway": _road,
    "Seaquest": _sea,
    "SpaceInvaders": _space,
}


def draw_scene(scene: Scene, size: tuple[int, int] = (800, 600)) -> np.ndarray:
    """The picture of an arcade scene as uint8 [H, W, 3], `size` being width and height. Needs no display."""
    from envs.arcade.picture import draw

    canvas = Canvas(*size)
    draw(canvas, scene)
    return canvas.array()


_SEA = ("submarine", "enemy_submarine", "fish", "diver", "no_diver", "torpedo", "enemy_torpedo")
_SHEETS: dict[str, dict[str, tuple[int, ...]]] = {
    "Breakout": {"brick": (0, 1, 2), "paddle": (0,), "ball": (0,), "spark": (1, 2, 3, 4, 5, 6)},
    "Asterix": {"hero": (0,), "enemy": (0,), "gold": (0,), "streak": (2,)},
    "Freeway": {"chicken": (0,), "car": (0, 1, 2, 3, 4), "streak": (0, 1, 2, 3, 4)},
    "Seaquest": {"streak": (2,), **dict.fromkeys(_SEA, (0,))},
    "SpaceInvaders": {"alien": (0, 1, 2, 3), "cannon": (0,), "shot": (0,), "enemy_shot": (0,), "fall": (0,)},
}
"""The stamps of each game: kind -> variants."""


def sheet(game: str, cell: tuple[int, int] = (96, 72)) -> dict[str, bytes]:
    """The game's pictures as PNG files, for pages: "backdrop", and each stamp as kind and variant, such as "brick0".

    A stamp faces right and is half again as large as a `cell`.
    """
    found = {f"{kind}{v}": _stamp(kind, v, 1, cell).png() for kind, all in _SHEETS[game].items() for v in all}
    return {"backdrop": _backdrop(game, cell[0] * 10, cell[1] * 10, (10, 10)).png(), **found}
