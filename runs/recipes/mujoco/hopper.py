"""Hopper: hop forwards on one leg."""

from runs.recipes.mujoco.shared import crossq

hopper_sac = crossq("Hopper-v5")
"""CrossQ on Hopper-v5 for 300,000 steps: it hops, with one seed.

On version 4, whose scores do not compare: CrossQ's paper, 2,644 (ten seeds).
"""
