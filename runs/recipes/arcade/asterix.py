"""Asterix of the arcade."""

from agents.dqn import DQNConfig
from runs.recipes.arcade import shared

GAME = "Asterix"

arcade_asterix_dqn = shared.value_learner(GAME, DQNConfig)
"""DQN on the arcade's Asterix, a million steps.

Published: the DQN of the ARQ paper, 13.6.
"""

arcade_asterix_rainbow = shared.rainbow(GAME)
"""Rainbow on the arcade's Asterix, a million steps, with the values tuned on Space Invaders.

Published: the DQN of the ARQ paper, 13.6.
"""

arcade_asterix_pqn = shared.pqn(GAME)
"""PQN on the arcade's Asterix, 10 million steps on one core.

Published: the DQN of the ARQ paper, 13.6.
"""

arcade_asterix_ppo = shared.ppo(GAME)
"""PPO on the arcade's Asterix, two million steps.

Stable-Baselines3's PPO reached 10.3 with the same budget (three seeds, 18 minutes).
"""

arcade_asterix_ppo_10m = shared.ppo_10m(GAME)
"""PPO on the arcade's Asterix, 10 million steps on one core, in gymnax's setting.

Published: gymnax's PPO checkpoint, 15.
"""
