"""PPO lands the continuous LunarLander: an average of 245 or better in a million steps.

With the hyperparameters of Stable-Baselines3's RL Zoo.

Recorded with five seeds: 272.4, 247.1, 267.5, 270.7, 234.2; 1.9 minutes of one core.
"""

from agents.ppo import PPOConfig
from envs import EnvConfig
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    env_config=EnvConfig(options={"continuous": True}),
    agent=PPOConfig(
        gamma=0.999,
        gae_lambda=0.98,
        rollout=1_024,
        minibatch_size=64,
        epochs=4,
        entropy_cost=0.01,
    ),
    steps=1_000_000,
    num_envs=16,
)
