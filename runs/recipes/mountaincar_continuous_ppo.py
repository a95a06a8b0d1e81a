"""PPO finds the hill of the continuous MountainCar in 100,000 steps, ten seconds of one core: 94, the aim was 90.

Up against Stable-Baselines3's RL Zoo, 88 after 20,000 steps (one seed), from whose hyperparameters these come. What
finds the hill is the smooth exploration of gSDE: independent noise cancels out and the car never leaves the valley.
Eight cars side by side, which start with 3.6 times the Zoo's deviation, and a rate four times the Zoo's: with one car
and the Zoo's values one seed in seven never found the hill.

Recorded with ten seeds: 93.6 to 94.7, median 94.2; 0.2 minutes of one core.
"""

from agents.ppo import PPOConfig
from rl.distributions import PolicyConfig
from rl.networks import NetConfig
from runs.recipe import Run

run = Run(
    env="MountainCarContinuous-v0",
    agent=PPOConfig(
        net=NetConfig(activation="tanh"),
        policy=PolicyConfig(deviation="gsde", log_std=-2.0, gain=0.0),
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
    num_envs=8,
)
