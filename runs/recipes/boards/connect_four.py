"""Connect Four (Boards/ConnectFour-v1)."""

from __future__ import annotations

from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run
from runs.recipes.boards.shared import alphazero, ntuple

connect_four_alphazero = alphazero(
    "Boards/ConnectFour-v1",
    "minimax:5",
    opening=14,
    steps=600_000,
    rows=400_000,
    replay_ratio=1 / 16,
    lookahead=4,
    solve=1_000,
)
"""AlphaZero on Connect Four, 600,000 moves of self-play with 8 or 32 simulations a move; endings are solved.

The score is against minimax of depth 5, with 100 simulations a move, in games that begin after four random moves: 1
wins every game.
"""

connect_four_ntuple = ntuple(
    "Boards/ConnectFour-v1", "minimax:5", opening=14, steps=90_000_000, tuples=400, depth=3, lookahead=4, solve=10_000
)
"""An n-tuple network on Connect Four, 90 million moves of self-play by the value after each move.

It is played and scored as `connect_four_alphazero`: by a search of 100 simulations a move.
"""

connect_four_ppo = Run(
    env="Boards/ConnectFour-v1",
    env_config=EnvConfig(options={"opponent": "self:minimax:2", "opening": 6, "eval_opening": 4}),
    agent=PPOConfig(
        net=NetConfig(encoder="mlp", hidden=(256, 256), orthogonal=True),  # one layer of convolutions stays weaker
        gamma=0.99,
        rollout=64,
        minibatch_size=512,
        epochs=3,
        lr=Ramp(1e-3, 0.0, 10_000_000),
        entropy_cost=0.03,
    ),
    steps=10_000_000,
    num_envs=128,
    eval_episodes=100,
    log_every=100_000,
    threads=1,
)
"""PPO learns Connect Four by playing itself for ten million moves, and loses most games to minimax of depth 2.

Training begins after six random moves, evaluation after four. Without them it learns one line of play, and a million
moves teach as much as five million.
"""
