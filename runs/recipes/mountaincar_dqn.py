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
        net=NetConfig(hidden=(128, 128)),
        gamma=0.98,
        lr=Ramp(3e-3, 1e-5, 120_000),
        batch_size=128,
        buffer_size=50_000,
        learning_starts=1_000,
        replay_ratio=0.25,
        update_every=8,
        target_every=150,
        n_step=5,
        double=True,
        epsilon=Ramp(0.5, 0.03, 40_000),
    ),
    steps=120_000,
    num_envs=4,
)
