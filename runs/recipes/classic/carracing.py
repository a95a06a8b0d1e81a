"""CarRacing: drive round a track that is seen from above, for at most about 930 points."""

from agents.sac import SACConfig
from rl.networks import NetConfig
from runs.recipe import Run

carracing_sac = Run(
    env="CarRacing-v3",
    agent=SACConfig(
        net=NetConfig(encoder="nature", hidden=(256,)),
        stack=2,
        batch_size=128,
        buffer_size=100_000,
        learning_starts=5_000,
        replay_ratio=0.25,
        update_every=4,
        target_tau=0.01,
    ),
    steps=300_000,
)
"""SAC drives CarRacing from two pictures of 96x96, for 300,000 steps; neither tuned nor recorded yet.

Published: Stable-Baselines3's RL Zoo, PPO with an LSTM 862 after 4,000,000 steps (an older version of the task).
"""
