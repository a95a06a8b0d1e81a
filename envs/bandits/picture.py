"""Draws a bandit: what each arm is worth, how often it was pulled, and the regret so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs import drawing
from envs.drawing import Canvas


def draw(means: np.ndarray, pulled: np.ndarray, regret: Sequence[float], pulls: int) -> np.ndarray:
    """The picture as uint8 [360, 480, 3]. Needs no display."""
    canvas = Canvas(480, 360)
    canvas.fill(drawing.INK)
    canvas.text("expected reward (line) and pulls (bar) of each arm", 20, 20, 15, drawing.MUTED)
    wide, low, high = 440 / len(means), 200.0, 150.0
    span = max(float(np.ptp(means)), 1e-9)
    share = pulled / max(int(pulled.max()), 1)
    for arm, (mean, part) in enumerate(zip(means, share, strict=True)):
        x, best = 20 + arm * wide, mean == means.max()
        colour = drawing.GREEN if best else drawing.BLUE
        canvas.rect(x + 3, low - high * part, wide - 6, high * part, drawing.faded(colour, 0.55), 4)
        y = low - 10 - (high - 20) * float(mean - means.min()) / span
        canvas.rect(x + 1, y - 2, wide - 2, 4, drawing.YELLOW if best else drawing.TEXT, 2)
        canvas.text(str(arm), x + wide / 2, low + 12, 14, drawing.TEXT if best else drawing.MUTED, "centre")
    canvas.text(f"regret {regret[-1]:.1f} after {len(regret) - 1:,} of {pulls:,} pulls", 20, 240, 15, drawing.MUTED)
    top = max(max(regret), 1e-9)
    canvas.frame(20, 255, 440, 90, drawing.EDGE, 4)
    points = [(20 + 440 * t / pulls, 343 - 84 * max(0.0, r) / top) for t, r in enumerate(regret)]
    canvas.lines(points, drawing.RED, 2)
    return canvas.array()
