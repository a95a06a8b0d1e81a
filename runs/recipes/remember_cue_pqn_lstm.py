"""PQN with an LSTM names a cue that it saw 50 steps ago, without a replay: right 100 times of 100.

Beside `remember_cue_ppo_lstm` and `remember_cue_r2d2`. A rollout holds two whole episodes, so that the gradient reaches
the cue; guessing is right 50 times.

Recorded with five seeds: 1.0, 1.0, 1.0, 1.0, 1.0; 0.3 minutes of one core.
"""

from agents.pqn import PQNConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

run = Run(
    env="Memory/RememberCue-v0",
    env_config=EnvConfig(options={"delay": 50}),
    agent=PQNConfig(
        net=NetConfig(hidden=(32,), layer_norm=True, core="lstm", core_size=64, core_span=52, orthogonal=True),
        gamma=0.5,
        q_lambda=0.65,
        rollout=104,
        epochs=4,
        minibatches=4,
        lr=Ramp(1e-3, 0.0, 500_000),
        epsilon=Ramp(1.0, 0.05, 100_000),
    ),
    steps=500_000,
    num_envs=32,
    eval_episodes=100,
)
