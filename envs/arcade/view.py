"""Pictures of an arcade game's state rows, or a window that follows them."""

from __future__ import annotations

import time

import numpy as np

from envs.arcade.picture import draw
from envs.arcade.scene import State, scene
from envs.drawing import Canvas, Window


class View:
    """Pictures of `game` (a NAME); with `window` also a window, which `show` updates.

    Raises `InputError` for a window without a display.
    """

    def __init__(self, game: str, window: bool = False, fps: float = 15.0, size: tuple[int, int] = (800, 600)) -> None:
        self.game, self.fps = game, fps
        self._canvas = Canvas(*size)
        self._window = Window(game, *size) if window else None
        self._before: State | None = None

    def picture(self, state: State, before: State | None = None, part: float = 1.0) -> np.ndarray:
        """The state as uint8 [H, W, 3]. With `before`, the state one step ago, everything stands at `part` of its
        way."""
        self.paint(self._canvas, state, before, part)
        return self._canvas.array()

    def paint(self, canvas: Canvas, state: State, before: State | None, part: float) -> None:
        """Draws the state over the whole canvas, see `picture`."""
        draw(canvas, scene(self.game, state, before), part)

    def show(self, state: State) -> None:
        """Shows the step that led to `state`, gliding from the one before, for 1 / `fps` seconds.

        After the window was closed it does nothing.
        """
        if self._window is None or not self._window.is_open:
            return
        before, self._before = self._before, state.copy()
        begun = time.perf_counter()
        part = 0.0
        while part < 1 and self._window.is_open:
            if any(event.kind == "close" for event in self._window.events()):
                self._window.close()
                return
            part = min(1.0, (time.perf_counter() - begun) * self.fps + 0.25)
            self.paint(self._window.canvas, state, before, part)
            self._window.show(fps=4 * self.fps)

    def close(self) -> None:
        if self._window is not None:
            self._window.close()
