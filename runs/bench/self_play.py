"""How fast AlphaZero plays itself at Connect Four, and how much of the time is the network.

python -m runs.bench.self_play FILE       processor time of one thread, networks untrained, no learning
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import agents
import envs
from agents.alphazero import AlphaZeroConfig
from envs import EnvConfig
from rl.device import PRECISIONS, fast_bf16
from rl.loop import interact
from rl.networks.config import ResNetConfig
from rl.search.search import SearchConfig
from runs.folder.failure import exit_status
from runs.folder.provenance import machine

CASES = (
    (64, 3, 1.0, 32),
    (64, 3, 1.0, 256),
    (64, 3, 0.25, 32),
    (64, 3, 0.25, 256),
    (32, 2, 0.25, 32),
    (32, 2, 0.25, 256),
)
"""Channels, blocks, share of searches with 32 simulations (the others have 8), games at once."""
SLOTS = 48


def measure(
    channels: int, blocks: int, full: float, games: int, precision: Literal["fp32", "bf16"] = "fp32", slots: int = SLOTS
) -> dict[str, Any]:
    """Plays `slots` moves in each of `games` games from the empty board."""
    config = AlphaZeroConfig(
        net=ResNetConfig(channels=channels, blocks=blocks),
        search=SearchConfig(c_scale=0.25),
        simulations=32,
        fast_simulations=8,
        full_share=full,
        precision=precision,
        learning_starts=10**9,
        buffer_size=10_000,
    )
    world = envs.make("Boards/ConnectFour-v1", num_envs=games, config=EnvConfig(options={"self_play": True}))
    agent: Any = agents.build(config, world.spec, num_envs=games, seed=0)
    forward, spent, asked = agent.network.forward, [0.0], [0]

    def timed(obs: dict[str, torch.Tensor]) -> Any:
        begun = time.thread_time()
        output = forward(obs)
        spent[0] += time.thread_time() - begun
        asked[0] += len(obs["obs"])
        return output

    agent.network.forward = timed
    rows = interact(world, agent, 10**9)
    next(rows)
    next(rows)  # the first search compiles
    spent[0], asked[0], moves, ended = 0.0, 0, 0, 0
    begun = time.process_time()
    for _, slot in zip(range(slots), rows, strict=False):
        moves += int(np.count_nonzero(~slot.ts.first))
        ended += int(np.count_nonzero(slot.ts.last))
    total = time.process_time() - begun
    return {
        "channels": channels,
        "blocks": blocks,
        "full_share": full,
        "games": games,
        "precision": precision,
        "moves_per_second": round(moves / total, 1),
        "games_per_second": round(ended / total, 2),
        "evaluations_per_move": round(asked[0] / moves, 2),
        "microseconds_per_evaluation": round(1e6 * spent[0] / asked[0], 1),
        "network_share": round(spent[0] / total, 3),
    }


def main() -> None:
    torch.set_num_threads(1)
    file, rows = Path(sys.argv[1]), []
    faster = fast_bf16(torch.device("cpu"))
    # bfloat16 only where the processor multiplies it faster
    for case, precision in itertools.product(CASES, PRECISIONS if faster else PRECISIONS[:1]):
        rows.append(measure(*case, precision))
        print(json.dumps(rows[-1]), flush=True)
    file.write_text(json.dumps({"schema": 1, "machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(exit_status(main))
