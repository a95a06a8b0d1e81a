"""Stable-Baselines3 beside our agents: its environments on our rows, hyperparameters, training and speed.

The only package that imports `stable_baselines3` and `sb3_contrib`. `row_env`, `training` and `speed` load them;
`peer` and `translate` do so only to read an algorithm's arguments.
"""
