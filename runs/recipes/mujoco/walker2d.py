"""Walker2d: walk forwards on two legs."""

from runs.recipes.mujoco.shared import crossq

walker2d_sac = crossq("Walker2d-v5")
"""CrossQ on Walker2d-v5 for 300,000 steps: it walks, with one seed.

On version 4, whose scores do not compare: CrossQ's paper, 5,941 (ten seeds).
"""
