"""Breakout of the arcade."""

from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.qrdqn import QRDQNConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipes.arcade import shared

GAME = "Breakout"

arcade_breakout_dqn = shared.value_learner(GAME, DQNConfig)
"""DQN on the arcade's Breakout, a million steps.

Published: the benchmark's own DQN, 11 +- 2 after a million steps (one run).
"""

arcade_breakout_c51 = shared.value_learner(GAME, C51Config, v_min=0.0, v_max=40.0)
"""C51 on the arcade's Breakout, a million steps.

Published: the benchmark's own DQN, 11 +- 2 after a million steps (one run).
"""

arcade_breakout_qrdqn = shared.value_learner(GAME, QRDQNConfig, quantiles=51)
"""QR-DQN on the arcade's Breakout, a million steps.

Published: the benchmark's own DQN, 11 +- 2 after a million steps (one run).
"""

arcade_breakout_iqn = shared.value_learner(GAME, IQNConfig, taus=32, next_taus=32, act_taus=32)
"""IQN on the arcade's Breakout, a million steps.

Published: the benchmark's own DQN, 11 +- 2 after a million steps (one run).
"""

arcade_breakout_rainbow = shared.rainbow(GAME, NetConfig(layer_norm=True))
"""Rainbow on the arcade's Breakout, a million steps, tuned on Space Invaders but with 128 hidden units.

Published: the DQN of the ARQ paper, 27.
"""

arcade_breakout_pqn = shared.pqn(GAME)
"""PQN on the arcade's Breakout, 10 million steps on one core.

Published: the DQN of the ARQ paper, 27.
"""

arcade_breakout_ppo = shared.ppo(GAME, sample=False)
"""PPO on the arcade's Breakout, two million steps.

Stable-Baselines3's PPO reached 21.1 with the same budget (three seeds, 18 minutes).
"""

arcade_breakout_ppo_10m = shared.ppo_10m(GAME, layer_norm=True, entropy_cost=Ramp(0.01, 0.0, 10_000_000))
"""PPO on the arcade's Breakout, 10 million steps on one core, in gymnax's setting.

Published: gymnax's PPO checkpoint, 28. Without layer normalisation three seeds reached 28.2, 27.5
and 24.0; with a constant entropy cost drawn actions missed the ball (26.4).
"""
