"""PQN balances CartPole without a replay: 500 of 500 in 500,000 steps for nine recorded seeds of ten.

Up against CleanRL's PQN, 495 +- 7 over the last training episodes, in 50 seconds.

Recorded with ten seeds: 218.2 to 500.0, median 500.0; 0.2 minutes of one core.
"""

from agents.pqn import PQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="CartPole-v1",
    agent=PQNConfig(
        net=NetConfig(hidden=(64, 64), layer_norm=True),
        gamma=0.99,
        q_lambda=0.9,
        rollout=64,
        epochs=2,
        minibatches=16,
        lr=Ramp(1e-3, 0.0, 500_000),
        epsilon=Ramp(1.0, 0.05, 100_000),
    ),
    steps=500_000,
    num_envs=32,
    log_every=10_000,
)
