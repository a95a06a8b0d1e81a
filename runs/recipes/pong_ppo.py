"""PPO learns real Atari Pong from pixels on one CPU core: at least 18 over 20 games in two million steps.

Published: rl_games' PPO, 20 after 1.47M steps; Stable-Baselines3's RL Zoo, 21 after 10M (one seed). The small network
of Mnih et al. 2013 costs a third of the usual one. Protocol `nature`, as for `pong_dqn`.

Recorded with one seed: 2.7; 97.3 minutes of one core.
"""

from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="ALE/Pong-v5",
    env_config=EnvConfig(protocol="nature"),
    agent=PPOConfig(
        net=NetConfig(encoder="nips", orthogonal=True),
        stack=4,
        rollout=128,
        minibatch_size=256,
        epochs=4,
        lr=Ramp(5e-4, 0.0, 2_000_000),
        clip=0.1,
        entropy_cost=0.01,
        reward_clip=1.0,
    ),
    steps=2_000_000,
    num_envs=8,
    eval_sample=True,
    threads=1,
    save_every=200_000,
    eval_every=200_000,
    log_every=4_096,
)
