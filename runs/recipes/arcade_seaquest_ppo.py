"""PPO on the arcade's Seaquest, two million steps; Stable-Baselines3's PPO reached 6.0 (three seeds, 18 minutes).

Sticky actions 0.1, difficulty ramping, games of at most 5,000 steps; played greedily in evaluation, as by SB3's own.

Without layer normalisation three seeds reached 6.1, 6.3 and 4.4.

Recorded with three seeds: 6.5, 6.5, 6.0; 7.2 minutes of one core.
"""

from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/Seaquest-v1",
    env_config=EnvConfig(max_steps=5_000),
    agent=PPOConfig(
        net=NetConfig(orthogonal=True, layer_norm=True),
        gamma=0.99,
        rollout=128,
        minibatch_size=256,
        epochs=4,
        lr=Ramp(1e-3, 0.0, 2_000_000),
        entropy_cost=0.01,
    ),
    steps=2_000_000,
    num_envs=64,
    eval_episodes=100,
    log_every=50_000,
)
