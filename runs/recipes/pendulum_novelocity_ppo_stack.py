"""PPO with four stacked frames on Pendulum without its velocity.

What `pendulum_novelocity_ppo_lstm` is measured against.

Recorded with one seed: -372.4; 0.6 minutes of one core.
"""

from agents.ppo import PPOConfig
from rl.distributions import PolicyConfig
from rl.networks import NetConfig
from runs.recipe import Run

run = Run(
    env="Pendulum-NoVelocity-v1",
    agent=PPOConfig(
        net=NetConfig(activation="tanh", orthogonal=True),
        policy=PolicyConfig(deviation="gsde"),
        noise_every=4,
        stack=4,
        gamma=0.9,
        gae_lambda=0.95,
        rollout=1_024,
        minibatch_size=64,
        epochs=10,
        lr=1e-3,
        normalize_obs=True,
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=4,
)
