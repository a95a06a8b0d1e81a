"""Comparisons: tasks, contenders, the plan of trainings, the worker that runs one, and where it runs; leagues.

Statistics live in `rl.stats`, the analysis and the page in `runs.reporting`.
"""
