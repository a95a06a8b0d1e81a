"""PPO on the arcade's Space Invaders, 10 million steps on one core, in gymnax's setting.

Up against gymnax's PPO checkpoint, 131. No sticky actions, difficulty ramping, games of at most 1,000 steps; actions
are drawn in evaluation too.

Recorded with three seeds: 169.5, 161.6, 161.7; 19.0 minutes of one core.
"""

from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/SpaceInvaders-v1",
    env_config=EnvConfig(max_steps=1_000, options={"sticky_action_prob": 0.0}),
    agent=PPOConfig(
        net=NetConfig(orthogonal=True),
        gamma=0.99,
        rollout=128,
        minibatch_size=512,
        epochs=3,
        lr=Ramp(1e-3, 0.0, 10_000_000),
        entropy_cost=0.01,
    ),
    steps=10_000_000,
    num_envs=64,
    eval_episodes=100,
    eval_sample=True,
    log_every=100_000,
    threads=1,
)
