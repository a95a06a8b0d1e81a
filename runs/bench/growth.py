"""How time and memory grow with environments, rows of the replay, and the width of a network.

`python -m runs.bench.growth FILE.json` measures and writes the file; docs/growth.md has its table (`table`). Times are
processor seconds of this process, which other programs on the machine hardly change.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import agents
import envs
from agents.dqn import DQNConfig
from agents.ppo import PPOConfig
from envs.config import EnvConfig
from envs.spaces import random_actions
from rl.device import keep_freed_memory
from rl.loop import interact
from rl.networks import NetConfig
from rl.replay import Replay
from rl.seeding import generator
from rl.storage import write_json
from runs.folder.provenance import machine

ENVIRONMENTS = (1, 4, 16, 64, 256, 1_024, 4_096)
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
WIDTHS = (32, 64, 128, 256, 512, 1_024, 2_048)
WIDE = 100
"""Environments whose rows fill the replays."""


def seconds(call: Callable[[], Any], least: float = 0.5) -> float:
    """Processor seconds of one call: the mean over at least `least` seconds, after a first call."""
    call()
    begun, calls = time.process_time(), 0
    while (spent := time.process_time() - begun) < least:
        call()
        calls += 1
    return spent / calls


def memory() -> int:
    return int(psutil.Process().memory_info().rss)


def environments(id: str, counts: tuple[int, ...] = ENVIRONMENTS) -> Iterator[dict[str, Any]]:
    """Microseconds a step of one environment: the stream of rows, and PPO on top of it with the same rollout."""
    for n in counts:
        before, rng = memory(), np.random.default_rng(0)
        with envs.make(id, num_envs=n, config=EnvConfig()) as env:
            row = env.reset()
            actions = random_actions(env.spec.action, n, row.mask, rng)
            alone = seconds(lambda: env.step(actions), 0.3)  # noqa: B023
            config = PPOConfig(rollout=max(16, 2_048 // n), minibatch_size=256, epochs=2)
            agent = agents.build(config, env.spec, num_envs=n, seed=0, device="cpu")
            steps = 2 * config.rollout * n
            begun = time.process_time()
            for _ in interact(env, agent, steps):
                pass
            whole = time.process_time() - begun
        yield point(n, {"rows, µs": 1e6 * alone / n, "PPO, µs": 1e6 * whole / steps}, memory() - before)


def rows(prioritized: bool, counts: tuple[int, ...] = ROWS) -> Iterator[dict[str, Any]]:
    """Microseconds to insert a row and to sample 32, in a full replay of so many rows of CartPole."""
    with envs.make("CartPole-v1", num_envs=WIDE) as env:
        first = env.reset()
        row = env.step(np.zeros(WIDE, np.int64))
        for count in counts:
            slots = count // WIDE
            replay = Replay(env.spec, WIDE, slots=slots, rng=generator(0, "replay"), prioritized=prioritized)
            begun = time.process_time()
            for t in range(slots + 2):
                replay.append(first if t % 50 == 0 else row)
            insert = (time.process_time() - begun) / ((slots + 2) * WIDE)
            sample = seconds(lambda: replay.sample(32, 3, 0.4), 0.3)  # noqa: B023
            yield point(count, {"insert, µs a row": 1e6 * insert, "sample 32, µs": 1e6 * sample}, replay.nbytes)


def widths(counts: tuple[int, ...] = WIDTHS) -> Iterator[dict[str, Any]]:
    """Milliseconds of a DQN update of 64 rows with two hidden layers of that width."""
    for width in counts:
        config = DQNConfig(net=NetConfig(hidden=(width, width)), batch_size=64, learning_starts=200, buffer_size=1_000)
        with envs.make("CartPole-v1") as env:
            agent = agents.build(config, env.spec, num_envs=1, seed=0, device="cpu")
            for _ in interact(env, agent, 300):
                pass
        size = sum(p.numel() for p in agent.network.parameters())
        yield point(width, {"update, ms": 1e3 * seconds(lambda: agent.learn(agent.sample()))}, 4 * size)  # noqa: B023


def point(x: int, times: dict[str, float], size: int) -> dict[str, Any]:
    return {"x": x, "times": {name: float(f"{value:.4g}") for name, value in times.items()}, "bytes": int(size)}


def slope(points: list[dict[str, Any]], read: Callable[[dict[str, Any]], float]) -> float | None:
    """The exponent of growth over the larger half of the sizes: 0 is constant, 1 linear. None without numbers."""
    upper = points[len(points) // 2 - 1 :]
    if len(upper) < 2 or min(map(read, upper)) <= 0:
        return None
    size, value = (np.log(np.array(x, float)) for x in ([p["x"] for p in upper], [read(p) for p in upper]))
    return round(float(np.polyfit(size, value, 1)[0]), 2)


def measure() -> dict[str, Any]:
    keep_freed_memory()
    parts = {
        "environments of CartPole": environments("CartPole-v1"),
        "environments of the arcade's Breakout": environments("Arcade/Breakout-v1"),
        "rows of a replay": rows(False),
        "rows of a prioritised replay": rows(True),
        "width of DQN's layers": widths(),
    }
    found = {}
    for name, points in parts.items():
        found[name] = list(points)
        print(name, found[name], file=sys.stderr, flush=True)
    return {"schema": 1, "machine": machine(), "results": found}


def table(result: dict[str, Any]) -> str:
    """The measurements as Markdown, with the exponent of growth below each column."""
    text = []
    for name, points in result["results"].items():
        names = list(points[0]["times"])
        lines = [f"| {name} | {' | '.join(names)} | MB |", "|---" * (len(names) + 2) + "|"]
        for p in points:
            lines.append(f"| {p['x']:,} | {' | '.join(f'{x:,.4g}' for x in p['times'].values())} | {mb(p['bytes'])} |")
        grown = [slope(points, lambda p, k=k: p["times"][k]) for k in names]  # type: ignore[misc]
        shown = ["-" if g is None else f"{g:.2f}" for g in (*grown, slope(points, lambda p: p["bytes"]))]
        text.append("\n".join([*lines, f"| exponent | {' | '.join(shown)} |"]))
    return "\n\n".join(text) + "\n"


def mb(size: int) -> str:
    return f"{size / 1e6:,.3g}"


if __name__ == "__main__":
    write_json(Path(sys.argv[1]), measure())
