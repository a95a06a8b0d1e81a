"""A canvas that needs no display, a window over a canvas, and the colours that all pictures share.

The only module that imports pygame, and nothing imports it before something is drawn. A `Canvas` is an offscreen
surface, so videos, tests and servers need no display; a `Window` shows a canvas and reads the keyboard.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from rl.errors import InputError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # the banner goes to standard output, where --json speaks


os.environ.setdefault("SDL_AUDIODRIVER", "dummy")  # nothing here makes a sound, and a missing device would complain


try:
    import pygame
except ImportError as error:
    raise InputError("drawing needs pygame, which is not installed: pip install pygame-ce") from error


Colour = tuple[int, int, int] | tuple[int, int, int, int]


Align = Literal["left", "centre", "right"]


INK = (10, 14, 28)
PANEL = (19, 26, 48)
EDGE = (42, 54, 92)
TEXT = (234, 239, 250)
MUTED = (138, 150, 184)
RED = (255, 92, 92)
ORANGE = (255, 159, 67)
YELLOW = (255, 213, 74)
GREEN = (76, 217, 123)
CYAN = (76, 201, 240)
BLUE = (86, 128, 255)
VIOLET = (164, 110, 255)
PINK = (255, 122, 198)
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)


def mix(a: Colour, b: Colour, part: float) -> Colour:
    """The colour `part` of the way from `a` to `b`."""
    return (
        round(a[0] + (b[0] - a[0]) * part),
        round(a[1] + (b[1] - a[1]) * part),
        round(a[2] + (b[2] - a[2]) * part),
    )


def faded(colour: Colour, alpha: float) -> Colour:
    """`colour` with an opacity of 0 to 1."""
    return (colour[0], colour[1], colour[2], max(0, min(255, round(alpha * 255))))


def _font(pixels: int) -> pygame.font.Font:
    pygame.font.init()
    try:
        _open_font(pixels).get_height()
    except pygame.error:  # Gymnasium's environments quit pygame as a whole when they are closed, and may begin it again
        _open_font.cache_clear()
    return _open_font(pixels)


@lru_cache(maxsize=64)
def _open_font(pixels: int) -> pygame.font.Font:
    return pygame.font.Font(None, pixels)  # the font that pygame carries: the same on every machine


@lru_cache(maxsize=2048)
def _words(text: str, pixels: int, colour: Colour) -> pygame.Surface:
    if pixels >= 28 or not text:
        return _font(pixels).render(text, True, colour[:3])
    large = _font(4 * pixels).render(text, True, colour[:3])  # reduced, so that small letters keep their distances
    return pygame.transform.smoothscale(large, (max(1, round(large.get_width() / 4)), round(large.get_height() / 4)))


@lru_cache(maxsize=64)
def _pill(width: int, height: int, colour: Colour) -> pygame.Surface:
    pen = Pen(width, height, height)
    pen.rect(-pen.half_width, -0.5, 2 * pen.half_width, 1.0, colour, 0.5)
    return pen.stamp().surface


class Stamp:
    """A small picture with soft edges, drawn once and placed many times."""

    def __init__(self, surface: pygame.Surface) -> None:
        self.surface = surface  # premultiplied, so that scaling leaves no dark rim

    def faded(self, alpha: float) -> Stamp:
        """A copy with an opacity of 0 to 1."""
        copy = self.surface.copy()
        level = round(255 * alpha)
        copy.fill((level, level, level, level), special_flags=pygame.BLEND_RGBA_MULT)
        return Stamp(copy)

    def png(self) -> bytes:
        """The picture as a PNG file with its opacity, for pages."""
        plain = self.surface.copy()
        colours, opacity = pygame.surfarray.pixels3d(plain), pygame.surfarray.array_alpha(plain)
        colours[:] = np.minimum(255, colours * 255.0 / np.maximum(opacity, 1)[..., None]).round()
        del colours  # unlocks the surface
        file = io.BytesIO()
        pygame.image.save(plain, file, "stamp.png")
        return file.getvalue()


class Pen:
    """Paints one stamp or backdrop in its own units: (0, 0) is the centre and 1 is `unit` pixels.

    Everything is painted four times as large and then reduced, which smooths every edge. Colours may have an opacity.
    """

    def __init__(self, width: int, height: int, unit: float, oversample: int = 4) -> None:
        self._size = (width, height)
        self._surface = pygame.Surface((width * oversample, height * oversample), pygame.SRCALPHA)
        self._layer = self._surface.copy()
        self._unit = unit * oversample
        self._origin = (width * oversample / 2, height * oversample / 2)
        self.half_width = width / unit / 2
        self.half_height = height / unit / 2

    def _point(self, x: float, y: float) -> tuple[int, int]:
        return round(self._origin[0] + x * self._unit), round(self._origin[1] + y * self._unit)

    def _paint(self, colour: Colour, draw: Callable[[pygame.Surface], pygame.Rect]) -> None:
        if len(colour) == 3 or colour[3] == 255:
            draw(self._surface)
        else:  # pygame.draw replaces pixels; a layer of its own blends
            touched = draw(self._layer)
            self._surface.blit(self._layer, touched, touched)
            self._layer.fill((0, 0, 0, 0), touched)

    def circle(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self._paint(colour, lambda s: pygame.draw.circle(s, colour, self._point(x, y), radius * self._unit))

    def hole(self, x: float, y: float, radius: float) -> None:
        """Removes a circle of what has been painted."""
        pygame.draw.circle(self._surface, (0, 0, 0, 0), self._point(x, y), radius * self._unit)

    def ellipse(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """`x`, `y` is the centre."""
        self._paint(
            colour, lambda s: pygame.draw.ellipse(s, colour, self._box(x - width / 2, y - height / 2, width, height))
        )

    def rect(self, x: float, y: float, width: float, height: float, colour: Colour, radius: float = 0.0) -> None:
        """`x`, `y` is the top left corner."""
        box, r = self._box(x, y, width, height), round(radius * self._unit)
        self._paint(colour, lambda s: pygame.draw.rect(s, colour, box, border_radius=r))

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        corners = [self._point(*p) for p in points]
        self._paint(colour, lambda s: pygame.draw.polygon(s, colour, corners))

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        """A polyline with round ends and joints."""
        corners, w = [self._point(*p) for p in points], max(1, round(width * self._unit))

        def draw(surface: pygame.Surface) -> pygame.Rect:
            touched = []
            for a, b in pairwise(corners):
                across = np.array([a[1] - b[1], b[0] - a[0]], float)
                across *= w / 2 / max(float(np.hypot(*across)), 1e-9)
                quad = [np.add(a, across), np.add(b, across), np.subtract(b, across), np.subtract(a, across)]
                touched.append(pygame.draw.polygon(surface, colour, [tuple(q) for q in quad]))
            touched += [pygame.draw.circle(surface, colour, corner, w / 2) for corner in corners]
            return touched[0].unionall(touched[1:])

        self._paint(colour, draw)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float = 0.5) -> None:
        """A soft light that fades from `strength` at the centre to nothing at `radius`."""
        steps = 14
        for step in range(steps):
            part = 1 - step / steps
            self.circle(x, y, radius * part, faded(colour, strength * 2 * (step + 1) / steps**2))

    def gradient(self, x: float, y: float, width: float, height: float, top: Colour, bottom: Colour) -> None:
        """A rectangle whose colour runs from `top` to `bottom`."""
        box = self._box(x, y, width, height)
        for row in range(box.height):
            self._surface.fill(mix(top, bottom, row / max(1, box.height - 1)), (box.x, box.y + row, box.width, 1))

    def _box(self, x: float, y: float, width: float, height: float) -> pygame.Rect:
        left, top = self._point(x, y)
        right, bottom = self._point(x + width, y + height)
        return pygame.Rect(left, top, right - left, bottom - top)

    def stamp(self) -> Stamp:
        return Stamp(pygame.transform.smoothscale(self._surface.premul_alpha(), self._size))


class Canvas:
    """An offscreen picture of `width` x `height` pixels, origin at the top left. Needs no display."""

    def __init__(self, width: int, height: int, surface: pygame.Surface | None = None) -> None:
        if width < 1 or height < 1:
            raise InputError(f"a picture must be at least 1 x 1 pixels, got {width} x {height}")
        self.surface = surface if surface is not None else pygame.Surface((width, height))

    @property
    def width(self) -> int:
        return int(self.surface.get_width())

    @property
    def height(self) -> int:
        return int(self.surface.get_height())

    def part(self, x: float, y: float, width: float, height: float) -> Canvas:
        """A canvas that draws into this rectangle of this one, cut to what is inside."""
        left, top = min(max(0, round(x)), self.width - 1), min(max(0, round(y)), self.height - 1)
        right, bottom = min(round(x + width), self.width), min(round(y + height), self.height)
        box = pygame.Rect(left, top, max(1, right - left), max(1, bottom - top))
        return Canvas(box.width, box.height, self.surface.subsurface(box))

    def fill(self, colour: Colour) -> None:
        self.surface.fill(colour)

    def rect(self, x: float, y: float, width: float, height: float, colour: Colour, radius: float = 0.0) -> None:
        """A filled rectangle; a colour with an opacity blends."""
        box = pygame.Rect(round(x), round(y), max(0, round(x + width) - round(x)), max(0, round(y + height) - round(y)))
        if len(colour) == 4 and colour[3] < 255:
            layer = pygame.Surface(box.size, pygame.SRCALPHA)
            pygame.draw.rect(layer, colour, layer.get_rect(), border_radius=round(radius))
            self.surface.blit(layer, box)
        else:
            pygame.draw.rect(self.surface, colour, box, border_radius=round(radius))

    def frame(
        self, x: float, y: float, width: float, height: float, colour: Colour, radius: float = 0.0, thick: float = 1.0
    ) -> None:
        """The outline of a rectangle."""
        box = pygame.Rect(round(x), round(y), round(width), round(height))
        pygame.draw.rect(self.surface, colour, box, width=max(1, round(thick)), border_radius=round(radius))

    def circle(self, x: float, y: float, radius: float, colour: Colour) -> None:
        pygame.draw.circle(self.surface, colour, (round(x), round(y)), radius)

    def lines(self, points: Sequence[tuple[float, float]], colour: Colour, thick: float = 1.0) -> None:
        """A polyline, smoothed."""
        if len(points) < 2:
            return
        for offset in np.arange(max(1, round(thick))) - (max(1, round(thick)) - 1) / 2:
            pygame.draw.aalines(self.surface, colour, False, [(x, y + float(offset)) for x, y in points])

    def text(self, words: str, x: float, y: float, pixels: float, colour: Colour = TEXT, align: Align = "left") -> int:
        """Writes one line whose middle is at height `y`, in letters of `pixels` line height. Returns its width."""
        surface = _words(words, max(8, round(pixels)), colour[:3])
        width, height = surface.get_size()
        left = {"left": x, "centre": x - width / 2, "right": x - width}[align]
        if len(colour) == 4 and colour[3] < 255:
            surface = surface.copy()
            surface.set_alpha(colour[3])
        self.surface.blit(surface, (round(left), round(y - height / 2)))
        return int(width)

    def text_width(self, words: str, pixels: float) -> int:
        return int(_words(words, max(8, round(pixels)), TEXT).get_width())

    def bar(
        self, x: float, y: float, width: float, height: float, part: float, colour: Colour, ground: Colour = EDGE
    ) -> None:
        """A gauge with round ends, filled from the left by `part` (0 to 1)."""
        part = min(1.0, max(0.0, part))
        for long, ink in ((width, ground), (max(height, width * part) if part > 0 else 0, colour)):
            if long >= 1:
                pill = _pill(round(long), max(1, round(height)), ink)
                self.surface.blit(pill, (round(x), round(y)), special_flags=pygame.BLEND_PREMULTIPLIED)

    def stamp(self, stamp: Stamp, x: float, y: float) -> None:
        """Places a stamp with its centre at (x, y)."""
        width, height = stamp.surface.get_size()
        self.surface.blit(
            stamp.surface, (round(x - width / 2), round(y - height / 2)), special_flags=pygame.BLEND_PREMULTIPLIED
        )

    def picture(
        self, pixels: np.ndarray, x: float, y: float, width: float, height: float, stretch: float | None = None
    ) -> tuple[float, float, float, float]:
        """Fits `pixels` (uint8 [H, W, 3] or [H, W]) into a rectangle, in its own shape and centred.

        Small pictures stay crisp, large ones are smoothed. `stretch` sets width over height instead of the picture's
        own (Atari's 160 x 210 is shown 4 : 3). Returns the rectangle that was covered: x, y, width, height.
        """
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
            raise InputError(f"a picture must be uint8 [H, W] or [H, W, 3], got {pixels.dtype} {list(pixels.shape)}")
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        rows, columns = pixels.shape[:2]
        shape = stretch or columns / rows
        wide, high = (width, width / shape) if width / height < shape else (height * shape, height)
        size = (max(1, round(wide)), max(1, round(high)))
        surface = pygame.image.frombuffer(np.ascontiguousarray(pixels).data, (columns, rows), "RGB")
        if size != (columns, rows):
            crisp = size[0] >= 2 * columns and size[1] >= 2 * rows
            scale = pygame.transform.scale if crisp else pygame.transform.smoothscale
            surface = scale(surface, size)
        left, top = x + (width - wide) / 2, y + (height - high) / 2
        self.surface.blit(surface, (round(left), round(top)))
        return left, top, wide, high

    def heat(self, weight: np.ndarray, x: float, y: float, width: float, height: float, colour: Colour = RED) -> None:
        """Covers a rectangle with a map of weights (float [H, W], 0 to 1) in a translucent colour."""
        rows, columns = weight.shape
        rgba = np.empty((rows, columns, 4), np.uint8)
        rgba[..., :3] = colour[:3]
        rgba[..., 3] = np.clip(weight * 190, 0, 255)
        surface = pygame.image.frombuffer(rgba.tobytes(), (columns, rows), "RGBA")
        self.surface.blit(pygame.transform.smoothscale(surface, (round(width), round(height))), (round(x), round(y)))

    def array(self) -> np.ndarray:
        """The picture as a fresh uint8 [H, W, 3]."""
        flat = np.frombuffer(bytearray(pygame.image.tobytes(self.surface, "RGB")), np.uint8)
        return flat.reshape(self.height, self.width, 3)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a .png or .jpg."""
        pygame.image.save(self.surface, os.fspath(path))


@dataclass(frozen=True)
class Event:
    """`press` and `release` carry the key's plain name ("space", "left", "a"), `click` the place in pixels."""

    kind: Literal["press", "release", "click", "close", "resize"]
    key: str = ""
    shift: bool = False
    x: float = 0.0
    y: float = 0.0


_window_open = False


NO_DISPLAY = "no display to open a window on"
FILM = "use --video FILE to write a video instead"


def require_display(mend: str = FILM) -> None:
    """Raises `InputError` with the `mend` if no window can be opened. Call it before any other work for the window."""
    if sys.platform.startswith("linux") and not os.environ.get("SDL_VIDEODRIVER"):
        if os.environ.get("WAYLAND_DISPLAY"):
            return
        if not os.environ.get("DISPLAY"):
            raise InputError(f"{NO_DISPLAY}: {mend}")  # SDL would quietly draw into nowhere
        os.environ["SDL_VIDEODRIVER"] = "x11"  # where X fails, SDL would try Wayland next, and complain
        try:
            pygame.display.init()
        except pygame.error as error:
            del os.environ["SDL_VIDEODRIVER"]
            raise InputError(f"{NO_DISPLAY}: {mend} ({error})") from error


class Window:
    """A resizable window over a canvas. SDL allows one at a time.

    Raises `InputError` if no window can be opened (no display). Use as a context manager, or call `close`.
    """

    def __init__(self, title: str, width: int = 800, height: int = 600) -> None:
        global _window_open
        if _window_open:
            raise InputError("a window is already open: close it first")
        require_display()
        try:
            wanted = os.environ.get("SDL_VIDEODRIVER")
            driver = pygame.display.get_driver() if pygame.display.get_init() else None
            if driver != wanted if wanted else driver in ("dummy", "offscreen"):
                pygame.display.quit()  # an environment opened another one
            pygame.display.init()
            self._screen = pygame.display.set_mode((width, height), pygame.RESIZABLE)
        except pygame.error as error:
            pygame.display.quit()
            raise InputError(f"{NO_DISPLAY}: {FILM} ({error})") from error
        if not os.environ.get("SDL_VIDEODRIVER") and pygame.display.get_driver() in ("offscreen", "dummy"):
            pygame.display.quit()
            raise InputError(f"{NO_DISPLAY}: {FILM}")
        _window_open = self._open = True
        pygame.display.set_caption(title)
        pygame.key.set_repeat()  # a held key is one press
        self._clock = pygame.time.Clock()
        self._held: set[str] = set()

    @property
    def is_open(self) -> bool:
        return self._open

    @property
    def canvas(self) -> Canvas:
        """The canvas that `show` displays. Read it for each frame: a resize replaces it."""
        return Canvas(*self._screen.get_size(), surface=self._screen)

    @property
    def held(self) -> frozenset[str]:
        """Names of the keys held down now."""
        return frozenset(self._held)

    def events(self) -> list[Event]:
        """The events since the last call, in order."""
        found: list[Event] = []
        if not self._open:
            return found
        if not pygame.display.get_init():  # an environment that was closed quit pygame as a whole
            return [Event("close")]
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                found.append(Event("close"))
            elif event.type == pygame.KEYDOWN:
                name = pygame.key.name(event.key)
                self._held.add(name)
                found.append(Event("press", name, bool(event.mod & pygame.KMOD_SHIFT)))
            elif event.type == pygame.KEYUP:
                name = pygame.key.name(event.key)
                self._held.discard(name)
                found.append(Event("release", name))
            elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
                found.append(Event("click", x=float(event.pos[0]), y=float(event.pos[1])))
            elif event.type == pygame.VIDEORESIZE:
                self._screen = pygame.display.get_surface() or self._screen
                found.append(Event("resize"))
            elif event.type == pygame.WINDOWFOCUSLOST:
                self._held.clear()  # the release goes to another window
        return found

    def title(self, words: str) -> None:
        pygame.display.set_caption(words)

    def show(self, fps: float = 0.0) -> float:
        """Displays the canvas, then waits so that there are at most `fps` frames a second (0: no waiting).

        Returns the seconds since the last call.
        """
        if not self._open or not pygame.display.get_init():
            return 0.0
        pygame.display.flip()
        return float(self._clock.tick(fps)) / 1000

    def press(self, key: str, down: bool = True) -> None:
        """Queues a key press or release, for scripted play."""
        code = pygame.key.key_code(key)
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN if down else pygame.KEYUP, key=code, mod=0, unicode=""))

    def click(self, x: float, y: float) -> None:
        """Queues a click, for scripted play."""
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=(round(x), round(y))))

    def close(self) -> None:
        global _window_open
        if self._open:
            _window_open = self._open = False
            pygame.display.quit()

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def no_display() -> Iterator[None]:
    """Opens windows on SDL's dummy driver inside the block, for tests and scripted runs."""
    before = os.environ.get("SDL_VIDEODRIVER")
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SDL_VIDEODRIVER"]
        else:
            os.environ["SDL_VIDEODRIVER"] = before
