"""`rl export RUN --web FILE`: one HTML page that plays a trained agent from the disk, offline."""

from __future__ import annotations

import base64
import copy
import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import agents
import envs
from agents.base import Agent
from rl import checkpoint
from rl.errors import InputError
from rl.storage import write_atomic
from runs.folder.jsonl import read_jsonl
from runs.folder.run_folder import resolve as locate
from runs.folder.trust import Trust
from runs.recipe import Run
from runs.reporting.comparison_file import finite
from runs.reporting.page import embed
from runs.sharing.web.games import CLASSIC, game_settings
from runs.sharing.web.plan import network_plan
from runs.training.evaluation import load_run, put_back

ALONE, MOST = 1_000_000, 5_000_000
"""Largest page in bytes with the newest weights alone, and with the checkpoints as generations."""

AGREEMENT = 0.99
"""Share of equal actions from which on weights that make a page too large are rounded to float16."""

NAMES = {"alphazero": "AlphaZero", "qrdqn": "QR-DQN", "rainbow": "Rainbow"}
"""Agents whose name is not written in capitals."""

SCRIPTS = ("net.js", "rules.js", "paint.js", "page.js")


def export_web(run: str | Path, file: str | Path, trust: Trust = False) -> dict[str, Any]:
    """Writes the page of a run, or of one checkpoint alone, and returns its facts: path, bytes, generations, precision.

    Raises `InputError` for a game or a network that the page lacks, or weights that do not fit into `MOST` bytes.
    """
    agent, recipe = load_run(run, device="cpu", trust=trust)
    game = game_settings(recipe, agent.spec)
    plan, newest = network_plan(agent)
    found, alone = locate(run), (Path(run) / "manifest.json").exists()
    name = (found.run or found.checkpoint).resolve().name
    data: dict[str, Any] = {
        "schema": 1,
        "run": name[:200],
        "env": recipe.env,
        "agent": NAMES.get(agents.title(recipe.agent), agents.title(recipe.agent).upper()),
        "sample": recipe.eval_sample,
        "game": game,
        "plan": plan,
        "art": art(game["name"]),
    }
    spaced = game["name"] if game["name"] in CLASSIC.values() else re.sub("(?<=[a-z])(?=[A-Z0-9])", " ", game["name"])
    title = f"{data['agent']} plays {spaced}"
    scores = [] if found.run is None else read_jsonl(found.run / "evaluations.jsonl")
    generations = [_generation(agent.step, newest, scores)]
    bare = len(_page(title, {**data, "half": False, "generations": []}).encode())
    data["half"] = bare + _text_size(newest, False) > ALONE and _rounded_agreement(agent, recipe) >= AGREEMENT
    room = MOST - bare
    if _text_size(newest, data["half"]) > room:
        raise InputError(f"{name} has {len(newest):,} weights, more than a page of 5 MB holds: train a smaller network")
    if found.run is not None and not alone:
        others = _earlier(found.run, found.checkpoint, recipe, agent)
        fitting = max(0, room // _text_size(newest, data["half"]) - 1)
        generations = [_generation(step, weights, scores) for step, weights in _some(others, fitting)] + generations
    data["generations"] = [{**g, "weights": _text(g["weights"], data["half"])} for g in generations]
    page = _page(title, data).encode()
    path = Path(file)
    try:
        write_atomic(path, page)
    except OSError as error:
        raise InputError(f"--web {path} cannot be written: {error.strerror}; name another file") from error
    return {
        "schema": 1,
        "file": str(path),
        "title": title,
        "bytes": len(page),
        "env": recipe.env,
        "step": agent.step,
        "score": generations[-1]["score"],
        "generations": [g["step"] for g in generations],
        "precision": "float16" if data["half"] else "float32",
    }


def art(game: str) -> dict[str, Any]:
    """The pictures that the game's drawing needs, as data URIs by name; none for games that paint.js draws itself."""
    from envs.arcade import GAMES as ARCADE

    if game not in ARCADE:
        return {}
    from envs.arcade.picture import sheet

    return {name: "data:image/png;base64," + base64.b64encode(png).decode() for name, png in sheet(game).items()}


def _earlier(folder: Path, newest: Path, recipe: Run, agent: Agent) -> list[tuple[int, np.ndarray]]:
    """The untrained network, made again from the seed, and every older checkpoint that is good."""
    other = agents.build(agent.config, agent.spec, num_envs=recipe.num_envs, seed=recipe.seed, device="cpu")
    found = [(0, network_plan(other)[1])] if agent.step else []
    for step, path in checkpoint.checkpoints(folder).items():
        if step >= agent.step or path.resolve() == newest.resolve():
            continue
        try:
            checkpoint.verify(path, "skip")
            put_back(other, path)
        except (checkpoint.CheckpointError, OSError):
            continue  # the page does without a damaged one
        found.append((step, network_plan(other)[1]))
    return found


def _rounded_agreement(agent: Agent, recipe: Run, rows: int = 125) -> float:
    """The share of rows of the agent's own play where it acts the same with weights rounded to float16."""
    other = copy.deepcopy(agent)
    for tensor in (*other.network.parameters(), *other.network.buffers()):
        if tensor.is_floating_point():
            tensor.data.copy_(tensor.data.half())
    env = envs.make(recipe.env, num_envs=8, seed=0, stream="evaluate", config=recipe.env_config)
    try:
        actors, ts, same = [one.actor(8, 0) for one in (agent, other)], env.reset(), 0.0
        for _ in range(rows):
            action, rounded = (actor.act(ts) for actor in actors)
            same += float(np.isclose(action, rounded, rtol=0.01, atol=0.01).mean())
            ts = env.step(action)
    finally:
        env.close()
    return same / rows


def _some(items: list[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly chosen, the first always."""
    if len(items) <= most:
        return items
    return [items[math.floor(k * len(items) / most)] for k in range(most)]


def _generation(step: int, weights: np.ndarray, scores: list[dict[str, Any]]) -> dict[str, Any]:
    """One entry of the slider, with the mean of the newest evaluation at or before `step`, and its step."""
    known = [s for s in scores if _is_evaluation(s) and s["step"] <= step] if step else []
    last = max(known, key=lambda s: int(s["step"]), default=None)
    score, scored = (None, None) if last is None else (float(np.mean(last["returns"])), last["step"])
    return {"step": step, "score": score, "scored": scored, "weights": weights}


def _is_evaluation(line: dict[str, Any]) -> bool:
    """Whether a line of evaluations.jsonl, which anybody may have written, is a step and finite returns."""
    returns = line.get("returns")
    good = isinstance(returns, list) and len(returns) > 0 and all(finite(r) for r in returns)
    return good and type(line.get("step")) is int


def _text(weights: np.ndarray, half: bool) -> str:
    return base64.b64encode(weights.astype("<f2" if half else "<f4").tobytes()).decode()


def _text_size(weights: np.ndarray, half: bool) -> int:
    return len(weights) * (2 if half else 4) * 4 // 3 + 200


def _page(title: str, data: dict[str, Any]) -> str:
    scripts = Markup("\n".join(source(script) for script in SCRIPTS))
    return render("page.jinja", title=title, data=embed(data), css=source("page.css"), scripts=scripts, facts=data)


def render(template: str, **values: Any) -> str:
    """One of this package's templates; all values but `Markup` are escaped."""
    found = Environment(
        loader=PackageLoader("runs.sharing", "web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return found.get_template(template).render(**values)


def source(name: str) -> Markup:
    """The text of one of this package's files."""
    return Markup((resources.files("runs.sharing") / "web" / name).read_text(encoding="utf-8"))
