"""Elo ratings by maximum likelihood (Bradley and Terry 1952) with bootstrap intervals.

A player whose rating is d points higher is expected to score 1 / (1 + 10^(-d / 400)) of the points; a draw is half a
point. Each pair that met counts one drawn game more than it played, so that a player who won or lost every game has a
finite rating.
"""

from __future__ import annotations

import math

import numpy as np

from rl.errors import RunError

POINTS = 400 / math.log(10)
"""Elo points of one natural unit."""
PRIOR = 1.0
"""Drawn games that are added to each pair that met."""


def ratings(points: np.ndarray, games: np.ndarray, anchor: int = 0, prior: float = PRIOR) -> np.ndarray:
    """The ratings, float64 [..., P]; that of `anchor` is 0.

    points: [..., P, P], what the row's player scored against the column's. games: [P, P] or [..., P, P], how many games
    they played, symmetric. Newton's method on the concave log-likelihood; a step is at most one natural unit.
    Raises `RunError` if it does not converge, as without a prior for a player who won every game.
    """
    met = (games > 0).astype(float)
    points, games = points + prior / 2 * met, games + prior * met
    free = [k for k in range(points.shape[-1]) if k != anchor]
    strength = np.zeros(points.shape[:-1])
    for _ in range(200):
        expected = 1 / (1 + np.exp(strength[..., None, :] - strength[..., :, None]))
        slope = (points - games * expected).sum(-1)[..., free]
        weight = games * expected * (1 - expected)
        curvature = (np.eye(weight.shape[-1]) * weight.sum(-1)[..., None] - weight)[..., free, :][..., free]
        try:
            step = np.clip(np.linalg.solve(curvature, slope[..., None])[..., 0], -1, 1)
        except np.linalg.LinAlgError:  # a chance has become 0 or 1
            break
        strength[..., free] += step
        if np.abs(step).max(initial=0.0) < 1e-9:
            return strength * POINTS
    raise RunError("the ratings do not converge: a player won or lost every game and there is no prior")


def intervals(
    scores: np.ndarray, pairs: np.ndarray, players: int, anchor: int = 0, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """95% bootstrap intervals of the ratings, float64 [P, 2].

    scores: float [pairs, openings, 2], points of the pair's first player in the two games of each opening. pairs: int
    [pairs, 2]. Each draw samples the openings of each pair with replacement: the two games of an opening depend on each
    other and stay together.
    """
    many = scores.shape[1]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(many, size=(draws, len(pairs), many))
    totals = np.take_along_axis(scores.sum(-1)[None], drawn, axis=2).sum(-1)
    found = ratings(*tables(totals, 2 * many, pairs, players), anchor)
    return np.percentile(found, (2.5, 97.5), axis=0).T


def tables(totals: np.ndarray, games: int, pairs: np.ndarray, players: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [..., P, P] and games [P, P] from the first players' points [..., pairs] in `games` games of each pair."""
    points = np.zeros((*totals.shape[:-1], players, players))
    played = np.zeros((players, players))
    a, b = pairs.T
    points[..., a, b], points[..., b, a] = totals, games - totals
    played[a, b] = played[b, a] = games
    return points, played
