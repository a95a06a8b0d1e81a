"""A player without training: it tries every action in copies of the game and plays random continuations."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.arcade.engine import Games


class Planner:
    """Chooses for each of `num` games the action whose `rollouts` random continuations go best on average.

    Strong enough to reach what random play does not: cleared walls and swarms, chickens across, divers brought home.
    """

    def __init__(self, game: str, num: int, ramping: bool, seed: int, rollouts: int = 5, depth: int = 10) -> None:
        self.game, self.num, self.rollouts, self.depth = game, num, rollouts, depth
        self.actions = len(Games(game, 1).codes)
        self.copies = Games(game, num * self.actions * rollouts, 0.0, ramping)
        self.rng = np.random.default_rng(seed)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """int64 [num]: an action for each row."""
        copies = self.copies
        copies.rows[:] = np.repeat(rows, self.actions * self.rollouts)
        copies.rows["rng"] = self.rng.integers(2**63, size=copies.num, dtype=np.uint64)
        value, alive = np.zeros(copies.num), np.ones(copies.num, bool)
        choices = self.rng.integers(self.actions, size=(self.depth, copies.num))
        choices[0] = np.tile(np.repeat(np.arange(self.actions), self.rollouts), self.num)
        for k, actions in enumerate(choices):
            _, _, reward, ended, _ = copies.advance(actions, autoreset=True)
            alive_after = alive & ~ended
            value += alive * reward * 0.98**k - 5.0 * (alive & ended)
            value += alive_after * 0.02 * hope(self.game, copies.rows)
            alive = alive_after
        return value.reshape(self.num, self.actions, self.rollouts).mean(2).argmax(1)


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
