"""`rl tune`: searches an agent's fields with Optuna, and trains what it found again on fresh seeds."""
