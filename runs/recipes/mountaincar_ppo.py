"""PPO drives MountainCar up the hill in a million steps; the aim is an average of -110 or better.

Up against Stable-Baselines3's RL Zoo, -110.4 (one seed), with the Zoo's hyperparameters.

Recorded with one seed: -111.9; 3.6 minutes of one core.
"""

from agents.ppo import PPOConfig
from runs.recipe import Run

run = Run(
    env="MountainCar-v0",
    agent=PPOConfig(
        gae_lambda=0.98,
        rollout=16,
        minibatch_size=64,
        epochs=4,
        normalize_obs=True,
        normalize_return=True,
    ),
    steps=1_000_000,
    num_envs=16,
)
