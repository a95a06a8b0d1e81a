"""DQN drives MountainCar up the hill in about 100 steps, within 120,000 steps.

Up against Stable-Baselines3's RL Zoo, -107 +- 4 over 3 to 5 seeds at the same budget. Two to three minutes on a laptop.

No result is recorded yet: what stands here is the aim, not a claim.
"""

from agents.dqn import DQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="MountainCar-v0",
    agent=DQNConfig(
        net=NetConfig(hidden=(128, 128), layer_norm=True),
        gamma=0.99,
        lr=Ramp(1e-3, 1e-5, 120_000),
        batch_size=64,
        buffer_size=50_000,
        learning_starts=1_000,
        replay_ratio=0.5,
        update_every=4,
        target_every=250,
        n_step=5,
        double=True,
        epsilon=Ramp(1.0, 0.05, 60_000),
    ),
    steps=120_000,
    num_envs=4,
)
