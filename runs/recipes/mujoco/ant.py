"""Ant: walk forwards on four legs."""

from runs.recipes.mujoco.shared import crossq

ant_sac = crossq("Ant-v5")
"""CrossQ on Ant-v5 for 300,000 steps; not recorded yet.

On version 4, whose scores do not compare: CrossQ's paper, 5,712 (ten seeds).
"""
