"""High scores of the people who play, kept in the user's own data folder."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.storage import read_json, write_json

BEST = 10
"""Scores that are kept for each game."""


def data_folder() -> Path:
    """Where this user's data belongs: $LUDO_DATA, or the platform's own place."""
    if given := os.environ.get("LUDO_DATA"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ludo-rl"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "ludo-rl"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "ludo-rl"


class Scores:
    """The best scores of each game, best first, in one JSON file that is replaced atomically."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / "scores.json"
        self.trouble = ""
        """Why scores cannot be read or kept, for the player; a game goes on without them."""

    def best(self, game: str) -> list[dict[str, Any]]:
        return self._read().get(game, [])

    def add(self, game: str, score: float, steps: int) -> int | None:
        """Enters a finished game. Returns its place from 1, None if it is not among the best."""
        scores = self._read()
        if self.trouble:
            return None
        entry = {"score": score, "steps": steps, "date": time.strftime("%Y-%m-%d %H:%M")}
        ranked = sorted([*scores.get(game, []), entry], key=lambda e: -float(e["score"]))
        place = next(k for k, other in enumerate(ranked) if other is entry)
        if place >= BEST:
            return None
        scores[game] = ranked[:BEST]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"schema": 1, "scores": scores})
        except Exception as error:
            self.trouble = f"scores are not kept: {error}"
        return place + 1

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        if not self.path.exists():
            return {}
        try:
            scores = read_json(self.path)["scores"]
            return {str(game): [e for e in entries if "score" in e] for game, entries in scores.items()}
        except (InputError, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            self.trouble = f"{self.path} cannot be read ({error}): scores are not kept"
            return {}
