"""Pictures of a board game's state rows, or a window that follows them."""

from __future__ import annotations

from envs.arcade.view import View as ArcadeView
from envs.boards.picture import draw
from envs.boards.scene import plies
from envs.drawing import Canvas


class View(ArcadeView):
    """A view of a board game. A step shows up to two plies: the agent's move, then the opponent's reply."""

    def paint(self, canvas: Canvas, state: object, before: object | None, part: float) -> None:
        """Draws the position. With `before`, plays the plies since then up to `part` (0 to 1), equally long each."""
        shown = plies(self.game, state, before)
        which = min(len(shown) - 1, int(part * len(shown)))
        draw(canvas, shown[which], min(1.0, part * len(shown) - which))
