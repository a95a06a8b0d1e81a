"""Benchmarks of single parts: updates, replay sampling, the GPU."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Literal

import numpy as np
import psutil

from rl.columns import BLOCK, Store, make_column
from rl.errors import InputError


def benchmark(
    game: str,
    frames: Iterable[np.ndarray],
    *,
    rows: int = 1_000_000,
    store: Store = "compressed",
    batch: int = 32,
    stack: int = 4,
    n: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Fills a column of `rows` rows from `frames` (each [N, *shape], as an environment shows them) and samples it.

    Returns one row of a table: game, rows, bytes_per_row, gb_per_million, encode_us (a row), sample_ms (a batch, both
    stacks of `batch` n-step windows) and rss_mb (this process, when full). Times are medians, over spans of eight rows
    and over 200 batches, so that a busy machine distorts them less.
    """
    stream = iter(frames)
    example = next(stream)
    num_envs, slots = len(example), rows // len(example)
    column = make_column(example.shape[1:], example.dtype, slots, num_envs, store)
    writes, reads, held = np.zeros(slots), np.zeros(200), 0
    for slot, shown in zip(range(slots), chain([example], stream)):
        shown = np.array(shown)  # out of the timing: a frame read from a file is fetched here
        start = time.perf_counter()
        column.write(slot, shown)
        writes[slot] = time.perf_counter() - start
        held = slot + 1
    if held < max(BLOCK, stack + n):
        raise InputError(f"the benchmark needs at least {max(BLOCK, stack + n)} rows an environment, got {held}")
    rng, back = np.random.default_rng(seed), np.arange(1 - stack, 1)
    for i in range(len(reads)):
        t, env = rng.integers(stack - 1, held - n, batch), rng.integers(num_envs, size=batch)
        times = np.concatenate([t, t + n])[:, None] + back  # [2B, stack]
        envs = np.broadcast_to(np.concatenate([env, env])[:, None], times.shape)
        start = time.perf_counter()
        column.read(times, envs)
        reads[i] = time.perf_counter() - start
    spans = writes[: held // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1)
    return {
        "game": game,
        "rows": held * num_envs,
        "bytes_per_row": column.nbytes / (held * num_envs),
        "gb_per_million": column.nbytes / (held * num_envs) / 1e3,
        "encode_us": float(np.median(spans)) / num_envs * 1e6,
        "sample_ms": float(np.median(reads)) * 1e3,
        "rss_mb": psutil.Process().memory_info().rss / 1e6,
    }


GAMES = ("Pong", "Breakout", "SpaceInvaders", "Seaquest", "Qbert", "MsPacman", "Enduro", "MontezumaRevenge")


def measure_updates(repeats: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of one sample-and-learn of DQN's siblings beside DQN's own, in turns, with one thread."""
    import torch

    torch.set_num_threads(1)
    names = ("dqn", "c51", "qrdqn", "iqn", "rainbow")
    agents = {name: _learner(name) for name in names}
    for agent in agents.values():
        _update_ms(agent)  # the warm-up
    rounds = [{name: round(_update_ms(agent), 3) for name, agent in agents.items()} for _ in range(repeats)]
    for name in names:
        peers = {} if name == "dqn" else {"against": "DQN"}
        yield {
            "name": f"update_{name}",
            "unit": "ms an update",
            "ours": statistics.median(r[name] for r in rounds),
            "peer": statistics.median(r["dqn"] for r in rounds) if peers else None,
            "ratio": statistics.median(r["dqn"] / r[name] for r in rounds) if peers else None,
            "repeats": [{"ours": r[name], "peer": r["dqn"]} for r in rounds],
            **peers,
            "note": "sampling and learning a batch of 32 on the arcade's Space Invaders, defaults of each agent",
        }


def _learner(
    name: str, game: str = "Arcade/SpaceInvaders-v1", steps: int = 8_000, device: str = "cpu", **fields: Any
) -> Any:
    """An agent with a replay of random play of a game."""
    import agents
    import envs
    from rl.loop import interact

    env = envs.make(game, num_envs=4, seed=0, stream="train")
    fields = {"buffer_size": 10_000, "learning_starts": 100_000, "batch_size": 32, **fields}
    agent = agents.build(
        dataclasses.replace(agents.config(name), **fields), env.spec, num_envs=4, seed=0, device=device
    )
    for _ in interact(env, agent, steps):
        pass
    return agent


def _update_ms(agent: Any, updates: int = 100) -> float:
    begun = time.perf_counter()
    for _ in range(updates):
        agent.learn(agent.sample())
    return (time.perf_counter() - begun) / updates * 1e3


def measure_gpu(repeats: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of an update on a GPU: as one CUDA graph beside kernel by kernel, in bfloat16 beside float32."""
    from rl.networks import NetConfig

    pixels: dict[str, Any] = {"game": "ALE/Pong-v5", "stack": 4, "net": NetConfig(encoder="nature")}
    players: dict[str, tuple[str, dict[str, Any]]] = {
        "dqn": ("dqn", {}),
        "rainbow": ("rainbow", {}),
        "iqn": ("iqn", {}),
        "dqn_pong": ("dqn", pixels),
        "btr_lite_pong": ("btr_lite", {"game": "ALE/Pong-v5", "batch_size": 256}),
    }
    ways = {
        "graph": {"precision": "fp32"},
        "launched": {"precision": "fp32", "cuda_graph": "off"},
        "bf16": {"precision": "bf16"},
    }
    for name, (agent, fields) in players.items():
        learners = {
            way: _learner(agent, steps=2_000, device="cuda", **{**fields, **settings}) for way, settings in ways.items()
        }
        rounds = _rounds(learners, _update_ms, repeats)
        note = f"sampling and learning a batch of {fields.get('batch_size', 32)}"
        yield _beside(f"gpu_update_{name}", rounds, "graph", "launched", note + "; one CUDA graph, kernel by kernel")
        yield _beside(f"gpu_update_{name}_bf16", rounds, "bf16", "graph", note + "; bfloat16, float32, in a CUDA graph")
    for batch in (256, 2_048):
        policies = {way: _policy("cuda", batch, way) for way in ("bf16", "fp32")}
        rounds = _rounds(policies, lambda policy: policy(), repeats)
        note = f"learning {batch} rows of Pong; bfloat16, float32"
        yield _beside(f"gpu_update_ppo_pong_{batch}_bf16", rounds, "bf16", "fp32", note)


def _rounds(players: dict[str, Any], measure: Callable[[Any], float], repeats: int) -> list[dict[str, float]]:
    """What `measure` returns for all players, in turns, after a warm-up."""
    for player in players.values():
        measure(player)
    return [{name: round(measure(player), 3) for name, player in players.items()} for _ in range(repeats)]


def _beside(name: str, rounds: list[dict[str, float]], ours: str, peer: str, note: str) -> dict[str, Any]:
    """A row of one of our ways beside another."""
    return {
        "name": name,
        "unit": "ms an update",
        "ours": statistics.median(r[ours] for r in rounds),
        "peer": statistics.median(r[peer] for r in rounds),
        "ratio": statistics.median(r[peer] / r[ours] for r in rounds),
        "repeats": [{"ours": r[ours], "peer": r[peer]} for r in rounds],
        "against": peer,
        "note": note,
    }


def _policy(device: str, batch: int, precision: Literal["bf16", "fp32"], rows: int = 2_048) -> Callable[[], float]:
    """A function that lets PPO learn one rollout of Pong and returns the milliseconds of an update."""
    import agents
    import envs
    from agents.ppo import PPOConfig
    from rl.loop import interact
    from rl.networks import NetConfig

    env = envs.make("ALE/Pong-v5", num_envs=16, seed=0, stream="train")
    config = PPOConfig(
        net=NetConfig(encoder="nature"),
        stack=4,
        rollout=rows // 16,
        minibatch_size=batch,
        epochs=1,
        precision=precision,
    )
    agent = agents.build(config, env.spec, num_envs=16, seed=0, device=device)
    for _ in interact(env, agent, rows + 16):
        pass
    env.close()

    def learn() -> float:
        rollout, before, begun = agent.rollout(config.rollout + 1), agent.updates, time.perf_counter()
        agent.learn(rollout)
        return (time.perf_counter() - begun) / (agent.updates - before) * 1e3

    return learn


def measure_replay() -> Iterator[dict[str, Any]]:
    """Memory of a million rows and the time of a batch, on random play of eight games."""
    for game in GAMES:
        row = benchmark(game, _frames(f"ALE/{game}-v5"), rows=100_000)
        common = {"peer": None, "ratio": None, "repeats": [row]}
        yield {"name": f"replay_{game}_memory", "unit": "GB a million rows", "ours": row["gb_per_million"], **common}
        yield {"name": f"replay_{game}_sample", "unit": "ms a batch of 32", "ours": row["sample_ms"], **common}


def measure_sampling(repeats: int) -> Iterator[dict[str, Any]]:
    """The part of DQN's update on Pong, 3-step windows of 4 compressed frames, that sampling takes; one thread."""
    import torch

    torch.set_num_threads(1)
    agent = _learner("dqn", "ALE/Pong-v5", stack=4, n_step=3, store="compressed", precision="fp32")
    _update_ms(agent, updates=5)  # the warm-up
    rounds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        drawn = [agent.sample() for _ in range(20)]
        sampled = time.perf_counter()
        for windows in drawn:
            agent.learn(windows)
        took = sampled - begun, time.perf_counter() - sampled
        rounds.append({"ours": round(took[0] / sum(took), 4), "milliseconds": round(sum(took) / 20 * 1e3, 2)})
    yield {
        "name": "sampling_pong",
        "unit": "of an update's time",
        "ours": statistics.median(r["ours"] for r in rounds),
        "peer": None,
        "ratio": None,
        "repeats": rounds,
        "note": "a batch of 32 three-step windows, four frames each, from the compressed store; update in float32",
    }


def _frames(env: str) -> Iterator[np.ndarray]:
    import envs

    world, rng = envs.make(env, num_envs=4), np.random.default_rng(0)
    actions = world.spec.action.nvec[0]
    ts = world.reset()
    while True:
        yield ts.obs["obs"]
        ts = world.step(rng.integers(0, actions, 4))
