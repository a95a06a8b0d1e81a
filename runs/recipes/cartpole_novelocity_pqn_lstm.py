"""PQN with an LSTM balances CartPole without seeing velocities; the aim is 475 of 500 in 500,000 steps.

Beside `cartpole_novelocity_ppo_lstm` and `cartpole_novelocity_r2d2`.

No result is recorded yet: what stands here is the aim, not a claim.
"""

from agents.pqn import PQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="CartPole-NoVelocity-v1",
    agent=PQNConfig(
        net=NetConfig(hidden=(64,), layer_norm=True, core="lstm", core_size=64, orthogonal=True),
        gamma=0.99,
        q_lambda=0.9,
        rollout=64,
        epochs=2,
        minibatches=8,
        lr=Ramp(1e-3, 0.0, 500_000),
        epsilon=Ramp(1.0, 0.05, 100_000),
    ),
    steps=500_000,
    num_envs=32,
)
