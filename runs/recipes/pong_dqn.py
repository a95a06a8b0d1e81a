"""DQN learns real Atari Pong from pixels on one CPU core: 18 over 20 games, or close to it.

Published: Tianshou's DQN, 20 after about 1.5M steps and 30 minutes on a GPU. What keeps it within a laptop's reach is
the small network of Mnih et al. 2013, four-step returns and prioritized replay; no double Q-learning: its third forward
pass is a fifth of the update, and a game of points between -1 and 1 leaves little to overestimate. Eight games side by
side. Orthogonal weights: from PyTorch's defaults every unit of the first layer died in one run, and in another it took
75,000 updates to tell states apart as well as here after 4,000.

Protocol `nature`: no sticky actions, up to 30 no-ops, whole games of 21 points.

Recorded with two seeds: 20.0, 17.8; 73.9 minutes of one core.
The first seed passed 18 after 300,000 steps and 36 minutes; the process took 0.45 GB.
"""

from agents.dqn import DQNConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="ALE/Pong-v5",
    env_config=EnvConfig(protocol="nature"),
    agent=DQNConfig(
        net=NetConfig(encoder="nips", orthogonal=True),
        stack=4,
        gamma=0.99,
        lr=Ramp(2e-4, 5e-5, 800_000),
        adam_eps=1e-5,
        batch_size=32,
        buffer_size=200_000,
        learning_starts=8_000,
        replay_ratio=0.25,
        update_every=8,
        target_every=250,
        n_step=4,
        dueling=True,
        prioritized=True,
        priority_exponent=0.5,
        importance=Ramp(0.4, 1.0, 800_000),
        epsilon=Ramp(1.0, 0.02, 60_000),
        eval_epsilon=0.01,
        reward_clip=1.0,
    ),
    steps=800_000,
    num_envs=8,
    save_every=50_000,
    log_every=2_000,
    eval_every=100_000,
    eval_episodes=20,
)
