"""What the recipes of the larger boards have in common."""

from __future__ import annotations

from agents.alphazero import AlphaZeroConfig
from agents.ntuple import NTupleConfig
from envs import EnvConfig
from rl.networks.config import ResNetConfig
from rl.schedules import Ramp
from rl.search.search import SearchConfig
from runs.recipe import Run


def alphazero(
    env: str,
    opponent: str,
    *,
    opening: int,
    steps: int,
    rows: int,
    replay_ratio: float = 1 / 32,
    lookahead: int = 0,
    solve: int = 0,
) -> Run:
    """Self-play for `steps` moves, sampled from the newest 20,000 to `rows` rows.

    Evaluations play 100 games against `opponent`, each after four random moves.
    """
    agent = AlphaZeroConfig(
        net=ResNetConfig(channels=32, blocks=2),
        lr=Ramp(3e-3, 2e-4, steps),
        search=SearchConfig(c_scale=0.25, lookahead=lookahead, solve=solve),  # early values are noise: 1.0 follows them
        simulations=32,
        fast_simulations=8,
        full_share=0.25,
        buffer_size=rows,
        window=Ramp(20_000, rows, steps),
        update_every=256,
        replay_ratio=replay_ratio,
    )
    options = {"opponent": opponent, "self_play": True, "opening": opening, "eval_opening": 4}
    return Run(
        env=env, env_config=EnvConfig(options=options), agent=agent, num_envs=256, steps=steps, eval_episodes=100
    )


def ntuple(
    env: str,
    opponent: str,
    *,
    opening: int,
    steps: int,
    tuples: int,
    depth: int = 2,
    lookahead: int = 0,
    solve: int = 0,
) -> Run:
    """An n-tuple network that plays itself for `steps` moves. Evaluations are those of `alphazero`."""
    agent = NTupleConfig(
        tuples=tuples,
        depth=depth,
        gamma=0.99,  # a sooner win is worth more
        lr=Ramp(0.5, 0.02, steps),
        trace_lambda=0.8,
        search=SearchConfig(lookahead=lookahead, solve=solve),
    )
    options = {"opponent": opponent, "self_play": True, "opening": opening, "eval_opening": 4}
    return Run(
        env=env,
        env_config=EnvConfig(options=options),
        agent=agent,
        num_envs=1_024,
        steps=steps,
        eval_every=steps // 2,
        eval_episodes=100,
        log_every=steps // 100,
        threads=1,
    )
