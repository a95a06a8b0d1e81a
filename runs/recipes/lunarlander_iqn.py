"""IQN lands the lunar module within 100,000 steps; 200 points is solved.

No published figure at this budget; our DQN is the bar. A few minutes on a laptop.

Recorded with five seeds: 232.9, 250.8, 200.3, 209.6, 211.6; 5.7 minutes of one core.
"""

from agents.iqn import IQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    agent=IQNConfig(
        taus=16,
        next_taus=16,
        act_taus=16,
        net=NetConfig(hidden=(128, 128), layer_norm=True),
        gamma=0.99,
        lr=Ramp(1e-3, 2e-5, 100_000),
        adam_eps=1e-5,
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
