"""Connect Four (Boards/ConnectFour-v1)."""

from __future__ import annotations

from agents.alphazero import AlphaZeroConfig
from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.networks.config import ResNetConfig
from rl.schedules import Ramp
from rl.search.search import SearchConfig
from runs.recipe import Run

connect_four_alphazero = Run(
    env="Boards/ConnectFour-v1",
    env_config=EnvConfig(options={"opponent": "minimax:5", "self_play": True, "opening": 16}),
    agent=AlphaZeroConfig(
        net=ResNetConfig(channels=32, blocks=2),
        lr=Ramp(3e-3, 2e-4, 500_000),
        search=SearchConfig(c_scale=0.25),  # values of little training are noise: 1.0 follows them
        simulations=32,
        fast_simulations=8,
        full_share=0.25,
        buffer_size=400_000,
        window=Ramp(20_000, 400_000, 500_000),
        update_every=256,
        replay_ratio=1 / 32,
    ),
    num_envs=256,
    steps=500_000,
    eval_episodes=40,
)
"""AlphaZero on Connect Four, 500,000 moves of self-play with 8 or 32 simulations a move.

The score is against minimax of depth 5, with 100 simulations a move, first and second in turn: 1 wins every game.
"""

connect_four_ppo = Run(
    env="Boards/ConnectFour-v1",
    env_config=EnvConfig(options={"opponent": "self:minimax:2"}),
    agent=PPOConfig(
        net=NetConfig(orthogonal=True),
        gamma=0.99,
        rollout=64,
        minibatch_size=512,
        epochs=3,
        lr=Ramp(1e-3, 0.0, 1_000_000),
        entropy_cost=0.02,
    ),
    steps=1_000_000,
    num_envs=128,
    eval_episodes=100,
    log_every=50_000,
    threads=1,
)
"""PPO learns Connect Four by playing itself for a million moves; its evaluation plays minimax of depth 2."""
