"""What `mcts` scores without training, and the processor time of a move.

python -m runs.bench.planning runs/results/planning/mcts.json [ENV...]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import agents
import envs
from agents.mcts import MCTSConfig
from runs.folder.failure import exit_status
from runs.folder.provenance import machine
from runs.recipe import Run
from runs.training.evaluation import play_games

ROWS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("CartPole-v1", 2, {"simulations": 50}),
    ("CartPole-v1", 1, {"simulations": 200}),
    ("FrozenLake-v1", 10, {"simulations": 400, "games": 30, "gamma": 1.0}),
    ("Taxi-v4", 10, {"simulations": 200, "games": 5}),
    ("MountainCar-v0", 2, {"simulations": 50, "hold": 30, "rollout_steps": 150, "gamma": 1.0}),
    ("Acrobot-v1", 1, {"simulations": 20, "hold": 10, "rollout_steps": 60}),
    ("Arcade/Breakout-v1", 3, {"simulations": 100, "games": 10}),
    ("Arcade/Freeway-v1", 1, {"simulations": 25}),
)
"""Environment, episodes, and the fields that are not the default."""


def measure(env: str, episodes: int, fields: dict[str, Any]) -> dict[str, Any]:
    """The score of `episodes` games from the evaluation's seed 0, and milliseconds of processor time a move."""
    config = dataclasses.replace(MCTSConfig(), **fields)
    agent = agents.build(config, envs.spec(env), num_envs=1, seed=0)
    run = Run(env=env, agent=config, steps=1)
    begun = time.process_time()
    score = play_games(agent, run, episodes=episodes, seed=0, sample=False)
    spent = time.process_time() - begun
    return {
        **fields,
        "episodes": episodes,
        "mean": score.mean,
        "returns": score.returns,
        "optimum": score.optimum,
        "moves": sum(score.lengths),
        "cpu_ms_per_move": round(1000 * spent / sum(score.lengths), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="planning", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path, help="results, kept for the environments that are not played")
    parser.add_argument("envs", nargs="*", help="default: all of the table")
    options = parser.parse_args()
    known = {env for env, *_ in ROWS}
    if unknown_ones := set(options.envs) - known:
        parser.error(f"{', '.join(unknown_ones)}: choose from {', '.join(sorted(known))}")
    for env, episodes, fields in ROWS:
        if options.envs and env not in options.envs:
            continue
        row = measure(env, episodes, fields)
        rows: dict[str, Any] = json.loads(options.file.read_text())["rows"] if options.file.exists() else {}
        rows[f"{env}, {fields['simulations']} simulations"] = row
        found = {"schema": 1, "machine": machine(), "rows": dict(sorted(rows.items()))}
        options.file.parent.mkdir(parents=True, exist_ok=True)
        options.file.write_text(json.dumps(found, indent=1) + "\n")
        print(env, json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
