"""Atari Breakout from pixels.

Protocol `nature`: no sticky actions, up to 30 no-ops, a lost life ends the return, and a game has all five lives.
"""

from agents.dqn import DQNConfig
from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

breakout_dqn = Run(
    env="ALE/Breakout-v5",
    env_config=EnvConfig(protocol="nature"),
    agent=DQNConfig(
        net=NetConfig(encoder="nature", orthogonal=True),
        stack=4,
        lr=1e-4,
        batch_size=32,
        buffer_size=1_000_000,
        learning_starts=100_000,
        replay_ratio=0.25,
        update_every=8,
        target_every=250,
        epsilon=Ramp(1.0, 0.01, 1_000_000),
        eval_epsilon=0.01,
        reward_clip=1.0,
    ),
    steps=10_000_000,
    num_envs=8,
    save_every=250_000,
    log_every=10_000,
    eval_every=500_000,
    eval_episodes=30,
)
"""DQN learns Atari Breakout from pixels in ten million steps, on a GPU.

Published: Stable-Baselines3's RL Zoo, 358 (one seed), with the same budget and learning rate and a tenth of the replay.
"""

breakout_ppo = Run(
    env="ALE/Breakout-v5",
    env_config=EnvConfig(protocol="nature"),
    agent=PPOConfig(
        net=NetConfig(encoder="nature", orthogonal=True),
        stack=4,
        rollout=64,
        minibatch_size=256,
        epochs=4,
        lr=Ramp(7e-4, 5e-5, 2_000_000),  # nearly three times the published rate, for a fifth of the steps
        clip=0.1,
        entropy_cost=Ramp(0.01, 0.001, 2_000_000),
        reward_clip=1.0,
    ),
    steps=2_000_000,
    num_envs=64,  # so that a GPU is busy
    eval_sample=True,
    save_every=500_000,
    eval_every=500_000,
    log_every=16_384,
    threads=0,
)
"""PPO learns Atari Breakout from pixels in two million steps, minutes of a GPU: 139 points.

Published, after ten million steps: Stable-Baselines3's RL Zoo, 398 (one seed); CleanRL, 415 (three seeds).
"""
