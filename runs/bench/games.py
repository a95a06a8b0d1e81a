"""Speed of the arcade games, beside MinAtar."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def measure_arcade(repeats: int) -> Iterator[dict[str, Any]]:
    """Steps a second beside the PyPI package minatar, in turns, and seconds until a game can be played."""
    from envs.arcade import GAMES
    from envs.arcade.bench import benchmark, first_uses

    for game in GAMES:
        pairs: list[dict[str, Any]] = [
            {"ours": round(benchmark(game, seconds=0.5)), "peer": minatar_speed(game)} for _ in range(repeats)
        ]
        peers = [p["peer"] for p in pairs if p["peer"] is not None]
        yield {
            "name": f"arcade_{game}",
            "unit": "steps/s of one core",
            "ours": statistics.median(p["ours"] for p in pairs),
            "peer": statistics.median(peers) if peers else None,
            "ratio": statistics.median(p["ours"] / p["peer"] for p in pairs) if peers else None,
            "repeats": pairs,
            "against": "minatar",
            "note": "random play with sticky actions and ramping, observations included: 1,024 environments, minatar 1",
        }
    for game in GAMES:
        for name, seconds in zip(("first", "later"), first_uses(game), strict=True):
            common = {"peer": None, "ratio": None, "repeats": [seconds]}
            yield {"name": f"arcade_{game}_{name}_use", "unit": "s of one core", "ours": seconds, **common}


def measure_pqn(repeats: int, steps: int = 300_000) -> Iterator[dict[str, Any]]:
    """Minutes that PQN on the arcade games takes, from the speed of its first steps; evaluations left out."""
    from runs.recipe import recipe_names, resolve
    from runs.training.train import train

    for recipe in (name for name in recipe_names() if name.startswith("arcade_") and name.endswith("_pqn")):
        budget = resolve(recipe).steps
        run = resolve(recipe, steps=steps, settings=["eval_episodes=1", "eval_max_steps=1"])
        rounds = []
        for seed in range(min(repeats, 3) + 1):  # the first is the warm-up
            with tempfile.TemporaryDirectory() as folder:
                done = train(run, seed=seed, out=Path(folder) / "run", device="cpu")
            if seed:
                speed = round(done["steps_per_second"], 1)
                rounds.append({"ours": round(budget / speed / 60, 2), "steps_per_second": speed})
        yield {
            "name": recipe,
            "unit": f"minutes for {budget:,} steps",
            "ours": statistics.median(r["ours"] for r in rounds),
            "peer": None,
            "ratio": None,
            "repeats": rounds,
            "note": f"from trainings of {steps:,} steps",
        }


def minatar_speed(game: str, seconds: float = 0.5) -> int | None:
    """Steps a second of minatar's game in random play, observations included; None where it is not installed."""
    from envs.arcade import GAMES

    try:
        from minatar import Environment
    except ImportError:
        return None
    env = Environment(GAMES[game])
    actions = np.random.default_rng(0).choice(env.minimal_action_set(), 1024).tolist()
    env.reset()
    steps, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) < seconds:
        for action in actions:
            if env.act(action)[1]:
                env.reset()
            env.state()
        steps += len(actions)
    return round(steps / elapsed)
