"""Search against no search: AlphaZero, DQN, PPO and PQN learn tic-tac-toe by playing themselves, for equal time.

`python -m runs.comparing.studies.search_or_not FILE [--agents A,B] [--seeds 0,1,2]` trains each for `SECONDS` seconds
of processor time and adds its strength to FILE: the share of wrong moves in all positions in which a wrong move exists,
against perfect play (`envs.boards.judge`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from envs.boards.judge import strength, tic_tac_toe
from envs.boards.opponents import Policy
from runs.bench.strength import player
from runs.folder.provenance import machine
from runs.training.train import session

SECONDS = 20.0
QUIET = ["eval_every=1000000000", "save_every=1000000000", "eval_episodes=2"]
SELF = ["env.options.opponent=self"]
AGENTS: dict[str, tuple[str, int, list[str]]] = {
    "alphazero": ("tic_tac_toe_alphazero", 64, ["agent.lr=3e-3:1e-4:4000"]),
    "dqn": ("Boards/TicTacToe-v1", 16, SELF),
    "ppo": ("Boards/TicTacToe-v1", 64, SELF),
    "pqn": ("Boards/TicTacToe-v1", 64, SELF),
}
"""Agent -> recipe or environment, number of games at once, settings."""


def greedy(agent: Any) -> Policy:
    """The network's own best legal moves."""

    def choose(observations: np.ndarray, legal: np.ndarray) -> np.ndarray:
        return np.asarray(agent.predict(observations, deterministic=True, action_masks=legal)[0], np.int64)

    return choose


def trained(name: str, seed: int) -> dict[str, Any]:
    """Trains one agent for the time and judges it, by its network alone and, if it plans, by searches."""
    recipe, many, settings = AGENTS[name]
    with tempfile.TemporaryDirectory() as folder:
        loop = session(
            recipe,
            agent=None if recipe.endswith(name) else name,
            seed=seed,
            steps=10**8,
            num_envs=many,
            settings=[*QUIET, *settings],
            out=Path(folder) / "run",
        )
        begun, spent, agent, step = time.process_time(), 0.0, None, 0
        for slot in loop:
            agent, step = slot.agent, slot.step
            spent = time.process_time() - begun
            if step and spent >= SECONDS:
                break
        assert agent is not None
        players = {"0": player(agent, 0), "100": player(agent, 100)} if hasattr(agent, "plan") else {"0": greedy(agent)}
        judged = {many: dataclasses.asdict(strength(choose, tic_tac_toe())) for many, choose in players.items()}
        loop.close()
    return {"agent": name, "seed": seed, "moves": step, "cpu_seconds": round(spent, 1), "simulations": judged}


def main() -> None:
    parser = argparse.ArgumentParser(prog="search_or_not", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--agents", default=",".join(AGENTS))
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        for name in options.agents.split(","):
            row = trained(name, seed)
            rows = json.loads(options.file.read_text())["rows"] if options.file.exists() else []
            rows = [old for old in rows if (old["agent"], old["seed"]) != (name, seed)] + [row]
            rows.sort(key=lambda one: (one["agent"], one["seed"]))
            found = {"schema": 1, "env": "Boards/TicTacToe-v1", "machine": machine(), "rows": rows}
            options.file.write_text(json.dumps(found, indent=1) + "\n")
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
