"""The continuous MountainCar: drive up the hill with little fuel, for at most 100 points."""

from agents.ppo import PPOConfig
from agents.sac import SACConfig
from rl.distributions import PolicyConfig
from rl.networks import NetConfig
from runs.recipe import Run

mountaincar_continuous_ppo = Run(
    env="MountainCarContinuous-v0",
    agent=PPOConfig(
        net=NetConfig(activation="tanh"),
        policy=PolicyConfig(deviation="gsde", log_std=-2.0, gain=0.0),  # independent noise never leaves the valley
        noise_every=8,
        gamma=0.9999,
        gae_lambda=0.9,
        rollout=32,
        minibatch_size=256,
        epochs=10,
        lr=3e-4,
        clip=0.1,
        max_grad_norm=5.0,
        entropy_cost=0.00429,
        value_cost=0.19,
        normalize_obs=True,
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=8,  # with one car and the Zoo's values one seed in seven never found the hill
)
"""PPO with gSDE drives up the hill of the continuous MountainCar after 100,000 steps: at least 90 points.

Published: Stable-Baselines3's RL Zoo, 88 after 20,000 steps (one seed).
"""

mountaincar_continuous_sac = Run(
    env="MountainCarContinuous-v0",
    agent=SACConfig(
        net=NetConfig(hidden=(64, 64)),
        gamma=0.998,  # with 0.99 the car hurries and burns more fuel: 93.7 (three seeds)
        lr=3e-4,
        batch_size=256,
        target_tau=0.01,
        temperature=0.02,  # times the horizon, the entropy of play that never ends must stay below the hill's 100
        n_step=5,
        replay_ratio=0.5,
        update_every=8,
        buffer_size=50_000,
        learning_starts=10_000,
        random_hold=32,  # 95 of 100 random episodes find the hill; with an action drawn each step, none
    ),
    steps=50_000,
)
"""SAC climbs the continuous MountainCar after 50,000 steps with 94.0 points (IQM of ten seeds).

Its random start holds each action for 32 steps; without that it never finds the hill.

Published: Stable-Baselines3's RL Zoo, 94.7 after 50,000 steps (one run).
"""
