"""RepeatPrevious: name the card shown four steps ago. The score is the share of right answers; chance is 0.25."""

from typing import Any

from agents.ppo import PPOConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

_PPO: dict[str, Any] = {
    "gamma": 0.5,
    "gae_lambda": 0.95,
    "rollout": 128,
    "minibatch_size": 512,
    "epochs": 4,
    "lr": Ramp(2e-3, 0.0, 500_000),
    "entropy_cost": 0.0003,
    "normalize_return": True,
}


def _run(agent: PPOConfig) -> Run:
    return Run(env="Memory/RepeatPrevious-v0", agent=agent, steps=500_000, num_envs=16)


repeat_previous_ppo_gru = _run(
    PPOConfig(net=NetConfig(hidden=(32,), activation="tanh", core="gru", core_size=64, orthogonal=True), **_PPO)
)
"""PPO with a GRU repeats what it saw four steps ago after 500,000 steps: at least 95 answers of 100 are right."""

repeat_previous_ppo_stack = _run(PPOConfig(net=NetConfig(activation="tanh", orthogonal=True), stack=5, **_PPO))
"""PPO with five stacked frames repeats what it saw four steps ago: the oldest frame is the answer.

The reference for `repeat_previous_ppo_gru`: frames are the easier memory if the span is short and known.
"""
