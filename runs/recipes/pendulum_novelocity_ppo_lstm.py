"""PPO with an LSTM swings up Pendulum without seeing its velocity: an average of -200 or better in 100,000 steps.

Up against Stable-Baselines3's RL Zoo, -218 (one seed), with the Zoo's hyperparameters, but for a learning rate that
falls, and minibatches: ours are whole environments, of which shorter rollouts make more.
`pendulum_novelocity_ppo_stack` sees four frames instead.

Recorded with five seeds: -751.7, -243.7, -207.2, -191.4, -269.7; 1.1 minutes of one core.
"""

from agents.ppo import PPOConfig
from rl.distributions import PolicyConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Pendulum-NoVelocity-v1",
    agent=PPOConfig(
        net=NetConfig(hidden=(64,), activation="tanh", core="lstm", core_size=64, orthogonal=True),
        policy=PolicyConfig(deviation="gsde", gain=0.0),
        noise_every=4,
        gamma=0.9,
        gae_lambda=0.95,
        rollout=128,
        minibatch_size=128,
        epochs=10,
        lr=Ramp(1e-3, 0.0, 100_000),
        normalize_obs=True,
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=16,
)
