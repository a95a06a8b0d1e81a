"""Configs with names of their own: known combinations of an agent's fields."""

from __future__ import annotations

from agents.c51 import C51Config
from agents.iqn import IQNConfig
from agents.r2d2 import R2D2Config
from agents.sac import SACConfig
from rl.networks import NetConfig
from rl.schedules import Ramp


def rainbow() -> C51Config:
    """Rainbow (Hessel et al. 2018): C51, double, dueling, noisy, prioritized, three steps.

    Sized for the arcade games as in Revisiting Rainbow (Obando-Ceron and Castro 2021): Adam with 1e-4, a replay of
    100,000, a new target network every 1,000 steps. The support covers discounted returns of small scores.
    """
    return C51Config(
        v_min=-10.0,
        v_max=40.0,
        double=True,
        dueling=True,
        noisy=True,
        n_step=3,
        prioritized=True,
        priority_exponent=0.5,
        epsilon=0.0,
        lr=1e-4,
        adam_eps=3.125e-4,
        batch_size=32,
        buffer_size=100_000,
        learning_starts=1_000,
        replay_ratio=0.25,
        update_every=4,
        target_every=250,
    )


def btr_lite() -> IQNConfig:
    """Beyond The Rainbow (Clark et al. 2024) for Atari on a GPU, with 64 environments.

    Wide IMPALA with spectral norm and max-pool, IQN, Munchausen, dueling, noisy, prioritized, three steps, one update
    of 256 for every 64 steps. Its exploration schedule is simpler here: epsilon stays at its end.
    """
    return IQNConfig(
        net=NetConfig(encoder="impala", width=2, spectral_norm=True, max_pool=6, hidden=()),
        head_hidden=512,
        stack=4,
        gamma=0.997,
        taus=8,
        next_taus=8,
        act_taus=8,
        munchausen=True,
        dueling=True,
        noisy=True,
        n_step=3,
        prioritized=True,
        priority_exponent=0.2,
        importance=0.2,
        epsilon=Ramp(1.0, 0.01, 2_000_000),
        eval_epsilon=0.01,
        reward_clip=1.0,
        lr=1e-4,
        adam_eps=1.95e-5,
        batch_size=256,
        buffer_size=1_048_576,
        learning_starts=200_000,
        replay_ratio=1 / 64,
        update_every=64,
        target_every=500,
    )


def drqn() -> R2D2Config:
    """DRQN (Hausknecht and Stone 2015): recurrent Q-learning from zero states, one step, uniform replay."""
    return R2D2Config(burn_in=0, length=10, period=1, stored_state=False, rescale=False)


def tqc() -> SACConfig:
    """TQC (Kuznetsov et al. 2020): SAC with 25 quantiles a critic, whose two largest the target leaves out."""
    return SACConfig(quantiles=25, dropped=2)


def crossq() -> SACConfig:
    """CrossQ (Bhatt et al. 2024): SAC with batch renormalisation, wide critics and no target network."""
    return SACConfig(critic_net=NetConfig(hidden=(1024, 1024)), batch_renorm=True, lr=1e-3, beta1=0.5, policy_delay=3)


def droq() -> SACConfig:
    """DroQ (Hiraoka et al. 2022): SAC with dropout and LayerNorm in the critics and 20 updates a step.

    The policy is updated once a step, against the critics without dropout.
    """
    return SACConfig(
        critic_net=NetConfig(hidden=(256, 256), layer_norm=True), dropout=0.01, replay_ratio=20.0, policy_delay=20
    )
