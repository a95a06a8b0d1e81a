"""Rainbow on the arcade's Freeway, a million steps, with the values of `arcade_space_invaders_rainbow`, untuned here.

Up against the DQN of the ARQ paper, 55.9. Sticky actions 0.1, difficulty ramping, games of at most 5,000 steps.

Recorded with one seed: 44.0; 35.0 minutes of one core.
"""

from agents.c51 import C51Config
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/Freeway-v1",
    env_config=EnvConfig(max_steps=5_000),
    agent=C51Config(
        net=NetConfig(hidden=(256,), layer_norm=True),
        v_min=0.0,
        v_max=40.0,
        initial=0.0,
        double=True,
        dueling=True,
        noisy=True,
        n_step=3,
        prioritized=True,
        priority_exponent=0.5,
        importance=Ramp(0.4, 1.0, 1_000_000),
        epsilon=0.0,
        lr=Ramp(3e-4, 3e-5, 1_000_000),
        adam_eps=1.5e-5,
        batch_size=32,
        buffer_size=100_000,
        learning_starts=1_000,
        replay_ratio=0.25,
        update_every=4,
        target_every=250,
    ),
    steps=1_000_000,
    num_envs=4,
    eval_episodes=100,
    log_every=10_000,
)
