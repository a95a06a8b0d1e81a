"""`rl bench`: speed and memory beside Stable-Baselines3, in one run on one machine.

Training speed is measured end to end: SB3 as its documentation shows it, on its own environments and wrappers; ours
with the same hyperparameters, in float32, with as many threads for PyTorch. The environments are each side's own, and
so are their threads: see `ATARI`. The two take turns, five times after a warm-up, and every repeat is reported. A name
that begins with `solved_` is the time our recipe and the RL Zoo's values in SB3 take to reach a score.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rl.errors import InputError, unknown
from runs.bench.duels import ON_PONG, RACES, TRAINING, measure_race, measure_ranks, measure_training
from runs.bench.games import measure_arcade, measure_pqn
from runs.bench.updates import measure_gpu, measure_replay, measure_sampling, measure_updates
from runs.bench.viewers import measure_viewer, measure_watcher

REPEATS = 5

TRAINING |= {f"{name}_2_threads": dataclasses.replace(TRAINING[name], threads=2) for name in ON_PONG}

TRAINING |= {f"{name}_gpu": dataclasses.replace(TRAINING[name], fastest=(), device="cuda") for name in ON_PONG}

MUJOCO = ("halfcheetah_sac_zoo",)
"""Benchmarks that need the extra `mujoco`."""

GPU = ("gpu", *(name for name, duel in TRAINING.items() if duel.device == "cuda"))
"""Benchmarks that need one."""


def bench(names: Sequence[str] | None = None, *, repeats: int = REPEATS, quiet: bool = True) -> dict[str, Any]:
    """Measures what is named, or all but the races and what needs a GPU or a package that is not installed.

    Returns a list `results` of name, unit, ours, peer, ratio, repeats.

    `ours` and `peer` are medians, `ratio` is how many times better ours is (the median of the pairs, in a race of the
    medians), `repeats` holds every pair. Where SB3 has nothing to measure against, peer and ratio are None. A training
    also has `settings` and a `note`, empty where the two differ in nothing but the library.
    """
    everything: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        **{name: lambda d=duel, n=name: measure_training(n, d, repeats) for name, duel in TRAINING.items()},  # type: ignore[misc]
        **{name: lambda r=race, n=name: measure_race(n, r, repeats) for name, race in RACES.items()},  # type: ignore[misc]
        "pong_ppo_ranks": lambda: measure_ranks(repeats),
        "updates": lambda: measure_updates(repeats),
        "replay": measure_replay,
        "sampling": lambda: measure_sampling(repeats),
        "arcade": lambda: measure_arcade(repeats),
        "pqn": lambda: measure_pqn(repeats),
        "viewer": lambda: measure_viewer(repeats),
        "watcher": lambda: measure_watcher(repeats),
        "gpu": lambda: measure_gpu(repeats),
    }
    for name in names or ():
        if name not in everything:
            rows = (
                k
                for k in everything
                if k not in {**TRAINING, **RACES} and name.startswith((f"{k}_", f"{k.removesuffix('s')}_"))
            )
            owner = next(rows, None) or name.removesuffix("_fastest")
            if owner in everything:  # its row, as the table calls it
                raise InputError(f"{name!r} is no benchmark of its own: `rl bench {owner}` measures it")
            raise unknown("benchmark", name, everything)
        if name in GPU:
            _require_gpu(name)
    missing = MUJOCO if importlib.util.find_spec("mujoco") is None else ()
    results: list[dict[str, Any]] = []
    try:
        for name in names or (name for name in everything if name not in {*RACES, *GPU, *missing}):
            for result in everything[name]():
                results.append(result)
                if not quiet:
                    print(_line(result), file=sys.stderr, flush=True)
    except KeyboardInterrupt as stop:
        if results:
            stop.finished = {"results": results, "machine": _machine(), "interrupted": True}  # type: ignore[attr-defined]
        raise
    return {"results": results, "machine": _machine()}


def _line(r: dict[str, Any]) -> str:
    if r["ours"] is None:
        return f"{r['name']}: never, SB3 {r['peer'] or 'never'}"
    beside = "" if r["ratio"] is None else f", {r.get('against', 'SB3')} {r['peer']:,.4g}: {r['ratio']:.2f}x"
    note = f" ({r['note']})" if r.get("note") else ""
    return f"{r['name']}: {r['ours']:,.4g} {r['unit']}{beside}{note}"


def _machine() -> dict[str, Any]:
    from runs.folder.provenance import machine

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**machine(), **_torch(), "load": load}


def _torch() -> dict[str, str]:
    """PyTorch's version and the GPU's name, once it has been used."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {"torch": torch.__version__, **gpu}


def _require_gpu(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError(f"the benchmark {name!r} needs a GPU, and PyTorch sees none here: leave it out")
