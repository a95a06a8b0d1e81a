"""A comparison with known truth, for tests of the analysis and the page: no training involved."""

from __future__ import annotations

from typing import Any

import numpy as np

FOUR = (("dqn", "ours"), ("dqn@zoo", "ours"), ("sb3:dqn", "sb3"), ("zoo:dqn", "zoo"))
TWO = (("dqn", "ours"), ("sb3:dqn", "sb3"))


def comparison(
    contenders: tuple[tuple[str, str], ...] = TWO,
    tasks: tuple[str, ...] = ("CartPole-v1",),
    seeds: int = 10,
    points: int = 20,
    gap: float = 0.12,
    spread: float = 0.05,
    alone: bool = True,
) -> dict[str, Any]:
    """Contender k reaches 1 - gap * k of the way from random to the maximum, give or take `spread` by seed."""
    rng = np.random.default_rng(0)
    low, high = 20.0, 500.0
    results = []
    for task in tasks:
        for k, (name, _) in enumerate(contenders):
            for seed in range(seeds):
                level = float(np.clip(1 - gap * k - abs(rng.normal(0, spread)), 0, 1))
                steps = np.linspace(0, 50_000, points + 1)[1:]
                pace = max(2500.0 - 400 * k, 100.0)
                curve = [[int(s), s / pace, low + (high - low) * level * (1 - np.exp(-s / 8000))] for s in steps]
                score = low + (high - low) * level
                results.append(
                    {
                        "contender": name,
                        "task": task,
                        "seed": seed,
                        "status": "ok",
                        "error": None,
                        "score": score,
                        "returns": [score] * 3,
                        "curve": curve,
                        "steps": 50_000,
                        "seconds": 20.0 + 5 * k if alone else None,
                        "cpu_seconds": 20.0 + 5 * k if alone else None,
                        "steps_per_second": pace if alone else None,
                        "peak_memory": 300 * 2**20 if alone else None,
                        "alone": alone,
                        "others": 0.0 if alone else 0.5,
                    }
                )
    config = {"lr": 2.3e-3, "hidden": [256, 256], "exploration": {"start": 1.0, "end": 0.04}}
    return {
        "schema": 1,
        "kind": "comparison",
        "command": "rl compare CartPole-v1 --agents dqn,sb3:dqn --seeds 10 --steps 50000",
        "created": "2026-11-22T20:50:00Z",
        "commit": "a4a4afa",
        "machine": {"processor": "AMD EPYC", "cores": 2},
        "versions": {"torch": "2.13.0", "stable_baselines3": "2.9.2"},
        "tasks": [
            {"env": t, "steps": 50_000, "random": low, "evaluation": "20 games, greedy.", "threshold": 475.0}
            for t in tasks
        ],
        "contenders": [
            {
                "name": name,
                "source": source,
                "tasks": {
                    t: {
                        "config": {**config, "lr": 1e-3 * (k + 1)},
                        "unmapped": ["max_grad_norm=10 has no counterpart"] if source == "sb3" else [],
                        "note": "recipe cartpole-dqn" if k == 0 else "",
                    }
                    for t in tasks
                },
            }
            for k, (name, source) in enumerate(contenders)
        ],
        "results": results,
    }


def fail(data: dict[str, Any], contender: str, seed: int, error: str) -> None:
    """Turns one result into a failed one."""
    (r,) = (r for r in data["results"] if r["contender"] == contender and r["seed"] == seed)
    r.update(status="failed", error=error, score=None, returns=[], curve=[], seconds=None)
