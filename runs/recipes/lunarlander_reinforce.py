"""REINFORCE on LunarLander, a million steps: it learned to fall slower, not to land.

Whole returns are noisy; compare `lunarlander_ppo`, which lands with the same budget.

Recorded with one seed: -160.0; 5.6 minutes of one core.
"""

from agents.reinforce import ReinforceConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    agent=ReinforceConfig(episodes=8, gamma=0.995, lr=Ramp(3e-3, 0.0, 1_000_000), entropy_cost=0.01),
    steps=1_000_000,
)
