"""A2C balances CartPole: 500 of 500 in 500,000 steps for the one recorded seed.

Up against Stable-Baselines3's RL Zoo, 500 (one seed), with the Zoo's hyperparameters and a learning rate that falls.
"""

from agents.a2c import A2CConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="CartPole-v1",
    agent=A2CConfig(lr=Ramp(7e-4, 0.0, 500_000)),
    steps=500_000,
    num_envs=8,
)
