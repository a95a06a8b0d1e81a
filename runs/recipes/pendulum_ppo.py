"""PPO swings up Pendulum in 100,000 steps, -170.3 by the IQM of ten seeds; the aim was -170.

Up against Stable-Baselines3's RL Zoo, -172 (one seed), with its state-dependent exploration (gSDE), its noise held for
four steps. Unlike there the discount is 0.95 instead of 0.9, rewards are divided by the deviation of the return, and
the learning rate falls. On tuning seeds (100 games each) the Zoo's discount and raw rewards reached -159, this -147.

Recorded with ten seeds: -224.0 to -131.7, median -170.5; 1.3 minutes of one core.
"""

from agents.ppo import PPOConfig
from rl.distributions import PolicyConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Pendulum-v1",
    agent=PPOConfig(
        policy=PolicyConfig(deviation="gsde"),
        noise_every=4,
        gamma=0.95,
        gae_lambda=0.95,
        rollout=1_024,
        minibatch_size=64,
        epochs=10,
        lr=Ramp(1e-3, 1e-5, 100_000),
        normalize_return=True,
    ),
    steps=100_000,
    num_envs=4,
)
