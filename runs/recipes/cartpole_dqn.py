"""DQN balances CartPole: 500 of 500 in 50,000 steps for nine of the ten recorded seeds, 498 for the tenth.

Up against Stable-Baselines3's RL Zoo, 500 (one seed). LayerNorm keeps the values from running away, as they do here
with plain layers.

Recorded with ten seeds: 497.9 to 500.0, median 500.0; 0.5 minutes of one core.
"""

from agents.dqn import DQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="CartPole-v1",
    agent=DQNConfig(
        net=NetConfig(hidden=(128, 128), layer_norm=True),
        gamma=0.99,
        lr=Ramp(1e-3, 1e-5, 50_000),
        batch_size=64,
        buffer_size=50_000,
        learning_starts=1_000,
        replay_ratio=0.5,
        update_every=16,
        target_every=64,
        n_step=3,
        epsilon=Ramp(1.0, 0.04, 8_000),
    ),
    steps=50_000,
    num_envs=4,
)
