"""Benchmarks of speed and memory, beside Stable-Baselines3 on the same machine in the same run.

Scores are compared in `runs.comparing`.
"""
