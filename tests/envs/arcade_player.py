"""A player without training: it tries every action in copies of the game and plays random continuations."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.arcade.engine import Games


class Planner:
    """Chooses the action whose `rollouts` random continuations of `depth` steps go best on average.

    Strong enough to reach what random play does not: cleared walls and swarms, chickens across, divers brought home.
    """

    def __init__(self, game: str, ramping: bool, seed: int, rollouts: int = 6, depth: int = 10) -> None:
        self.game, self.depth = game, depth
        actions = len(Games(game, 1).codes)
        self.first = np.repeat(np.arange(actions), rollouts)
        self.copies = Games(game, len(self.first), 0.0, ramping)
        self.rng = np.random.default_rng(seed)

    def __call__(self, row: Any) -> int:
        copies = self.copies
        copies.rows[:] = row
        copies.rows["rng"] = self.rng.integers(2**63, size=copies.num, dtype=np.uint64)
        value, alive = np.zeros(copies.num), np.ones(copies.num, bool)
        later = self.rng.integers(len(copies.codes), size=(self.depth, copies.num))
        later[0] = self.first
        for k, actions in enumerate(later):
            _, _, reward, ended, _ = copies.advance(actions, autoreset=True)
            value += alive * reward * 0.98**k
            value -= alive * ended * 5.0
            value += alive * ~ended * 0.02 * hope(self.game, copies.rows)
            alive &= ~ended
        mean = value.reshape(-1, len(self.first) // len(copies.codes)).mean(1)
        return int(mean.argmax())


def hope(game: str, rows: np.ndarray) -> Any:
    """What is good in a state although it is not rewarded within the planner's horizon."""
    if game == "Breakout":
        return -np.abs(rows["paddle"] - rows["ball_x"])
    if game == "Freeway":
        return -rows["y"].astype(float)
    if game == "Seaquest":
        aboard, y = rows["divers_aboard"].astype(float), rows["y"].astype(float)
        go_up = (aboard == 6) | ((rows["oxygen"] < 70) & (aboard > 0))
        return 10 * aboard - 2 * y * go_up - 0.5 * np.abs(y - 4) * ~go_up
    return 0.0
