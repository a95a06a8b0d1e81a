"""Tic-tac-toe (Boards/TicTacToe-v1)."""

from __future__ import annotations

from agents.alphazero import AlphaZeroConfig
from envs import EnvConfig
from rl.networks.config import ResNetConfig
from rl.schedules import Ramp
from runs.recipe import Run

tic_tac_toe_alphazero = Run(
    env="Boards/TicTacToe-v1",
    env_config=EnvConfig(options={"opponent": "minimax:6", "self_play": True}),
    agent=AlphaZeroConfig(
        net=ResNetConfig(channels=32, blocks=2),
        lr=Ramp(3e-3, 1e-4, 60_000),
        simulations=32,
        fast_simulations=16,
        full_share=0.5,
        buffer_size=60_000,
        window=Ramp(10_000, 60_000, 60_000),
        update_every=64,
        replay_ratio=1 / 32,
    ),
    num_envs=64,
    steps=60_000,
    eval_episodes=40,
)
"""AlphaZero on tic-tac-toe, 60,000 moves of self-play with 16 or 32 simulations a move.

The score is against minimax of depth 6 with 100 simulations a move: 0 is a draw in every game.
"""
