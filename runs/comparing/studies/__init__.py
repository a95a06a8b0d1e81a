"""Comparisons written down: `rl compare @runs/studies/NAME.args`, and the recipes that only they use."""
