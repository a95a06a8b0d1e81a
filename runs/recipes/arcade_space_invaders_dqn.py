"""DQN on the arcade's Space Invaders, a million steps.

Up against SB3's DQN, 14 to 26, and QR-DQN, 28 (one run each).
Sticky actions 0.1, difficulty ramping, games of at most 5,000 steps. Values of Revisiting Rainbow.

Recorded with two seeds: 39.3, 42.0; 12.9 minutes of one core.
"""

from agents.dqn import DQNConfig
from envs import EnvConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/SpaceInvaders-v1",
    env_config=EnvConfig(max_steps=5_000),
    agent=DQNConfig(
        lr=2.5e-4,
        adam_eps=3.125e-4,
        batch_size=32,
        buffer_size=100_000,
        learning_starts=1_000,
        replay_ratio=0.25,
        update_every=4,
        target_every=250,
        epsilon=Ramp(1.0, 0.01, 250_000),
    ),
    steps=1_000_000,
    num_envs=4,
    eval_episodes=100,
    log_every=10_000,
)
