"""Strength against perfect play: a run's network alone and with search, beside a random player.

Connect Four's six sets of positions, and all 4,520 positions of tic-tac-toe.

python -m runs.bench.strength RUN > runs/results/strength/NAME.json
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.predict import first_row
from envs.boards.judge import strength, tic_tac_toe
from envs.boards.opponents import Policy
from envs.boards.positions import SETS, Positions, load
from rl.errors import InputError
from runs.folder.failure import exit_status
from runs.training.evaluation import load_run

POSITIONS: dict[str, dict[str, Callable[[], Positions]]] = {
    "Boards/ConnectFour-v1": {name: functools.partial(load, name) for name in SETS},
    "Boards/TicTacToe-v1": {"all": tic_tac_toe},
}
"""Environment -> name of a set -> what makes it."""


def player(agent: Any, simulations: int) -> Policy:
    """The agent's moves by a search of `simulations` without noise; 0 is the network alone."""

    def choose(observations: np.ndarray, legal: np.ndarray) -> np.ndarray:
        row = first_row(agent.spec, {"obs": observations}, np.ones(len(observations), bool))
        count = np.full(len(observations), simulations)
        return agent.plan(row, count, np.random.default_rng(0), noise=False).action  # type: ignore[no-any-return]

    return choose


def measure(
    run: str | Path,
    simulations: Sequence[int] = (0, 100),
    sets: Sequence[str] = (),
    depth: int | None = None,
    **search: int | None,
) -> dict[str, Any]:
    """For each set of positions (all if none is named) and number of simulations, the `Strength` as plain JSON.

    depth: another value than the run's own for the plies of full-width search before a leaf is valued.
    search: other values than the run's own for fields of `search`: `lookahead`, `solve`.

    Raises `InputError` if the agent does not plan, or on another game than Connect Four and tic-tac-toe.
    """
    agent, settings = load_run(run, device="cpu")
    if settings.env not in POSITIONS or not hasattr(agent, "plan"):
        known = " and ".join(POSITIONS)
        raise InputError(f"{run}: the positions are of {known}, for agents that plan, not {settings.env}")
    config: Any = agent.config
    changed = {name: value for name, value in search.items() if value is not None}
    agent.config = config = dataclasses.replace(config, search=dataclasses.replace(config.search, **changed))
    if depth is not None:
        if not hasattr(config, "depth"):
            raise InputError(f"depth is a field of ntuple, and {run} is of {agent.name}: leave it out")
        agent.config = config = dataclasses.replace(config, depth=depth)
    found = {
        name: {str(many): dataclasses.asdict(strength(player(agent, many), make())) for many in simulations}
        for name, make in POSITIONS[settings.env].items()
        if not sets or name in sets
    }
    about = {
        "agent": agent.name,
        "step": agent.step,
        "lookahead": config.search.lookahead,
        "solve": config.search.solve,
        **({"depth": config.depth} if hasattr(config, "depth") else {}),
    }
    return {"schema": 1, "env": settings.env, **about, "sets": found}


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
    for name in ("lookahead", "solve"):
        parser.add_argument(f"--{name}", type=int, help=f"search.{name} (default: the run's own)")
    parser.add_argument("--depth", type=int, help="ntuple: plies before a leaf is valued (default: the run's own)")
    options = parser.parse_args()
    searches = {"lookahead": options.lookahead, "solve": options.solve}
    measured = measure(options.run, options.simulations, depth=options.depth, **searches)
    print(table(measured), file=sys.stderr)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    sys.exit(exit_status(main))
