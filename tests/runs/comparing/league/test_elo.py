"""Elo ratings: hand-computed cases, known strengths, and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.errors import RunError
from runs.comparing.league import elo

STRENGTHS = np.array([0.0, 150.0, 300.0, 700.0])


def matrix(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows)


def test_two_players_differ_by_400_times_the_decimal_logarithm_of_their_points() -> None:
    points, games = matrix((0, 2.5), (7.5, 0)), matrix((0, 10), (10, 0))
    assert elo.ratings(points, games, prior=0)[1] == pytest.approx(400 * math.log10(3))  # 190.8
    assert elo.ratings(points, games)[1] == pytest.approx(400 * math.log10(8 / 3))  # one drawn game more


def test_in_a_chain_of_pairs_the_differences_add_up() -> None:
    points, games = matrix((0, 2, 0), (6, 0, 1), (0, 3, 0)), matrix((0, 8, 0), (8, 0, 4), (0, 4, 0))
    assert elo.ratings(points, games, prior=0).tolist() == pytest.approx([0, 400 * math.log10(3), 800 * math.log10(3)])
    assert elo.ratings(points, games, anchor=2, prior=0)[0] == pytest.approx(-800 * math.log10(3))


def test_a_player_who_won_every_game_has_a_finite_rating_with_the_prior_alone() -> None:
    points, games = matrix((0, 0), (20, 0)), matrix((0, 20), (20, 0))
    assert elo.ratings(points, games)[1] == pytest.approx(400 * math.log10(20.5 / 0.5))
    with pytest.raises(RunError, match="no prior"):
        elo.ratings(points, games, prior=0)


def simulated(openings: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores [pairs, openings, 2] of players with the known `STRENGTHS`, and the pairs."""
    pairs = np.array([(a, b) for a in range(4) for b in range(a + 1, 4)])
    gap = STRENGTHS[pairs[:, 1]] - STRENGTHS[pairs[:, 0]]
    chance = 1 / (1 + 10 ** (gap / 400))
    drawn = np.random.default_rng(seed).random((len(pairs), openings, 2))
    return (drawn < chance[:, None, None]).astype(float), pairs


def test_the_ratings_of_simulated_players_are_their_known_strengths() -> None:
    scores, pairs = simulated(2000, seed=0)
    found = elo.ratings(*elo.tables(scores.sum((1, 2)), 4000, pairs, 4))
    assert found == pytest.approx(STRENGTHS, abs=15)


def test_95_percent_intervals_hold_the_known_strengths_about_95_times_in_100() -> None:
    held = []
    for seed in range(60):
        scores, pairs = simulated(50, seed)
        low, high = elo.intervals(scores, pairs, 4, draws=200, seed=seed).T
        assert low[0] == high[0] == 0  # the anchor
        held.append((low <= STRENGTHS) & (high >= STRENGTHS))
    assert 0.88 <= np.array(held)[:, 1:].mean() <= 0.99


def test_the_two_games_of_an_opening_stay_together_in_the_bootstrap() -> None:
    """Every opening is won by the player who moves first: its two games hold one point, whatever is drawn."""
    scores = np.tile([1.0, 0.0], (1, 30, 1))
    assert elo.intervals(scores, np.array([[0, 1]]), 2).tolist() == [[0, 0], [0, 0]]
