"""PPO learns real Atari Pong from pixels; the aim is 18 over 20 games in two million steps, in an hour of two cores.

Published: rl_games' PPO, 20 after 1.47M steps; Stable-Baselines3's RL Zoo, 21 after 10M (one seed). Sixteen games side
by side, three passes, and four times the usual learning rate: at 5e-4 half a million steps went by before the first
point was won more often than by chance, at 1e-3 a quarter of a million. Exploring is paid for less and less, so that
the actions drawn in evaluation are the ones meant. Protocol `nature`, as for `pong_dqn`.

No result is recorded yet: what stands here is the aim, not a claim.
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
