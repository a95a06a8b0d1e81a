"""Stable-Baselines3 beside our agents: its environments on our rows, hyperparameters, training and speed.

The only package that imports `stable_baselines3` and `sb3_contrib`.
"""
