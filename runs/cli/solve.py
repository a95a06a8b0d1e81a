"""`rl solve`: the score of every move of a position, by perfect play."""

from __future__ import annotations

import logging
from typing import Any

from rl.errors import unknown

log = logging.getLogger(__name__)

GAMES = ("ConnectFour",)
SLOW = 8
"""With fewer stones a position takes more than some seconds."""


def solve(game: str, moves: str = "") -> dict[str, Any]:
    """The score of every column after `moves`, columns 1 to 7 such as "4444".

    Returns `game`, `moves`, `score` (of the position), `scores` (of columns 1 to 7, None if full), `best` (columns) and
    `seconds`. A score is positive if the player to move wins, the larger the sooner; see `envs.boards.solver`.
    """
    if game.removeprefix("Boards/").removesuffix("-v1") not in GAMES:
        raise unknown("solved game", game, GAMES)
    import time

    from envs.boards.solver import Solver, opening_scores, played

    position = played(moves)
    if len(moves) < SLOW and opening_scores(position.rows) is None:
        log.warning("a position with %d stones takes up to some minutes", len(moves))
    begun = time.perf_counter()
    found = Solver(1 << (25 if len(moves) < SLOW else 22)).solve(moves)
    return {
        "game": GAMES[0],
        "moves": moves,
        "score": found.score,
        "scores": list(found.moves),
        "best": [column + 1 for column in found.best],
        "seconds": round(time.perf_counter() - begun, 3),
        "text": position.text(),
    }


def lines(result: dict[str, Any]) -> list[str]:
    """The result for a terminal."""
    scores = ["full" if score is None else f"{score:+d}" if score else "0" for score in result["scores"]]
    return [
        result["text"],
        "",
        "column " + " ".join(f"{column:>4}" for column in range(1, 8)),
        "score  " + " ".join(f"{score:>4}" for score in scores),
        f"{_verdict(result)}; best: {', '.join(map(str, result['best']))}",
    ]


def _verdict(result: dict[str, Any]) -> str:
    from envs.boards.positions import plies_left

    score, stones = result["score"], len(result["moves"])
    if score == 0:
        return "a draw"
    last = stones + plies_left(score, stones)
    return f"the player to move {'wins' if score > 0 else 'loses'} with stone {last}"
