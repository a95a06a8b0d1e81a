"""`rl sync`: a finished run, from the files in its folder, to TensorBoard or Weights & Biases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rl import tracking
from rl.errors import InputError
from rl.storage import read_json
from runs.folder.jsonl import read_jsonl


def sync(run: str | Path, *, track: str | None = None) -> dict[str, Any]:
    """Writes metrics, evaluations and films of a run to a tracker; a new run of W&B, or RUN/tensorboard.

    TensorBoard's files of an earlier sync, or of the training, are replaced when the new one is complete.
    Only W&B shows a page: RUN/explain.html, if there is one, becomes its `report`.

    track: as in `rl train --track`; by default W&B if there is a key, else TensorBoard. Raises `InputError` if the
    folder is no run, or if there is nothing to write to.
    """
    folder = Path(run)
    if not (folder / "run.json").is_file():
        raise InputError(f"{folder} is no run folder: it has no run.json")
    info, mode = read_json(folder / "run.json"), track or ("online" if tracking.may_have_key() else "tensorboard")
    recipe = info.get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("agent"), dict):
        raise InputError(f"{folder / 'run.json'} has no recipe")
    metrics, evaluations = (read_jsonl(folder / f"{name}.jsonl") for name in ("metrics", "evaluations"))
    names: dict[str, Any] = {
        "env": str(recipe.get("env")),
        "agent": str(recipe["agent"].get("name")),
        "seed": int(recipe.get("seed", 0)),
    }
    before = list((folder / "tensorboard").glob("events.out.tfevents.*"))
    tracker = tracking.track(mode, folder=folder, config=info, command=info.get("command") or (), **names)
    parts = tracker.parts if isinstance(tracker, tracking.Trackers) else (tracker,)
    if all(part.mode == "off" for part in parts):
        raise InputError(f"--track {mode} writes nowhere: name tensorboard, offline, or online with a key of W&B")
    for part in parts:
        if isinstance(part, tracking.WandbTracker):
            part.patience = 60.0
    lines = [(line["step"], 0, line) for line in metrics if isinstance(line.get("step"), int)]
    lines += [(line["step"], 1, line) for line in evaluations if isinstance(line.get("step"), int)]
    for step, judged, line in sorted(lines, key=lambda entry: entry[:2]):
        if judged:
            tracker.log_evaluation(step, line)
        else:
            tracker.log(step, {name: value for name, value in line.items() if name != "step"})
    films = sorted(path for path in (folder / "videos").glob("*") if path.suffix in (".webm", ".mp4", ".gif"))
    for film in films:
        found = re.search(r"step-(\d{1,12})", film.name)
        tracker.log_video(film, int(found[1]) if found else lines[-1][0] if lines else 0)
    page = folder / "explain.html"
    explained = page.is_file() and any(isinstance(part, tracking.WandbTracker) for part in parts)
    if explained:
        tracker.log_report({}, page)
    tracker.finish("done", 600.0)
    if any(part.mode == "tensorboard" for part in parts):  # it is off if it failed
        for older in before:
            older.unlink(missing_ok=True)
    return {
        "run": str(folder),
        "to": mode,
        "metrics": len(metrics),
        "evaluations": len(evaluations),
        "films": len(films),
        "explained": explained,
    }
