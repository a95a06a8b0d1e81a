"""Full-width search of a few plies in a game for two, over many positions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rl.search.model import BoardGame


def action_values(
    model: BoardGame, states: np.ndarray, depth: int, value: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The value of each action for the player to move, float32 [N, A]; -inf for illegal ones.

    After `depth` plies, positions in play have the `value`, float32 [K], that their player to move expects. An action
    that wins at once is worth 1, whatever the others.
    """
    legal = model.legal(states)
    row, action = np.nonzero(legal)
    after, reward, ended, _ = model.advance(states[row], action, None)
    q, going = reward.astype(np.float32), np.flatnonzero(~ended)
    if depth > 1:
        q[going] = -action_values(model, after[going], depth - 1, value).max(axis=1)
    elif len(going):
        q[going] = -value(after[going])
    out = np.full(legal.shape, -np.inf, np.float32)
    out[row, action] = q
    return out
