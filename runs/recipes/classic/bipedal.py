"""BipedalWalker: walk over rough ground on two legs, for at most about 330 points."""

from agents.sac import SACConfig
from rl.networks import NetConfig
from runs.recipe import Run

bipedal_sac = Run(
    env="BipedalWalker-v3",
    agent=SACConfig(
        net=NetConfig(hidden=(256, 256)),
        gamma=0.98,
        target_tau=0.02,
        gsde=True,
        log_std=-3.0,
        noise_every=64,
        update_every=64,
        buffer_size=300_000,
        learning_starts=10_000,
    ),
    steps=300_000,
)
"""SAC with the Zoo's values walks BipedalWalker for 300,000 steps; not recorded yet.

Published: Stable-Baselines3's RL Zoo, TQC 330 and SAC 298 after 500,000 steps (one run each).
"""
