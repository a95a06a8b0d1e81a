"""PPO without a memory on CartPole without velocities: what the memory of `cartpole_novelocity_ppo_lstm` is worth.

All else is as there. One observation does not say which way the pole is falling; below 200 points is expected.

Recorded with five seeds: 41.1, 41.0, 42.5, 42.9, 41.6; 0.1 minutes of one core.
"""

from agents.ppo import PPOConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="CartPole-NoVelocity-v1",
    agent=PPOConfig(
        net=NetConfig(hidden=(64,), activation="tanh", orthogonal=True),
        gamma=0.99,
        gae_lambda=0.95,
        rollout=64,
        minibatch_size=256,
        epochs=15,
        lr=Ramp(2e-3, 0.0, 100_000),
        clip=Ramp(0.2, 0.0, 100_000),
        normalize_obs=True,
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=16,
)
