"""Pendulum: swing up and balance. The best policies score about -150."""

from agents.ppo import PPOConfig
from rl.distributions import PolicyConfig
from rl.schedules import Ramp
from runs.recipe import Run

pendulum_ppo = Run(
    env="Pendulum-v1",
    agent=PPOConfig(
        policy=PolicyConfig(deviation="gsde"),
        noise_every=4,
        gamma=0.98,  # 0.9 with raw rewards, as in the Zoo, reached -183 and 0.95 -170.3 (ten seeds each)
        gae_lambda=0.95,
        rollout=1_024,
        minibatch_size=64,
        epochs=10,
        lr=Ramp(1e-3, 1e-5, 100_000),
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=4,
)
"""PPO with gSDE swings up Pendulum after 100,000 steps: -163 is the IQM of ten seeds.

Published: Stable-Baselines3's RL Zoo, -172 (one seed).
"""
