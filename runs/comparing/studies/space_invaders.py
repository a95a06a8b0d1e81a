"""PPO on the arcade's Space Invaders in a hundred thousand steps: the board of the study in networks.args.

`arcade_space_invaders_ppo` with a quarter of its rollout, which learns sooner and is kinder to memories: what they
remember is learned over 32 rows at once, with eight games side by side.
"""

from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Arcade/SpaceInvaders-v1",
    env_config=EnvConfig(max_steps=5_000),
    agent=PPOConfig(
        net=NetConfig(orthogonal=True),
        gamma=0.99,
        rollout=32,
        minibatch_size=256,
        epochs=4,
        lr=Ramp(1e-3, 0.0, 100_000),
        entropy_cost=0.01,
    ),
    steps=100_000,
    num_envs=64,
    eval_episodes=30,
    eval_sample=True,
)
