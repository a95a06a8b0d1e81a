"""PQN lands the lunar module without a replay, within a million steps; 200 points count as solved.

No published figure at this budget; PPO's recipe is the bar. A minute or two on a laptop.

Recorded with five seeds: 245.5, 264.6, 274.7, 254.0, 253.0; 1.2 minutes of one core.
"""

from agents.pqn import PQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="LunarLander-v3",
    agent=PQNConfig(
        net=NetConfig(hidden=(128, 128), layer_norm=True),
        gamma=0.99,
        q_lambda=0.9,
        rollout=64,
        epochs=2,
        minibatches=16,
        lr=Ramp(1e-3, 0.0, 1_000_000),
        epsilon=Ramp(1.0, 0.05, 200_000),
    ),
    steps=1_000_000,
    num_envs=32,
    log_every=10_000,
)
