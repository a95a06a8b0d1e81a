"""Agents that keep a table: temporal differences, Monte Carlo, planning with a learned or known model, bandits."""
