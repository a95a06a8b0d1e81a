"""Tic-tac-toe (Boards/TicTacToe-v1)."""

from __future__ import annotations

from agents.alphazero import AlphaZeroConfig
from envs import EnvConfig
from rl.networks.config import ResNetConfig
from rl.schedules import Ramp
from rl.search.search import SearchConfig
from runs.recipe import Run

tic_tac_toe_alphazero = Run(
    env="Boards/TicTacToe-v1",
    env_config=EnvConfig(options={"opponent": "minimax:6", "self_play": True, "opening": 6}),
    agent=AlphaZeroConfig(
        net=ResNetConfig(channels=32, blocks=2),
        lr=Ramp(3e-3, 1e-4, 8_000),
        search=SearchConfig(c_scale=0.25),
        simulations=32,
        fast_simulations=16,
        full_share=0.5,
        eval_simulations=400,
        buffer_size=8_000,
        update_every=64,
        replay_ratio=1 / 32,
    ),
    num_envs=64,
    steps=8_000,
    eval_episodes=40,
)
"""AlphaZero on tic-tac-toe, 8,000 moves of self-play with 16 or 32 simulations a move.

The score is against minimax of depth 6 with 400 simulations a move: 0 is a draw in every game.
"""
