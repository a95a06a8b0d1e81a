"""IQN on the arcade's Breakout, a million steps.

Up against the benchmark's own DQN, 11 +- 2 after a million steps (one run).
Sticky actions 0.1, difficulty ramping, games of at most 5,000 steps. Values of Revisiting Rainbow.

Recorded with one seed: 13.9; 19.9 minutes of one core.
"""

from agents.iqn import IQNConfig
from envs import EnvConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/Breakout-v1",
    env_config=EnvConfig(max_steps=5_000),
    agent=IQNConfig(
        taus=32,
        next_taus=32,
        act_taus=32,
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
