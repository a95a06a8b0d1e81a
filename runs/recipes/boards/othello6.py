"""Othello on 6 x 6 cells (Boards/Othello6-v1)."""

from runs.recipes.boards.shared import alphazero

othello6_alphazero = alphazero(
    "Boards/Othello6-v1", "minimax:6", opening=8, steps=700_000, rows=400_000, replay_ratio=1 / 16, solve=1_000
)
"""AlphaZero on Othello 6 x 6, 900,000 moves of self-play with 8 or 32 simulations a move.

The score is against minimax of depth 6, with 100 simulations a move, first and second in turn: 1 wins every game. Few
of these games differ, because all begin at the first position; `rl league` plays from random openings.
"""
