"""Players of a board game, matches between them, and their Elo ratings."""
