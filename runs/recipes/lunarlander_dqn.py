"""DQN lands the lunar module within 100,000 steps; 200 points count as solved.

Up against Stable-Baselines3's RL Zoo, 195 +- 28 over 3 to 5 seeds at the same budget. Greedy policies of
this budget like to hover: on tuning seeds a tenth of random actions and LayerNorm made them land.

Recorded with ten seeds: 177.3 to 242.5, median 215.9; 4.2 minutes of one core.
"""

from agents.dqn import DQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    agent=DQNConfig(
        net=NetConfig(hidden=(128, 128), layer_norm=True),
        gamma=0.99,
        lr=Ramp(1e-3, 2e-5, 100_000),
        batch_size=64,
        buffer_size=100_000,
        learning_starts=2_000,
        replay_ratio=1.0,
        update_every=4,
        target_every=250,
        n_step=3,
        double=True,
        epsilon=Ramp(1.0, 0.1, 20_000),
    ),
    steps=100_000,
    num_envs=4,
)
