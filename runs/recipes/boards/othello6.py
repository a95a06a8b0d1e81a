"""Othello on 6 x 6 cells (Boards/Othello6-v1)."""

from runs.recipes.boards.shared import alphazero, ntuple

othello6_alphazero = alphazero(
    "Boards/Othello6-v1", "minimax:6", opening=8, steps=500_000, rows=400_000, replay_ratio=1 / 16, solve=300
)
"""AlphaZero on Othello 6 x 6, 500,000 moves of self-play with 8 or 32 simulations a move; endings are solved.

The score is against minimax of depth 6, with 100 simulations a move, in games that begin after four random moves: 1
wins every game.
"""

othello6_ntuple = ntuple("Boards/Othello6-v1", "minimax:6", opening=8, steps=50_000_000, tuples=100, depth=4, solve=300)
"""An n-tuple network on Othello 6 x 6, 50 million moves of self-play by the value after each move.

It is played and scored as `othello6_alphazero`: by a search of 100 simulations a move.
"""
