"""PPO with four stacked frames on CartPole without velocities.

What `cartpole_novelocity_ppo_lstm` is measured against.

Recorded with one seed: 500.0; 0.4 minutes of one core.
"""

from agents.ppo import PPOConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="CartPole-NoVelocity-v1",
    agent=PPOConfig(
        net=NetConfig(activation="tanh", orthogonal=True),
        stack=4,
        gamma=0.98,
        gae_lambda=0.8,
        rollout=32,
        minibatch_size=256,
        epochs=20,
        lr=Ramp(1e-3, 0.0, 100_000),
        clip=Ramp(0.2, 0.0, 100_000),
        normalize_obs=True,
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=8,
)
