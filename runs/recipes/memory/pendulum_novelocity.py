"""Pendulum without its velocity."""

from agents.ppo import PPOConfig
from rl.distributions import PolicyConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

pendulum_novelocity_ppo_lstm = Run(
    env="Pendulum-NoVelocity-v1",
    agent=PPOConfig(
        net=NetConfig(hidden=(64,), activation="tanh", core="lstm", core_size=64, orthogonal=True),
        policy=PolicyConfig(deviation="gsde", gain=0.0),
        noise_every=4,
        gamma=0.95,
        gae_lambda=0.95,
        rollout=64,
        minibatch_size=256,
        epochs=10,
        lr=Ramp(2e-3, 0.0, 100_000),
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=32,
)
"""PPO with an LSTM swings up Pendulum without its velocity: an average of -200 or better in 100,000 steps.

Published: Stable-Baselines3's RL Zoo, -218 (one seed); values near the Zoo's reached -240 here (IQM of five seeds).
"""

pendulum_novelocity_ppo_stack = Run(
    env="Pendulum-NoVelocity-v1",
    agent=PPOConfig(
        net=NetConfig(activation="tanh", orthogonal=True),
        policy=PolicyConfig(deviation="gsde"),
        noise_every=4,
        stack=4,
        gamma=0.9,
        gae_lambda=0.95,
        rollout=1_024,
        minibatch_size=64,
        epochs=10,
        lr=1e-3,
        normalize_obs=True,
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=4,
)
"""PPO with four stacked frames on Pendulum without its velocity, the reference for `pendulum_novelocity_ppo_lstm`."""
