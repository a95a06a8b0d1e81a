"""Othello on 6 x 6 cells (Boards/Othello6-v1)."""

from __future__ import annotations

from agents.alphazero import AlphaZeroConfig
from envs import EnvConfig
from rl.networks.config import ResNetConfig
from rl.schedules import Ramp
from rl.search.search import SearchConfig
from runs.recipe import Run

othello6_alphazero = Run(
    env="Boards/Othello6-v1",
    env_config=EnvConfig(options={"opponent": "minimax:6", "self_play": True, "opening": 8}),
    agent=AlphaZeroConfig(
        net=ResNetConfig(channels=32, blocks=2),
        lr=Ramp(3e-3, 2e-4, 400_000),
        search=SearchConfig(c_scale=0.25),
        simulations=32,
        fast_simulations=8,
        full_share=0.25,
        buffer_size=200_000,
        window=Ramp(20_000, 200_000, 400_000),
        update_every=256,
        replay_ratio=1 / 32,
    ),
    num_envs=256,
    steps=400_000,
    eval_episodes=40,
)
"""AlphaZero on Othello 6 x 6, 400,000 moves of self-play with 8 or 32 simulations a move.

The score is against minimax of depth 6, with 100 simulations a move, first and second in turn: 1 wins every game.
"""
