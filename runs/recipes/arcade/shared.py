"""What the recipes of the arcade's five games share.

Games have sticky actions of 0.1 and ramping difficulty, and last at most 5,000 steps, unless a function says otherwise.
"""

from typing import Any

from agents.c51 import C51Config
from agents.ppo import PPOConfig
from agents.pqn import PQNConfig
from envs import EnvConfig
from rl.networks import NetConfig
from rl.schedules import Ramp
from runs.recipe import Run


def value_learner(game: str, config: Any, **own: Any) -> Run:
    """A million steps of DQN or a relative, with the values of Revisiting Rainbow (Obando-Ceron & Castro 2021)."""
    values = {"lr": 2.5e-4, "adam_eps": 3.125e-4, "epsilon": Ramp(1.0, 0.01, 250_000), **own}
    return Run(
        env=f"Arcade/{game}-v1",
        env_config=EnvConfig(max_steps=5_000),
        agent=config(
            batch_size=32,
            buffer_size=100_000,
            learning_starts=1_000,
            replay_ratio=0.25,
            update_every=4,
            target_every=250,
            **values,
        ),
        steps=1_000_000,
        num_envs=4,
        eval_episodes=100,
        log_every=10_000,
    )


def rainbow(game: str, net: NetConfig = NetConfig(hidden=(256,), layer_norm=True)) -> Run:  # noqa: B008
    """A million steps of Rainbow, tuned on Space Invaders."""
    return value_learner(
        game,
        C51Config,
        net=net,
        v_min=0.0,
        v_max=40.0,
        initial=0.0,
        double=True,
        dueling=True,
        noisy=True,
        n_step=3,
        prioritized=True,
        priority_exponent=0.5,
        importance=Ramp(0.4, 1.0, 1_000_000),
        epsilon=0.0,
        lr=Ramp(3e-4, 3e-5, 1_000_000),
        adam_eps=1.5e-5,
    )


def pqn(game: str) -> Run:
    """Ten million steps of PQN on one core."""
    return Run(
        env=f"Arcade/{game}-v1",
        env_config=EnvConfig(max_steps=5_000),
        agent=PQNConfig(
            net=NetConfig(layer_norm=True),
            gamma=0.99,
            q_lambda=0.65,
            rollout=32,
            epochs=2,
            minibatches=32,
            lr=Ramp(5e-4, 0.0, 10_000_000),
            epsilon=Ramp(1.0, 0.05, 1_000_000),
        ),
        steps=10_000_000,
        num_envs=128,
        eval_episodes=100,
        log_every=100_000,
        threads=1,
    )


def ppo(game: str, *, layer_norm: bool = False, sample: bool = True) -> Run:
    """Two million steps of PPO. `sample`: evaluation draws the actions instead of taking the likeliest."""
    return Run(
        env=f"Arcade/{game}-v1",
        env_config=EnvConfig(max_steps=5_000),
        agent=PPOConfig(
            net=NetConfig(orthogonal=True, layer_norm=layer_norm),
            gamma=0.99,
            rollout=128,
            minibatch_size=256,
            epochs=4,
            lr=Ramp(1e-3, 0.0, 2_000_000),
            entropy_cost=0.01,
        ),
        steps=2_000_000,
        num_envs=64,
        eval_episodes=100,
        eval_sample=sample,
        log_every=50_000,
    )


def ppo_10m(game: str, *, max_steps: int = 1_000, layer_norm: bool = False, entropy_cost: float | Ramp = 0.01) -> Run:
    """Ten million steps of PPO on one core, in gymnax's setting: no sticky actions, games of at most `max_steps`."""
    return Run(
        env=f"Arcade/{game}-v1",
        env_config=EnvConfig(max_steps=max_steps, options={"sticky_action_prob": 0.0}),
        agent=PPOConfig(
            net=NetConfig(orthogonal=True, layer_norm=layer_norm),
            gamma=0.99,
            rollout=128,
            minibatch_size=512,
            epochs=3,
            lr=Ramp(1e-3, 0.0, 10_000_000),
            entropy_cost=entropy_cost,
        ),
        steps=10_000_000,
        num_envs=64,
        eval_episodes=100,
        eval_sample=True,
        log_every=100_000,
        threads=1,
    )
