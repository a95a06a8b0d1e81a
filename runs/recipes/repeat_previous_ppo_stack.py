"""PPO with five stacked frames repeats what it was shown four steps ago: the answer is the oldest of them.

What `repeat_previous_ppo_gru` is measured against: where the span is short and known, frames are the easier memory.

Recorded with one seed: 1.0; 0.4 minutes of one core.
"""

from agents.ppo import PPOConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Memory/RepeatPrevious-v0",
    agent=PPOConfig(
        net=NetConfig(activation="tanh", orthogonal=True),
        stack=5,
        gamma=0.5,
        gae_lambda=0.95,
        rollout=128,
        minibatch_size=512,
        epochs=4,
        lr=Ramp(2e-3, 0.0, 500_000),
        entropy_cost=0.0003,
        normalize_return=True,
    ),
    steps=500_000,
    num_envs=16,
)
