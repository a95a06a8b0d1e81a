"""PPO with an LSTM names a cue that it saw 50 steps ago: right 95 times of 100, in half a million steps.

Guessing is right 50 times; so is whoever sees less than 51 frames, `remember_cue_ppo_stack`. A rollout holds two whole
episodes, so that the gradient reaches the cue; `core_span` lets the cue reach the question: from the usual biases
nothing of it is left there. Only the last action matters, so a small discount keeps the waiting out of the advantages.

Recorded with five seeds: 1.0, 1.0, 1.0, 1.0, 1.0; 0.9 minutes of one core.
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
        net=NetConfig(hidden=(32,), activation="tanh", core="lstm", core_size=64, core_span=52, orthogonal=True),
        gamma=0.5,
        gae_lambda=0.95,
        rollout=104,
        minibatch_size=832,
        epochs=4,
        lr=Ramp(1e-3, 0.0, 500_000),
        entropy_cost=0.01,
    ),
    steps=500_000,
    num_envs=32,
    eval_episodes=100,
)
