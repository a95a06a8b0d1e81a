"""`rl bench`: speed and memory beside Stable-Baselines3, in one run on one machine.

Training speed is measured end to end: SB3 as its documentation shows it, on its own environments and wrappers; ours
with the same hyperparameters, in float32, with as many threads for PyTorch. The environments are each side's own, and
so are their threads: see `ATARI`. The two take turns, five times after a warm-up, and every repeat is reported. A name
that ends in `_fastest` is ours in its fastest setting, and says so.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rl.errors import unknown

REPEATS = 5
GAMES = ("Pong", "Breakout", "SpaceInvaders", "Seaquest", "Qbert", "MsPacman", "Enduro", "MontezumaRevenge")


ATARI = (
    "PyTorch has {threads} threads on both sides; besides, each of our consoles steps in a C++ thread of its own, and "
    "coming games start in the background, while SB3's DummyVecEnv steps its consoles in turn in the main thread"
)
"""What stands beside a speed on Atari: only part of the ratio is the learner's."""


@dataclass(frozen=True)
class Duel:
    """A training that both sides do."""

    agent: str
    env: str
    steps: int
    """Of one repeat; enough that updates are most of it."""
    source: Literal["sb3", "zoo"] = "sb3"
    """Whose hyperparameters: SB3's defaults or the RL Zoo's."""
    settings: tuple[str, ...] = ()
    """Fields of ours that differ, for the fastest setting."""
    threads: int = 1
    """PyTorch's, on both sides."""


TRAINING: dict[str, Duel] = {
    "cartpole_dqn": Duel("dqn", "CartPole-v1", 10_000),
    "cartpole_dqn_zoo": Duel("dqn", "CartPole-v1", 10_000, "zoo"),
    "cartpole_ppo_zoo": Duel("ppo", "CartPole-v1", 20_000, "zoo"),
    "cartpole_a2c_zoo": Duel("a2c", "CartPole-v1", 20_000, "zoo"),
    "pong_dqn": Duel("dqn", "ALE/Pong-v5", 1_000, "zoo", ("learning_starts=200",), 2),
    "pong_ppo": Duel("ppo", "ALE/Pong-v5", 4_096, "zoo", (), 2),
}


def bench(names: Sequence[str] | None = None, *, repeats: int = REPEATS, quiet: bool = True) -> dict[str, Any]:
    """Measures what is named, or everything: a list `results` of name, unit, ours, peer, ratio, repeats.

    `ours` and `peer` are medians, `ratio` is how many times better ours is (the median of the pairs), `repeats` holds
    every pair. Where SB3 has nothing to measure against, peer and ratio are None. A training also has `settings` and a
    `note`, empty where the two differ in nothing but the library.
    """
    everything: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        **{name: lambda d=duel, n=name: _training(n, d, repeats) for name, duel in TRAINING.items()},  # type: ignore[misc]
        "replay": _replay,
        "arcade": _arcade,
    }
    for name in names or ():
        if name not in everything:
            raise unknown("benchmark", name, everything)
    results = []
    for name in names or everything:
        for result in everything[name]():
            results.append(result)
            if not quiet:
                print(_line(result), file=sys.stderr, flush=True)
    return {"results": results, "machine": _machine()}


def _line(r: dict[str, Any]) -> str:
    beside = "" if r["peer"] is None else f", SB3 {r['peer']:,.4g}: {r['ratio']:.2f}x"
    note = f" ({r['note']})" if r.get("note") else ""
    return f"{r['name']}: {r['ours']:,.4g} {r['unit']}{beside}{note}"


def _machine() -> dict[str, Any]:
    from runs.record import machine

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**machine(), "load": load}


def _training(name: str, duel: Duel, repeats: int) -> Iterator[dict[str, Any]]:
    import envs
    from runs.peers import is_atari, sb3_speed

    pairs = []
    for repeat in range(repeats + 1):  # the first is the warm-up
        theirs = sb3_speed(duel.agent, duel.env, duel.steps, source=duel.source, seed=repeat, threads=duel.threads)[
            "steps_per_second"
        ]
        ours = our_speed(duel, seed=repeat)
        if repeat:
            pairs.append({"ours": round(ours, 1), "peer": round(theirs, 1)})
    yield {
        "name": name,
        "unit": "steps/s",
        "ours": statistics.median(p["ours"] for p in pairs),
        "peer": statistics.median(p["peer"] for p in pairs),
        "ratio": statistics.median(p["ours"] / p["peer"] for p in pairs),
        "repeats": pairs,
        "settings": {"hyperparameters": duel.source, "threads": duel.threads, "ours": list(duel.settings)},
        "note": ATARI.format(threads=duel.threads) if is_atari(envs.spec(duel.env)) else "",
    }


def our_speed(duel: Duel, seed: int) -> float:
    """Steps a second of our training with SB3's hyperparameters, evaluations and saves left out."""
    from runs.train import train

    run = matched_run(duel)
    with tempfile.TemporaryDirectory() as folder:
        result = train(run, seed=seed, settings=duel.settings, out=Path(folder) / "run", device="cpu")
    return float(result["steps_per_second"])


def matched_run(duel: Duel) -> Any:
    """Our run with the peer's hyperparameters."""
    import agents
    import envs
    from runs.peers import apply_fields, build_peer, ours_like
    from runs.recipe import Run

    peer = build_peer(duel.source, duel.agent, envs.spec(duel.env))
    fields, run_fields, _ = ours_like(peer, duel.steps)
    config, _ = apply_fields(agents.config(duel.agent), {**fields, "precision": "fp32"})
    run = Run(env=duel.env, agent=config, steps=duel.steps, eval_episodes=1, eval_max_steps=1, threads=duel.threads)
    return dataclasses.replace(run, **run_fields)


def _replay() -> Iterator[dict[str, Any]]:
    """Memory of a million rows and the time of a batch, on random play of eight games."""
    from rl.frames import benchmark

    for game in GAMES:
        row = benchmark(game, _frames(f"ALE/{game}-v5"), rows=100_000)
        common = {"peer": None, "ratio": None, "repeats": [row]}
        yield {"name": f"replay_{game}_memory", "unit": "GB a million rows", "ours": row["gb_per_million"], **common}
        yield {"name": f"replay_{game}_sample", "unit": "ms a batch of 32", "ours": row["sample_ms"], **common}


def _frames(env: str) -> Iterator[np.ndarray]:
    import envs

    world, rng = envs.make(env, num_envs=4), np.random.default_rng(0)
    actions = world.spec.action.nvec[0]
    ts = world.reset()
    while True:
        yield ts.obs["obs"]
        ts = world.step(rng.integers(0, actions, 4))


def _arcade() -> Iterator[dict[str, Any]]:
    from envs.arcade.bench import benchmark

    for game in ("Breakout", "Asterix", "Freeway", "Seaquest", "SpaceInvaders"):
        speeds = [benchmark(game) for _ in range(REPEATS)]
        yield {
            "name": f"arcade_{game}",
            "unit": "steps/s on one core, 1,024 environments",
            "ours": statistics.median(speeds),
            "peer": None,
            "ratio": None,
            "repeats": [round(s) for s in speeds],
        }
