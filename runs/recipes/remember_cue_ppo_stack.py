"""PPO with four stacked frames cannot name a cue of 50 steps ago: right 50 times of 100, by guessing.

What `remember_cue_ppo_lstm` is measured against.

Recorded with one seed: 0.6; 0.5 minutes of one core.
"""

from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Memory/RememberCue-v0",
    env_config=EnvConfig(options={"delay": 50}),
    agent=PPOConfig(
        net=NetConfig(activation="tanh", orthogonal=True),
        stack=4,
        gamma=0.99,
        gae_lambda=0.95,
        rollout=104,
        minibatch_size=832,
        epochs=4,
        lr=Ramp(1e-3, 0.0, 1_000_000),
        entropy_cost=0.01,
    ),
    steps=1_000_000,
    num_envs=32,
    eval_episodes=100,
)
