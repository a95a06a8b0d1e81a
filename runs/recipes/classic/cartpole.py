"""CartPole: balance a pole, for at most 500 points."""

from typing import Any

from agents.a2c import A2CConfig
from agents.c51 import C51Config
from agents.dqn import DQNConfig
from agents.iqn import IQNConfig
from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from agents.qrdqn import QRDQNConfig
from agents.reinforce import ReinforceConfig
from agents.sac import SACConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run

_VALUES: dict[str, Any] = {
    "gamma": 0.99,
    "lr": Ramp(1e-3, 1e-5, 50_000),
    "batch_size": 64,
    "buffer_size": 50_000,
    "learning_starts": 1_000,
    "n_step": 3,
}
"""What every value learner with a replay has in common."""

_EXPLORES = Ramp(1.0, 0.04, 8_000)

_OFTEN: dict[str, Any] = {
    "net": NetConfig(hidden=(128, 128), layer_norm=True),  # with plain layers DQN's values diverge here
    "replay_ratio": 0.5,
    "update_every": 16,
    "target_every": 64,
    "epsilon": _EXPLORES,
    **_VALUES,
}
"""DQN and the quantile learners."""

_ATOMS: dict[str, Any] = {
    "v_min": 0.0,
    "v_max": 100.0,
    "net": NetConfig(hidden=(128, 128)),
    "adam_eps": 1e-5,
    "replay_ratio": 0.25,
    "update_every": 8,
    "target_every": 50,
    "double": True,
    **_VALUES,
}
"""C51 and Rainbow."""


def _run(agent: Any) -> Run:
    return Run(env="CartPole-v1", agent=agent, steps=50_000, num_envs=4)


cartpole_dqn = _run(DQNConfig(**_OFTEN))
"""DQN balances CartPole in 50,000 steps: nine of ten recorded seeds reach 500 of 500, the tenth 498.

Published: Stable-Baselines3's RL Zoo, 500 (one seed).
"""

cartpole_c51 = _run(C51Config(**_ATOMS, epsilon=_EXPLORES))
"""C51 balances CartPole in 50,000 steps.

Published: CleanRL's C51, 481 +- 21 over the last training episodes of 500,000 steps.
"""

cartpole_rainbow = _run(
    C51Config(
        **_ATOMS,
        dueling=True,
        noisy=True,
        prioritized=True,
        priority_exponent=0.5,
        importance=Ramp(0.4, 1.0, 50_000),
        epsilon=0.0,
    )
)
"""Rainbow balances CartPole in 50,000 steps: C51, double, dueling, noisy, prioritized, 3-step.

No figure is published for this budget; the DQN recipe is the reference.
"""

cartpole_qrdqn = _run(QRDQNConfig(**_OFTEN, quantiles=32, adam_eps=1e-5, double=True))
"""QR-DQN balances CartPole in 50,000 steps.

Published: Stable-Baselines3's QR-DQN, 500 (RL Zoo, one seed) and 386 +- 64 (SB3-contrib, 3 to 5 seeds).
"""

cartpole_iqn = _run(IQNConfig(**_OFTEN, taus=16, next_taus=16, act_taus=16, adam_eps=1e-5, double=True))
"""IQN balances CartPole in 50,000 steps.

No figure is published for this budget; the DQN recipe is the reference.
"""

cartpole_pqn = Run(
    env="CartPole-v1",
    agent=PQNConfig(
        net=NetConfig(hidden=(64, 64), layer_norm=True),
        gamma=0.99,
        q_lambda=0.9,
        rollout=64,
        epochs=2,
        minibatches=16,
        lr=Ramp(1e-3, 0.0, 500_000),
        epsilon=Ramp(1.0, 0.05, 100_000),
    ),
    steps=500_000,
    num_envs=32,
    log_every=10_000,
)
"""PQN balances CartPole without a replay: 500 of 500 in 500,000 steps with nine of ten recorded seeds.

Published: CleanRL's PQN, 495 +- 7 over the last training episodes, in 50 seconds.
"""

cartpole_ppo = Run(
    env="CartPole-v1",
    agent=PPOConfig(
        gamma=0.98,
        gae_lambda=0.8,
        rollout=32,
        minibatch_size=256,
        epochs=20,
        lr=Ramp(1e-3, 0.0, 100_000),
        clip=Ramp(0.2, 0.0, 100_000),
    ),
    steps=100_000,
    num_envs=8,
)
"""PPO balances CartPole in 100,000 steps: every recorded seed is above 475 of 500.

It has the hyperparameters of Stable-Baselines3's RL Zoo. Published: the Zoo's, 500 (one seed).
"""

cartpole_a2c = Run(
    env="CartPole-v1",
    agent=A2CConfig(gae_lambda=0.95, lr=Ramp(7e-4, 0.0, 500_000), normalize_return=True),
    steps=500_000,
    num_envs=8,
)
"""A2C balances CartPole in 500,000 steps: 500 of 500 with every recorded seed.

Published: Stable-Baselines3's RL Zoo, 500 (one seed). With raw rewards and gae_lambda 1 two of ten seeds failed.
"""

cartpole_reinforce = Run(
    env="CartPole-v1",
    agent=ReinforceConfig(episodes=2, gamma=0.99, lr=Ramp(4e-3, 0.0, 200_000)),
    steps=200_000,  # one environment, so that no update cuts an episode
)
"""REINFORCE with a learned baseline balances CartPole in 200,000 steps: an average of 475 or better.

Published: SLM-Lab's REINFORCE, 483.
"""

cartpole_sac = _run(
    SACConfig(
        net=NetConfig(hidden=(128, 128), layer_norm=True),
        lr=Ramp(1e-3, 1e-5, 50_000),
        batch_size=64,
        max_grad_norm=10.0,  # an error at a fall is up to 100: unclipped, tuning seeds reached 476 and 364
        target_tau=0.01,
        entropy_share=0.05,
        n_step=3,
        replay_ratio=0.5,
        update_every=5,
        buffer_size=50_000,
        learning_starts=1_000,
    )
)
"""Discrete SAC balances CartPole in 50,000 steps: 500, 500 and 493.

Published: SLM-Lab, 406 after 200,000 steps (training average of four sessions).
"""
