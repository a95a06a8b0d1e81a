"""Freeway of the arcade."""

from agents.dqn import DQNConfig
from runs.recipes.arcade import shared

GAME = "Freeway"

arcade_freeway_dqn = shared.value_learner(GAME, DQNConfig)
"""DQN on the arcade's Freeway, a million steps.

Published: the DQN of the ARQ paper, 55.9.
"""

arcade_freeway_rainbow = shared.rainbow(GAME)
"""Rainbow on the arcade's Freeway, a million steps, with the values tuned on Space Invaders.

Published: the DQN of the ARQ paper, 55.9.
"""

arcade_freeway_pqn = shared.pqn(GAME)
"""PQN on the arcade's Freeway, 10 million steps on one core.

Published: the DQN of the ARQ paper, 55.9.
"""

arcade_freeway_ppo = shared.ppo(GAME)
"""PPO on the arcade's Freeway, two million steps.

Stable-Baselines3's PPO reached 24.3 with the same budget (three seeds, 18 minutes).
"""

arcade_freeway_ppo_10m = shared.ppo_10m(GAME, max_steps=2_500)
"""PPO on the arcade's Freeway, 10 million steps on one core, in gymnax's setting.

Published: gymnax's PPO checkpoint, 58. Games last at most 2,500 steps: within 1,000 nobody crosses more
than 37 times.
"""
