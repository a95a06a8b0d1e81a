"""A2C on LunarLander, 200,000 steps, with the hyperparameters of Stable-Baselines3's RL Zoo: it lands now and then.

Short rollouts and one update on each make it weak here: compare `lunarlander_ppo`.

Recorded with one seed: 33.5; 0.5 minutes of one core.
"""

from agents.a2c import A2CConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    agent=A2CConfig(gamma=0.995, lr=Ramp(8.3e-4, 0.0, 200_000), entropy_cost=1e-5),
    steps=200_000,
    num_envs=8,
)
