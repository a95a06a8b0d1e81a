"""Bandits: each episode is a new problem of 1,000 pulls with 10 arms. The regret is a metric with a curve."""

from agents.tabular.bandit import BanditConfig
from envs import EnvConfig
from runs.recipe import Run

_SYNC = EnvConfig(vector="sync")

bandit_stationary_ucb1 = Run(
    env="Bandit/Stationary-v1", env_config=_SYNC, agent=BanditConfig(rule="ucb1"), steps=20_000, num_envs=20
)
"""UCB1 on the 10-armed testbed."""

bandit_drifting_epsilon_greedy = Run(
    env="Bandit/Drifting-v1",
    env_config=_SYNC,
    agent=BanditConfig(rule="epsilon_greedy", step_size=0.1),
    steps=20_000,
    num_envs=20,
)
"""Epsilon-greedy with a constant step size on arms that drift."""

bandit_adversarial_exp3 = Run(
    env="Bandit/Adversarial-v1", env_config=_SYNC, agent=BanditConfig(rule="exp3"), steps=20_000, num_envs=20
)
"""EXP3 against rewards that were fixed in advance to mislead."""

bandit_contextual_linucb = Run(
    env="Bandit/Contextual-v1",
    env_config=_SYNC,
    agent=BanditConfig(rule="linucb", width=0.5),
    steps=20_000,
    num_envs=20,
)
"""LinUCB on contexts whose rewards are linear."""
