"""Board games for two players, compiled and batched: tic-tac-toe, Connect Four and Othello.

`register()` makes the ids known to Gymnasium and imports nothing heavy; numba is loaded when a game is made.
"""

from __future__ import annotations

import importlib
from typing import Any

GAMES = {
    "TicTacToe": ("tic_tac_toe", "GAME"),
    "ConnectFour": ("connect_four", "GAME"),
    "Othello6": ("othello", "OTHELLO6"),
    "Othello": ("othello", "OTHELLO"),
}
"""Name in the id `Boards/<name>-v1` -> module with the rules and the name of the `Board` in it."""

_LAZY = {
    "BoardEnv": "envs.boards.env",
    "BoardVectorEnv": "envs.boards.env",
    "Game": "envs.boards.game",
    "benchmark": "envs.boards.game",
    "load_board": "envs.boards.engine",
}
__all__ = ["GAMES", "BoardEnv", "BoardVectorEnv", "Game", "benchmark", "load_board", "plays_itself", "register"]


def register() -> None:
    """Registers `Boards/TicTacToe-v1`, `Boards/ConnectFour-v1` and so on for `gymnasium.make` and `make_vec`."""
    import gymnasium

    for name in GAMES:
        if f"Boards/{name}-v1" not in gymnasium.registry:
            gymnasium.register(
                id=f"Boards/{name}-v1",
                entry_point="envs.boards.env:BoardEnv",
                vector_entry_point="envs.boards.env:BoardVectorEnv",
                kwargs={"game": name},
            )


def plays_itself(opponent: object) -> bool:
    """Whether a training attaches its learner as the opponent to an environment with this option."""
    return isinstance(opponent, str) and opponent.partition(":")[0] == "self"


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
