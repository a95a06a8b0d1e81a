"""HalfCheetah: run forwards; an episode only ever ends by its limit of 1,000 steps."""

from runs.recipes.mujoco.shared import crossq

halfcheetah_sac = crossq("HalfCheetah-v5")
"""CrossQ on HalfCheetah-v5 for 300,000 steps: it gallops, and falls short of the paper's score with one seed.

On version 4, whose scores do not compare: CrossQ's paper, 10,012 (ten seeds).
"""
