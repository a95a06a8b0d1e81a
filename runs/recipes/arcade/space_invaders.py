"""Space Invaders of the arcade."""

from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.qrdqn import QRDQNConfig
from runs.recipes.arcade import shared

GAME = "SpaceInvaders"

arcade_space_invaders_dqn = shared.value_learner(GAME, DQNConfig)
"""DQN on the arcade's Space Invaders, a million steps.

Published: SB3's DQN, 14 to 26, and SB3's QR-DQN, 28 (one run each).
"""

arcade_space_invaders_c51 = shared.value_learner(GAME, C51Config, v_min=0.0, v_max=40.0)
"""C51 on the arcade's Space Invaders, a million steps.

Published: SB3's DQN, 14 to 26, and SB3's QR-DQN, 28 (one run each).
"""

arcade_space_invaders_qrdqn = shared.value_learner(GAME, QRDQNConfig, quantiles=51)
"""QR-DQN on the arcade's Space Invaders, a million steps.

Published: SB3's DQN, 14 to 26, and SB3's QR-DQN, 28 (one run each).
"""

arcade_space_invaders_iqn = shared.value_learner(GAME, IQNConfig, taus=32, next_taus=32, act_taus=32)
"""IQN on the arcade's Space Invaders, a million steps.

Published: SB3's DQN, 14 to 26, and SB3's QR-DQN, 28 (one run each).
"""

arcade_space_invaders_rainbow = shared.rainbow(GAME)
"""Rainbow on the arcade's Space Invaders, a million steps; the aim is 110 points.

Published: a Rainbow, 106 (one seed).
"""

arcade_space_invaders_pqn = shared.pqn(GAME)
"""PQN on the arcade's Space Invaders, 10 million steps on one core.

Published: the DQN of the ARQ paper, 188.
"""

arcade_space_invaders_ppo = shared.ppo(GAME)
"""PPO on the arcade's Space Invaders, two million steps.

Stable-Baselines3's PPO reached 95 with the same budget (three seeds, 18 minutes).
"""

arcade_space_invaders_ppo_10m = shared.ppo_10m(GAME)
"""PPO on the arcade's Space Invaders, 10 million steps on one core, in gymnax's setting.

Published: gymnax's PPO checkpoint, 131.
"""
