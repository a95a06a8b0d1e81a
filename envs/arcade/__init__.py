"""Five Atari-style games on a 10 x 10 board, compiled and batched: MinAtar's rules at millions of steps a second.

`register()` makes the ids known to Gymnasium and imports nothing heavy; numba is loaded when a game is made.
"""

from __future__ import annotations

import importlib
from typing import Any

GAMES = {
    "Breakout": "breakout",
    "Asterix": "asterix",
    "Freeway": "freeway",
    "Seaquest": "seaquest",
    "SpaceInvaders": "space_invaders",
}
"""Name in the id `Arcade/<name>-v1` -> module with the rules."""

_LAZY = {
    "ArcadeEnv": "envs.arcade.env",
    "ArcadeVectorEnv": "envs.arcade.env",
    "benchmark": "envs.arcade.bench",
    "load_game": "envs.arcade.engine",
}
__all__ = ["GAMES", "ArcadeEnv", "ArcadeVectorEnv", "benchmark", "load_game", "register"]


def register() -> None:
    """Registers `Arcade/Breakout-v1`, `Arcade/Asterix-v1` and so on for `gymnasium.make` and `make_vec`."""
    import gymnasium

    for name in GAMES:
        if f"Arcade/{name}-v1" not in gymnasium.registry:
            gymnasium.register(
                id=f"Arcade/{name}-v1",
                entry_point="envs.arcade.env:ArcadeEnv",
                vector_entry_point="envs.arcade.env:ArcadeVectorEnv",
                kwargs={"game": name},
            )


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
