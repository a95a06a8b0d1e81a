"""The pictures of environments at play. Imports no PyTorch: a person who plays does not wait for it."""

from __future__ import annotations

import numpy as np

from rl.errors import InputError
from rl.interface import Env, TimeStep

GLIDE = 0.6
"""Part of a step for which things glide when a person plays, who sees for the rest where they are."""


class Camera:
    """The pictures of an environment that has just been reset; they are fetched again only if they have changed.

    Closes the environment and raises `InputError` if it has no pictures.
    """

    def __init__(self, env: Env, id: str) -> None:
        self._env = env
        self._row: TimeStep | None = None
        self.gliding = False
        """Whether the newest pictures show things on their way."""
        try:
            self.pictures = env.render()
        except InputError as error:
            env.close()
            raise InputError(f"{id}: {error}") from None

    def fetch(self, ts: TimeStep, part: float = 1.0) -> list[np.ndarray]:
        """uint8 [H, W, 3] of each environment at its newest row, `ts`.

        With `part` below 1, things stand at that part of their way from the previous row, if the environment can.
        """
        glide = self._env.glide(part) if part < 1 else None
        self.gliding = glide is not None
        if glide is not None:
            self.pictures, self._row = glide, None
        elif self._row is not ts:
            self.pictures, self._row = self._env.render(), ts
        return self.pictures
