"""Recorded results: training every seed of a recipe from a committed tree, and the table of results.

The result files lie in `runs/results`, the recipes in `runs/recipes`.
"""
