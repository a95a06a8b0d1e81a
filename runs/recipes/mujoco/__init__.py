"""Recipes for Gymnasium's MuJoCo tasks, version 5. They need `pip install "ludo-rl[mujoco]"`."""
