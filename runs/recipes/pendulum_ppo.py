"""PPO swings up Pendulum in 100,000 steps. The aim is -170; the recorded seeds reach -149 to -229.

Up against Stable-Baselines3's RL Zoo, -172 (one seed), with the Zoo's hyperparameters: state-dependent exploration
(gSDE), its noise held for four steps.
"""

from agents.ppo import PPOConfig
from rl.distributions import PolicyConfig
from runs.recipe import Run

run = Run(
    env="Pendulum-v1",
    agent=PPOConfig(
        policy=PolicyConfig(deviation="gsde"),
        noise_every=4,
        gamma=0.9,
        gae_lambda=0.95,
        rollout=1_024,
        minibatch_size=64,
        epochs=10,
        lr=1e-3,
    ),
    steps=100_000,
    num_envs=4,
)
