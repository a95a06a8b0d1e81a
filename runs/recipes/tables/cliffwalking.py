"""CliffWalking: -1 a step, -100 for the cliff and back to the start. The shortest safe way takes 13 steps."""

from agents.tabular.dyna_q import DynaQConfig
from agents.tabular.expected_sarsa import ExpectedSarsaConfig
from agents.tabular.q_learning import QLearningConfig
from agents.tabular.sarsa import SarsaConfig
from agents.tabular.value_iteration import ValueIterationConfig
from rl.schedules import Ramp
from runs.recipe import Run

cliffwalking_value_iteration = Run(env="CliffWalking-v1", agent=ValueIterationConfig(), steps=100, log_every=10)
"""Value iteration reaches the exact optimum, -13."""

cliffwalking_q_learning = Run(env="CliffWalking-v1", agent=QLearningConfig(lr=0.5, gamma=1.0), steps=20_000)
"""Q-learning finds the shortest way, -13, along the edge of the cliff."""

cliffwalking_sarsa = Run(env="CliffWalking-v1", agent=SarsaConfig(lr=Ramp(0.5, 0.05, 20_000), gamma=1.0), steps=20_000)
"""SARSA keeps away from the cliff, because its own exploration falls down there: 17 steps.

With the book's constant step size of 0.5 the values stay noisy, and the greedy policy of two seeds of three walks in
circles.
"""

cliffwalking_expected_sarsa = Run(env="CliffWalking-v1", agent=ExpectedSarsaConfig(lr=1.0, gamma=1.0), steps=20_000)
"""Expected SARSA takes a safer way too, with the largest step size that there is."""

cliffwalking_dyna_q = Run(env="CliffWalking-v1", agent=DynaQConfig(lr=0.5, gamma=1.0), steps=3_000)
"""Dyna-Q finds the shortest way, -13, in 3,000 steps."""
