"""Rainbow on LunarLander, 100,000 steps: C51, double, dueling, noisy, prioritized, three steps.

No published figure at this budget; our DQN is the bar. Seven minutes of one core. The noise starts at a fifth of the
published scale: a tuning seed landed with it, 244.

Recorded with five seeds: 267.7, 132.3, 233.4, 204.6, 161.5; 7.7 minutes of one core.
"""

from agents.c51 import C51Config
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    agent=C51Config(
        atoms=101,
        v_min=-200.0,
        v_max=300.0,
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
        dueling=True,
        noisy=True,
        noisy_sigma=0.1,
        prioritized=True,
        priority_exponent=0.5,
        importance=Ramp(0.4, 1.0, 100_000),
        epsilon=0.0,
    ),
    steps=100_000,
    num_envs=4,
)
