"""PPO learns real Atari Breakout from pixels; ten million steps, for a GPU.

Published: Stable-Baselines3's RL Zoo, 398 (one seed); CleanRL, 415 (three seeds), both without sticky actions and with
these hyperparameters. Protocol `nature`: a lost life ends the return, a game has all five.

No result is recorded yet: what stands here is the aim, not a claim.
"""

from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="ALE/Breakout-v5",
    env_config=EnvConfig(protocol="nature"),
    agent=PPOConfig(
        net=NetConfig(encoder="nature", orthogonal=True),
        stack=4,
        rollout=128,
        minibatch_size=256,
        epochs=4,
        lr=Ramp(2.5e-4, 0.0, 10_000_000),
        clip=Ramp(0.1, 0.0, 10_000_000),
        entropy_cost=0.01,
        reward_clip=1.0,
    ),
    steps=10_000_000,
    num_envs=8,
    eval_sample=True,
    save_every=500_000,
    eval_every=1_000_000,
    log_every=10_240,
    threads=0,
)
