"""RememberCue: name a cue that was shown 50 steps ago. The score is the share of right answers; guessing scores 0.5.

Rollouts and sequences hold two whole episodes of 52 steps, so that the gradient reaches the cue. `core_span` chooses
the initial gate biases: with the usual ones, nothing of the cue reaches the question.
"""

from typing import Any

from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from agents.r2d2 import R2D2Config
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

ENV = "Memory/RememberCue-v0"

_RUN: dict[str, Any] = {
    "env": ENV,
    "env_config": EnvConfig(options={"delay": 50}),
    "num_envs": 32,
    "eval_episodes": 100,
}
_LSTM: dict[str, Any] = {"hidden": (32,), "core": "lstm", "core_size": 64, "core_span": 52, "orthogonal": True}
_PPO: dict[str, Any] = {
    "gae_lambda": 0.95,
    "rollout": 104,
    "minibatch_size": 832,
    "epochs": 4,
    "entropy_cost": 0.01,
}

remember_cue_ppo_lstm = Run(
    **_RUN,
    agent=PPOConfig(
        net=NetConfig(activation="tanh", **_LSTM),
        gamma=0.5,  # only the last action matters: a small discount keeps the waiting out of the advantages
        lr=Ramp(1e-3, 0.0, 500_000),
        **_PPO,
    ),
    steps=500_000,
)
"""PPO with an LSTM names a cue of 50 steps ago after 500,000 steps: at least 95 answers of 100 are right."""

remember_cue_ppo_stack = Run(
    **_RUN,
    agent=PPOConfig(
        net=NetConfig(activation="tanh", orthogonal=True),
        stack=4,
        gamma=0.99,
        lr=Ramp(1e-3, 0.0, 1_000_000),
        **_PPO,
    ),
    steps=1_000_000,
)
"""PPO with four stacked frames cannot name a cue of 50 steps ago: it guesses.

The reference for `remember_cue_ppo_lstm`.
"""

remember_cue_pqn_lstm = Run(
    **_RUN,
    agent=PQNConfig(
        net=NetConfig(layer_norm=True, **_LSTM),
        gamma=0.5,
        q_lambda=0.65,
        rollout=104,
        epochs=4,
        minibatches=4,
        lr=Ramp(1e-3, 0.0, 500_000),
        epsilon=Ramp(1.0, 0.05, 100_000),
    ),
    steps=500_000,
)
"""PQN with an LSTM names a cue of 50 steps ago without a replay after 500,000 steps: every answer is right."""

remember_cue_r2d2 = Run(
    env=ENV,
    agent=R2D2Config(
        net=NetConfig(hidden=(32,), core="gru", core_size=32, core_span=52),
        gamma=0.99,
        lr=1e-3,
        batch_size=32,
        buffer_size=50_000,
        learning_starts=4_000,
        replay_ratio=0.02,
        update_every=64,
        target_every=100,
        n_step=5,
        double=True,
        prioritized=True,
        burn_in=0,
        length=104,
        period=52,
        epsilon=Ramp(1.0, 0.05, 100_000),
    ),
    steps=1_000_000,
    num_envs=16,
    eval_episodes=100,
    log_every=5_000,
)
"""R2D2 names a cue of 50 steps ago after a million steps: at least 95 answers of 100 are right."""
