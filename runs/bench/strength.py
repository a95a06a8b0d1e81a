"""Strength on the six sets of Connect Four positions: a run's network alone and with search, beside fixed players.

python -m runs.bench.strength RUN > runs/results/strength/NAME.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.predict import first_row
from envs.boards.judge import strength
from envs.boards.opponents import Policy
from envs.boards.positions import SETS, load
from rl.errors import InputError
from runs.training.evaluation import load_run


def player(agent: Any, simulations: int) -> Policy:
    """The agent's moves by a search of `simulations` without noise; 0 is the network alone."""

    def choose(observations: np.ndarray, legal: np.ndarray) -> np.ndarray:
        row = first_row(agent.spec, {"obs": observations}, np.ones(len(observations), bool))
        count = np.full(len(observations), simulations)
        return agent.plan(row, count, np.random.default_rng(0), noise=False).action  # type: ignore[no-any-return]

    return choose


def measure(
    run: str | Path, simulations: Sequence[int] = (0, 100), sets: Sequence[str] = tuple(SETS)
) -> dict[str, Any]:
    """For each set of positions and number of simulations, the `Strength` of a run's agent as plain JSON.

    Raises `InputError` if the agent does not plan, or not on Connect Four.
    """
    agent, settings = load_run(run, device="cpu")
    if settings.env != "Boards/ConnectFour-v1" or not hasattr(agent, "plan"):
        raise InputError(f"{run}: the positions are of Connect Four, for agents that plan, not {settings.env}")
    found = {
        name: {str(many): dataclasses.asdict(strength(player(agent, many), load(name))) for many in simulations}
        for name in sets
    }
    return {"schema": 1, "env": settings.env, "agent": agent.name, "step": agent.step, "sets": found}


def table(measured: dict[str, Any]) -> str:
    """The result as lines: wrong moves where one exists, and best moves where not all are equal."""
    lines = []
    for name, by_search in measured["sets"].items():
        for many, s in by_search.items():
            parts = f"wrong {s['wrong']:.1%} (random {s['wrong_random']:.1%}), optimal {s['optimal']:.1%}"
            lines.append(f"{name:14} {many:>4} simulations  {parts} (random {s['optimal_random']:.1%})")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="strength", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", help="a run folder or a checkpoint")
    parser.add_argument("--simulations", type=int, nargs="+", default=[0, 100])
    options = parser.parse_args()
    measured = measure(options.run, options.simulations)
    print(table(measured), file=sys.stderr)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
