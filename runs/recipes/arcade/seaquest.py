"""Seaquest of the arcade."""

from agents.dqn import DQNConfig
from runs.recipes.arcade import shared

GAME = "Seaquest"

arcade_seaquest_dqn = shared.value_learner(GAME, DQNConfig)
"""DQN on the arcade's Seaquest, a million steps.

Published: the DQN of the ARQ paper, 38.
"""

arcade_seaquest_rainbow = shared.rainbow(GAME)
"""Rainbow on the arcade's Seaquest, a million steps, with the values tuned on Space Invaders.

Published: the DQN of the ARQ paper, 38.
"""

arcade_seaquest_pqn = shared.pqn(GAME)
"""PQN on the arcade's Seaquest, 10 million steps on one core.

Published: the DQN of the ARQ paper, 38.
"""

arcade_seaquest_ppo = shared.ppo(GAME, layer_norm=True, sample=False)
"""PPO on the arcade's Seaquest, two million steps.

Stable-Baselines3's PPO reached 6.0 with the same budget (three seeds, 18 minutes).
"""
