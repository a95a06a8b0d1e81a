"""What a viewer costs the training that it watches."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rl.cores import usable_cores
from rl.errors import RunError

VIEWS = {"arcade": "arcade_space_invaders_rainbow", "ale_saliency": "pong_dqn"}
"""Recipes whose games are drawn, the second with the saliency overlay."""


def measure_viewer(repeats: int) -> Iterator[dict[str, Any]]:
    """Frames a second with all panels at 800x600: stepping, thinking, drawing; and seconds to a first frame."""
    import torch

    from envs.drawing import Canvas, no_display
    from runs.watching.film import SIZE

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, no_display():
        for name, recipe in VIEWS.items():
            run = _untrained(recipe, Path(folder) / name)
            canvas = Canvas(*SIZE)
            measured = [_play_and_draw(run, canvas, saliency="saliency" in name) for _ in range(repeats)]
            none: dict[str, Any] = {"peer": None, "ratio": None}
            note = f"{recipe}, untrained, all panels at {SIZE[0]}x{SIZE[1]}, one thread, no window"
            for what, unit, i in (("frames", "frames/s", 0), ("first_frame", "s to the first frame", 1)):
                rows = [{"ours": round(one[i], 2)} for one in measured]
                median = statistics.median(row["ours"] for row in rows)
                yield {
                    "name": f"viewer_{name}_{what}",
                    "unit": unit,
                    "ours": median,
                    **none,
                    "repeats": rows,
                    "note": note,
                }


def _untrained(recipe: str, out: Path) -> Path:
    """A run folder of the recipe with a checkpoint after hardly any step."""
    from runs.training.train import train

    settings = ("agent.learning_starts=50", "eval_every=0", "eval_episodes=1", "eval_max_steps=500", "threads=1")
    train(recipe, steps=64, settings=settings, out=out, device="cpu", track="off")
    return out


def _play_and_draw(run: Path, canvas: Any, saliency: bool, frames: int = 200) -> tuple[float, float]:
    """(frames a second, seconds from the call to the first frame, imports left out where they are done)."""
    from runs.watching.film import draw
    from runs.watching.watch import open_player

    begun = time.perf_counter()
    with open_player(run) as player:
        player.show_saliency = saliency and player.can_show_saliency()
        player.fetch()
        draw(canvas, player)
        first = time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in range(frames):
            player.step()
            player.fetch()
            draw(canvas, player)
        return frames / (time.perf_counter() - begun), first


def measure_watcher(repeats: int) -> Iterator[dict[str, Any]]:
    """A training with a viewer that follows it, paused and playing, beside the same training alone, in turns."""
    rows = [{how: _watched(how, seed) for how in ("alone", "paused", "playing")} for seed in range(repeats)]
    for how in ("paused", "playing"):
        pairs = [
            {
                "ours": round(row[how]["speed"], 1),
                "peer": round(row["alone"]["speed"], 1),
                "cpu_ratio": round(row["alone"]["cpu"] / row[how]["cpu"], 4),
                "watcher_core": row[how]["watcher"],
            }
            for row in rows
        ]
        yield {
            "name": f"watcher_{how}",
            "unit": "steps/s",
            "ours": statistics.median(p["ours"] for p in pairs),
            "peer": statistics.median(p["peer"] for p in pairs),
            "ratio": statistics.median(p["ours"] / p["peer"] for p in pairs),
            "cpu_ratio": statistics.median(p["cpu_ratio"] for p in pairs),
            "watcher_core": statistics.median(p["watcher_core"] for p in pairs),
            "repeats": pairs,
            "against": "alone",
            "note": "the second half of cartpole_dqn's 50,000 steps, one thread; cpu_ratio: the training's processor "
            "time alone over that with the watcher; watcher_core: the part of a core that the watcher takes; "
            f"{usable_cores()} cores",
        }


def _watched(how: str, seed: int) -> dict[str, float]:
    """Steps a second of the second half of a training, its processor seconds, and the watcher's part of a core."""
    import psutil

    from envs.drawing import no_display
    from runs.folder.jsonl import read_jsonl
    from runs.folder.processes import open_viewer
    from runs.training.train import train

    settings = ["threads=1", "log_every=1000", "save_every=5000", "eval_every=0", "eval_episodes=1", "eval_max_steps=1"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with no_display():
            viewer = None if how == "alone" else open_viewer(run, paused=how == "paused")
        try:
            begun = time.process_time()
            result = train("cartpole_dqn", seed=seed, settings=settings, out=run, device="cpu")
            cpu = time.process_time() - begun
            watcher = 0.0
            if viewer is not None:
                if viewer.poll() is not None:
                    raise RunError(f"the watcher ended with status {viewer.returncode}: nothing was measured")
                watcher = psutil.Process(viewer.pid).cpu_percent(3.0) / 100
        finally:
            if viewer is not None:
                viewer.terminate()
                viewer.wait()
        lines = [line for line in read_jsonl(run / "metrics.jsonl") if line["step"] >= result["steps"] / 2]
    seconds = lines[-1]["seconds"] - lines[0]["seconds"]
    return {"speed": (lines[-1]["step"] - lines[0]["step"]) / seconds, "cpu": cpu, "watcher": watcher}
