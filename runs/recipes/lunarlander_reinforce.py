"""REINFORCE on LunarLander, a million steps: the aim is to come down softly, 0, from random play's -170.

Whole returns are noisy; compare `lunarlander_ppo`, which lands with the same budget. Discounting by 0.99 and dividing
rewards by the deviation of the return made the difference between falling and flying.

Recorded with three seeds: -5.5, 21.9, -2.6; 5.9 minutes of one core.
"""

from agents.reinforce import ReinforceConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    agent=ReinforceConfig(
        episodes=8,
        gamma=0.99,
        lr=Ramp(3e-3, 0.0, 1_000_000),
        entropy_cost=Ramp(0.01, 0.0, 1_000_000),
        normalize_return=True,
    ),
    steps=1_000_000,
)
