"""Draws a board game: one board and one painter of stones for each game, in the arcade's palette.

Boards and stones are painted once for each size and then set down as stamps, as the arcade's sprites are. Stones fall
into Connect Four's frame, turn over in Othello and grow in tic-tac-toe.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from envs import drawing
from envs.boards.scene import Scene, Stone
from envs.drawing import Canvas, Colour, Pen, Stamp, faded, mix

SMALLEST = 160
"""Pixels below which a picture is drawn larger and reduced."""
TITLES = {"TicTacToe": "TIC-TAC-TOE", "ConnectFour": "CONNECT FOUR", "Othello6": "OTHELLO 6 x 6", "Othello": "OTHELLO"}
NAMES = {
    "TicTacToe": ("X", "O"),
    "ConnectFour": ("RED", "YELLOW"),
    "Othello6": ("BLACK", "WHITE"),
    "Othello": ("BLACK", "WHITE"),
}
BLACK_STONE, WHITE_STONE = (30, 34, 46), (240, 242, 246)
COLOURS: dict[str, tuple[Colour, Colour]] = {
    "TicTacToe": (drawing.CYAN, drawing.PINK),
    "ConnectFour": (drawing.RED, drawing.YELLOW),
    "Othello6": (BLACK_STONE, WHITE_STONE),
    "Othello": (BLACK_STONE, WHITE_STONE),
}
FELT = (24, 118, 82)
FRAME = (44, 92, 214)


class Place(NamedTuple):
    """Where the board lies on the picture, in pixels."""

    left: float
    top: float
    cell: float
    """Width and height of a cell."""


def board_place(width: int, height: int, cells: tuple[int, int]) -> Place:
    """The largest board of square cells under the bar of the players, with room for the names of the columns."""
    bar, edge = _bar(height), height * 0.068
    cell = min((height - bar - 2 * edge) / cells[1], (width - 2 * edge) / cells[0])
    return Place((width - cell * cells[0]) / 2, bar + (height - bar - cell * cells[1]) / 2 - edge * 0.22, cell)


def draw(canvas: Canvas, scene: Scene, part: float = 1.0) -> None:
    """Paints `scene` over the whole canvas; the latest ply is `part` (0 to 1) of the way done."""
    width, height = canvas.width, canvas.height
    if min(width, height) < SMALLEST:
        more = -(-SMALLEST // min(width, height))
        large = Canvas(width * more, height * more)
        draw(large, scene, part)
        canvas.picture(large.array(), 0, 0, width, height)
        return
    canvas.stamp(_room(width, height), width / 2, height / 2)
    place = board_place(width, height, scene.cells)
    columns, rows = scene.cells
    middle = (place.left + place.cell * columns / 2, place.top + place.cell * rows / 2)
    size = max(4, round(place.cell))
    falls = scene.game == "ConnectFour"
    canvas.stamp(_ground(scene.game, scene.cells, size), *middle)
    for x, y in scene.free if part >= 1 else ():
        canvas.stamp(_hint(scene.player, size), *_centre(place, x, y))
    for stone in scene.stones:
        _set_down(canvas, scene, stone, place, size, part)
    if falls:
        canvas.stamp(_frame(scene.cells, size), *middle)
    if part >= 1:
        _marks(canvas, scene, place, size)
    _edges(canvas, scene, place)
    _players(canvas, scene, part)


def _centre(place: Place, x: float, y: float) -> tuple[float, float]:
    return place.left + (x + 0.5) * place.cell, place.top + (y + 0.5) * place.cell


def _set_down(canvas: Canvas, scene: Scene, stone: Stone, place: Place, size: int, part: float) -> None:
    x, y, owner, across = float(stone.x), float(stone.y), stone.owner, 1.0
    grow = 1.0
    if stone.fresh and scene.game == "ConnectFour":
        y = -1 + (stone.y + 1) * part * part  # falls faster and faster
    elif stone.fresh:
        grow = 0.4 + 0.6 * min(1.0, 2 * part)
    elif stone.flipped:
        turned = min(1.0, max(0.0, 2 * part - 0.7 - 0.05 * abs(stone.x - stone.y)))
        owner = stone.owner if turned >= 0.5 else 1 - stone.owner
        across = max(0.08, abs(1 - 2 * turned))
    stamp = _stone(scene.game, owner, max(3, round(size * grow)), round(across * 16))
    if y < -0.5 and scene.game == "ConnectFour":
        y = -0.5
    canvas.stamp(stamp, *_centre(place, x, y))


def _marks(canvas: Canvas, scene: Scene, place: Place, size: int) -> None:
    """The winning line, or a dot on the stone that was placed last."""
    for x, y in scene.line:
        canvas.stamp(_halo(scene.game, size), *_centre(place, x, y))
    if scene.game != "TicTacToe" and not scene.line and scene.last is not None:
        owner = next(stone.owner for stone in scene.stones if (stone.x, stone.y) == scene.last)
        canvas.stamp(_dot(owner, size), *_centre(place, *scene.last))


def _edges(canvas: Canvas, scene: Scene, place: Place) -> None:
    """Names of the columns below the board and of the rows at its left."""
    columns, rows = scene.cells
    letters = max(10.0, min(place.cell * 0.30, canvas.height * 0.036))
    rim = {"ConnectFour": 0.16, "TicTacToe": 0.1}.get(scene.game, 0.22)
    gap = place.cell * rim + letters * 0.62
    names = "1234567" if scene.game == "ConnectFour" else "abcdefgh"
    for x in range(columns):
        canvas.text(
            names[x], place.left + (x + 0.5) * place.cell, place.top + rows * place.cell + gap, letters,
            drawing.MUTED, "centre",
        )  # fmt: skip
    if scene.game == "ConnectFour":
        return
    for y in range(rows):
        name = str(rows - y if scene.game == "TicTacToe" else y + 1)
        canvas.text(name, place.left - gap, place.top + (y + 0.5) * place.cell, letters, drawing.MUTED, "centre")


def _bar(height: int) -> int:
    return max(12, round(height * 0.105))


def _players(canvas: Canvas, scene: Scene, part: float) -> None:
    """The bar at the top: the two players at its ends, who is to move or has won between them."""
    bar, width = _bar(canvas.height), canvas.width
    canvas.rect(0, 0, width, bar, drawing.PANEL)
    canvas.rect(0, bar - max(1, bar // 28), width, max(1, bar // 28), drawing.EDGE)
    size, y = round(bar * 0.66), bar * 0.49
    done = part >= 1
    for owner, side in ((0, 1), (1, -1)):
        x = bar * 0.62 if side > 0 else width - bar * 0.62
        active = (scene.winner == owner) if scene.over and done else (not scene.over and scene.player == owner)
        if active:
            canvas.stamp(_aura(round(bar * 0.95)), x, y)
        canvas.stamp(_stone(scene.game, owner, size, 16), x, y)
        colour: Colour = drawing.TEXT if active else drawing.MUTED
        who, align = "PLAYER" if owner == scene.seat else "OPPONENT", "left" if side > 0 else "right"
        words = NAMES[scene.game][owner]
        if scene.game.startswith("Othello"):
            words += f"  {sum(stone.owner == owner for stone in scene.stones)}"
        canvas.text(words, x + side * bar * 0.5, y - bar * 0.13, bar * 0.40, colour, align)  # type: ignore[arg-type]
        canvas.text(who, x + side * bar * 0.5, y + bar * 0.20, bar * 0.27, drawing.MUTED, align)  # type: ignore[arg-type]
    headline, ink = _headline(scene, done)
    canvas.text(headline, width / 2, y, bar * 0.46, ink, "centre")


def _headline(scene: Scene, done: bool) -> tuple[str, Colour]:
    if not scene.over or not done:
        return ("PASS", drawing.ORANGE) if scene.passed else (TITLES[scene.game], drawing.MUTED)
    if scene.winner < 0:
        return "DRAW", drawing.TEXT
    return f"{NAMES[scene.game][scene.winner]} WINS", drawing.GREEN if scene.winner == scene.seat else drawing.RED


@lru_cache(maxsize=8)
def _room(width: int, height: int) -> Stamp:
    """The table around the board: night blue, lighter in the middle."""
    pen = Pen(width, height, height, oversample=1)
    pen.gradient(-pen.half_width, -0.5, 2 * pen.half_width, 1.0, (15, 21, 42), (7, 10, 22))
    return pen.stamp()


@lru_cache(maxsize=16)
def _ground(game: str, cells: tuple[int, int], size: int) -> Stamp:
    """What lies under the stones. Units are cells."""
    columns, rows = cells
    pen = Pen(round((columns + 1.2) * size), round((rows + 1.2) * size), size, oversample=2)
    w, h = columns / 2, rows / 2
    if game == "ConnectFour":
        _shadow(pen, w + 0.16, h + 0.16, 0.34)
        pen.rect(-w - 0.1, -h - 0.1, 2 * w + 0.2, 2 * h + 0.2, (9, 16, 44), 0.3)
    elif game == "TicTacToe":
        _slate(pen)
    else:
        _felt(pen, columns)
    return pen.stamp()


def _shadow(pen: Pen, w: float, h: float, radius: float) -> None:
    for k in range(7):
        out = 0.03 * k
        pen.rect(-w - out, -h - out + 0.08, 2 * (w + out), 2 * (h + out), (0, 0, 0, 22), radius + out)


def _slate(pen: Pen) -> None:
    _shadow(pen, 1.6, 1.6, 0.22)
    pen.rect(-1.6, -1.6, 3.2, 3.2, (38, 50, 88), 0.2)
    pen.rect(-1.585, -1.585, 3.17, 3.17, (20, 28, 54), 0.19)
    for x in range(3):
        for y in range(3):
            pen.rect(x - 1.44, y - 1.44, 0.88, 0.88, (27, 37, 70), 0.12)
    for k in (-0.5, 0.5):
        for wide, colour in (
            (0.10, faded(drawing.BLUE, 0.16)),
            (0.06, faded(drawing.BLUE, 0.30)),
            (0.03, (120, 150, 240)),
        ):
            pen.line([(k, -1.4), (k, 1.4)], colour, wide)
            pen.line([(-1.4, k), (1.4, k)], colour, wide)


def _felt(pen: Pen, size: int) -> None:
    w = size / 2
    _shadow(pen, w + 0.2, w + 0.2, 0.2)
    pen.rect(-w - 0.22, -w - 0.22, 2 * w + 0.44, 2 * w + 0.44, (58, 42, 34), 0.16)  # a wooden rim
    pen.rect(-w - 0.19, -w - 0.19, 2 * w + 0.38, 2 * w + 0.38, (92, 66, 48), 0.14)
    pen.rect(-w - 0.07, -w - 0.07, 2 * w + 0.14, 2 * w + 0.14, (20, 44, 36), 0.05)
    pen.gradient(-w, -w, 2 * w, 2 * w, mix(FELT, drawing.WHITE, 0.07), mix(FELT, drawing.BLACK, 0.16))
    pen.glow(-w * 0.2, -w * 0.3, w, drawing.WHITE, 0.07)
    for k in range(1, size):
        for points in ([(k - w, -w), (k - w, w)], [(-w, k - w), (w, k - w)]):
            pen.line(points, (11, 60, 44), 0.028)
    for x in (-w + 2, w - 2):
        for y in (-w + 2, w - 2):
            pen.circle(x, y, 0.065, (11, 60, 44))


@lru_cache(maxsize=16)
def _frame(cells: tuple[int, int], size: int) -> Stamp:
    """Connect Four's front: blue, with a hole for each cell."""
    columns, rows = cells
    pen = Pen(round((columns + 1.2) * size), round((rows + 1.2) * size), size, oversample=3)
    w, h = columns / 2, rows / 2
    pen.rect(-w - 0.16, -h - 0.16, 2 * w + 0.32, 2 * h + 0.32, mix(FRAME, drawing.BLACK, 0.45), 0.34)
    pen.rect(-w - 0.16, -h - 0.16, 2 * w + 0.32, 2 * h + 0.27, mix(FRAME, drawing.WHITE, 0.34), 0.34)
    pen.rect(-w - 0.13, -h - 0.12, 2 * w + 0.26, 2 * h + 0.20, FRAME, 0.31)
    for x in range(columns):
        for y in range(rows):
            cx, cy = x - w + 0.5, y - h + 0.5
            pen.circle(cx, cy, 0.45, mix(FRAME, drawing.BLACK, 0.10))
            pen.circle(cx, cy + 0.02, 0.435, mix(FRAME, drawing.WHITE, 0.30))
            pen.circle(cx, cy - 0.008, 0.428, mix(FRAME, drawing.BLACK, 0.50))
            pen.hole(cx, cy, 0.395)
    return pen.stamp()


@lru_cache(maxsize=256)
def _stone(game: str, owner: int, size: int, across: int) -> Stamp:
    """A stone in a cell of `size` pixels, `across` sixteenths as wide as it is high (while it turns over)."""
    pen = Pen(round(size * 1.3), round(size * 1.3), size)
    colour = COLOURS[game][owner]
    if game == "TicTacToe":
        _cross(pen, colour) if owner == 0 else _nought(pen, colour)
    elif game == "ConnectFour":
        _token(pen, colour)
    else:
        _disc(pen, colour, across / 16)
    return pen.stamp()


def _cross(pen: Pen, colour: Colour) -> None:
    pen.glow(0, 0, 0.60, colour, 0.20)
    a = 0.25
    for wide, ink in (
        (0.17, mix(colour, drawing.BLACK, 0.38)),
        (0.13, colour),
        (0.035, mix(colour, drawing.WHITE, 0.65)),
    ):
        pen.line([(-a, -a), (a, a)], ink, wide)
        pen.line([(-a, a), (a, -a)], ink, wide)


def _nought(pen: Pen, colour: Colour) -> None:
    pen.glow(0, 0, 0.60, colour, 0.20)
    for outer, inner, ink in (
        (0.345, 0.175, mix(colour, drawing.BLACK, 0.38)),
        (0.325, 0.195, colour),
        (0.278, 0.243, mix(colour, drawing.WHITE, 0.65)),
    ):
        _ring(pen, (outer + inner) / 2, outer - inner, ink)


def _ring(pen: Pen, radius: float, wide: float, colour: Colour) -> None:
    from math import cos, pi, sin

    points = [(radius * cos(pi * k / 36), radius * sin(pi * k / 36)) for k in range(73)]
    pen.line(points, colour, wide)


def _token(pen: Pen, colour: Colour) -> None:
    """A plastic token with a raised rim."""
    pen.circle(0, 0, 0.46, mix(colour, drawing.BLACK, 0.36))
    pen.circle(0, -0.012, 0.445, mix(colour, drawing.WHITE, 0.26))
    pen.circle(0, 0.004, 0.43, colour)
    pen.circle(0, 0, 0.325, mix(colour, drawing.BLACK, 0.26))
    pen.circle(0, 0.014, 0.312, mix(colour, drawing.WHITE, 0.16))
    pen.circle(0, 0.010, 0.300, mix(colour, drawing.BLACK, 0.09))
    pen.glow(-0.10, -0.13, 0.20, drawing.WHITE, 0.30)


def _disc(pen: Pen, colour: Colour, across: float) -> None:
    """An Othello disc. It turns about its vertical axis."""
    dark = colour == BLACK_STONE
    w = 0.80 * across
    pen.ellipse(0.03, 0.06, w + 0.04, 0.82, (0, 0, 0, 90))
    pen.ellipse(0, 0.025, w, 0.80, WHITE_STONE if dark else (70, 76, 92))  # the other side, at the edge
    pen.ellipse(0, 0, w, 0.80, mix(colour, drawing.BLACK, 0.35 if dark else 0.22))
    pen.ellipse(0, -0.012, 0.95 * w, 0.765, mix(colour, drawing.WHITE, 0.22 if dark else 0.5))
    pen.ellipse(0, 0.004, 0.93 * w, 0.745, colour)
    if across > 0.6:
        pen.glow(-0.12 * across, -0.15, 0.24, drawing.WHITE, 0.34 if dark else 0.9)


@lru_cache(maxsize=16)
def _halo(game: str, size: int) -> Stamp:
    """Marks a stone of the winning line."""
    pen = Pen(round(size * 1.4), round(size * 1.4), size)
    if game == "TicTacToe":
        pen.rect(-0.44, -0.44, 0.88, 0.88, faded(drawing.WHITE, 0.16), 0.12)
        return pen.stamp()
    pen.glow(0, 0, 0.6, drawing.WHITE, 0.20)
    _ring(pen, 0.385, 0.055, drawing.WHITE)
    return pen.stamp()


@lru_cache(maxsize=16)
def _dot(owner: int, size: int) -> Stamp:
    """Marks the latest stone."""
    pen = Pen(size, size, size)
    pen.circle(0, 0, 0.085, faded(drawing.WHITE if owner == 0 else drawing.BLACK, 0.75))
    pen.circle(0, 0, 0.06, drawing.ORANGE)
    return pen.stamp()


@lru_cache(maxsize=16)
def _hint(owner: int, size: int) -> Stamp:
    """A cell that may be taken."""
    pen = Pen(size, size, size)
    pen.circle(0, 0, 0.13, faded((BLACK_STONE, WHITE_STONE)[owner], 0.45))
    return pen.stamp()


@lru_cache(maxsize=8)
def _aura(size: int) -> Stamp:
    """The light behind the stone of the player to move."""
    pen = Pen(round(size * 1.5), round(size * 1.5), size)
    pen.glow(0, 0, 0.72, drawing.GREEN, 0.8)
    return pen.stamp()
