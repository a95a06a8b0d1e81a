"""DQN learns real Atari Breakout from pixels; ten million steps, for a GPU.

Published: Stable-Baselines3's RL Zoo, 358 (one seed), with the same budget and learning rate
but a tenth of this replay.
Protocol `nature`: no sticky actions, up to 30 no-ops, a lost life ends the return, a game has all five.

No result is recorded yet: what stands here is the aim, not a claim.
"""

from agents.dqn import DQNConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
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
