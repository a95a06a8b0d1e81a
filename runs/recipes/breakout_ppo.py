"""PPO learns real Atari Breakout from pixels in two million steps, minutes of a GPU: 139 points.

Published, at ten million steps: Stable-Baselines3's RL Zoo, 398 (one seed); CleanRL, 415 (three seeds), both without
sticky actions. Here 64 games side by side, so that a GPU has something to do, and nearly three times their learning
rate for a fifth of their steps. Protocol `nature`: a lost life ends the return, a game has all five.

Recorded with one seed: 139.3.
20 games, of 20 to 393 points. The first 1,493,968 steps took 309 seconds of an H200, the rest was learned elsewhere, on
two cores.
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
        rollout=64,
        minibatch_size=256,
        epochs=4,
        lr=Ramp(7e-4, 5e-5, 2_000_000),
        clip=0.1,
        entropy_cost=Ramp(0.01, 0.001, 2_000_000),
        reward_clip=1.0,
    ),
    steps=2_000_000,
    num_envs=64,
    eval_sample=True,
    save_every=500_000,
    eval_every=500_000,
    log_every=16_384,
    threads=0,
)
