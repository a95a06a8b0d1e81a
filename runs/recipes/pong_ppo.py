"""PPO learns real Atari Pong from pixels in an hour of one CPU core: 20 of 21 points, the aim was 18.

Published: rl_games' PPO, 20 after 1.47M steps; Stable-Baselines3's RL Zoo, 21 after 10M (one seed). Sixteen games side
by side, three passes, and four times the usual learning rate: on a tuning seed half a million steps went by at 5e-4
before points were won more often than by chance, at 1e-3 a quarter of a million. Exploring is paid for less and less,
so that the actions drawn in evaluation are the ones meant. Protocol `nature`, as for `pong_dqn`.

Recorded with one seed: 20.8; 59.9 minutes of one core.
It passed 18 at the evaluation after 1.2 million steps and 36 minutes, with 20.4.
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
        net=NetConfig(encoder="nature", orthogonal=True),
        stack=4,
        rollout=128,
        minibatch_size=256,
        epochs=3,
        lr=Ramp(1e-3, 1e-4, 2_000_000),
        clip=0.2,
        entropy_cost=Ramp(0.01, 0.001, 2_000_000),
        reward_clip=1.0,
    ),
    steps=2_000_000,
    num_envs=16,
    eval_sample=True,
    threads=1,
    save_every=200_000,
    eval_every=200_000,
    log_every=4_096,
)
