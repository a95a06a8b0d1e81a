"""`rl play`: a person plays, alone or against an agent, with sensible keys at the game's own speed.

play("Arcade/Seaquest-v1")
play("ALE/Pong-v5", vs="runs/out/pong")       # split screen, the same seed for both
play("CartPole-v1", record="games/")          # keeps the games as rows
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs import EnvConfig
from rl.errors import InputError
from runs.folder.trust import Trust
from runs.watching.high_scores import Scores
from runs.watching.match import Table
from runs.watching.person import Person

if TYPE_CHECKING:
    from runs.watching.player import Player


SIZE = (800, 600)


def play(
    env: str,
    *,
    vs: str | Path | None = None,
    record: str | Path | None = None,
    seed: int | None = None,
    config: EnvConfig | None = None,
    size: tuple[int, int] = SIZE,
    trust: Trust = False,
) -> dict[str, Any]:
    """Opens a window in which a person plays `env` until it is closed.

    vs: the run of an agent that plays the same game beside it, from the same seed. record: a folder that keeps the
    person's games as rows (`runs.rows`). seed: of the first game, drawn unless given. trust: import code that the run
    `vs` names, even if this machine did not write it.
    Returns `env`, `scores` of the finished games, and `best`. Raises `InputError` in one line where there is no
    display, for an environment without pictures or with actions that keys cannot choose, and for an agent of
    another game.
    """
    from envs.drawing import Window, require_display

    require_display("playing needs one; `rl watch RUN --video FILE` films an agent without")
    seed = secrets.randbelow(2**31) if seed is None else seed
    rival = None if vs is None else _rival(env, vs, seed, trust)
    try:
        if rival is not None:
            config = rival.run.env_config
        with Person(env, seed, config, record) as person, Window(f"rl play {env}", *size) as window:
            if rival is not None:
                person.ask(rival.agent.actor(1, seed, stream="play"))
            table = Table(person, window, rival, Scores())
            table.run()
            return {"env": env, "scores": table.finished, "best": table.scores.best(env)}
    finally:
        if rival is not None:
            rival.close()


def _rival(env: str, run: str | Path, seed: int, trust: Trust = False) -> Player:
    from runs.training.evaluation import load_run
    from runs.watching.player import Player

    agent, recipe = load_run(run, device="cpu", trust=trust)
    if recipe.env != env:
        raise InputError(f"the agent of {run} plays {recipe.env}, not {env}: rl play {recipe.env} --vs {run}")
    return Player(agent, recipe, seed=seed, stream="play", config=recipe.env_config)
