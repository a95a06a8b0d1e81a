"""PQN on the arcade's Freeway, 10 million steps on one core.

Up against the DQN of the ARQ paper, 55.9. Sticky actions 0.1, difficulty ramping, games of at most 5,000 steps.

Recorded with three seeds: 66.1, 66.4, 66.3; 12.9 minutes of one core.
"""

from agents.pqn import PQNConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/Freeway-v1",
    env_config=EnvConfig(max_steps=5_000),
    agent=PQNConfig(
        net=NetConfig(layer_norm=True),
        gamma=0.99,
        q_lambda=0.65,
        rollout=32,
        epochs=2,
        minibatches=32,
        lr=Ramp(5e-4, 0.0, 10_000_000),
        epsilon=Ramp(1.0, 0.05, 1_000_000),
    ),
    steps=10_000_000,
    num_envs=128,
    eval_episodes=100,
    log_every=100_000,
    threads=1,
)
