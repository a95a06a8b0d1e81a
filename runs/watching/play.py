"""`rl play`: a person plays, alone or against an agent, with sensible keys at the game's own speed.

play("Arcade/Seaquest-v1")
play("ALE/Pong-v5", vs="runs/out/pong")       # split screen, the same seed for both
play("CartPole-v1", record="games/")          # keeps the games as rows
play("ConnectFour", vs="minimax:4", text=True)  # a board game in the terminal
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
    text: bool = False,
    replay: str | Path | None = None,
    side: str | None = None,
    trust: Trust = False,
) -> dict[str, Any]:
    """Opens a window in which a person plays `env` until it is closed.

    A board game with `vs`, `text` or `replay` (the record of a game) is played on one board, see `play_board`, from
    the `side` "first" or "second".

    vs: the run of an agent that plays the same game beside it, from the same seed. record: a folder that keeps the
    person's games as rows (`runs.rows`). seed: of the first game, drawn unless given. trust: import code that the run
    `vs` names, even if this machine did not write it.
    Returns `env`, `scores` of the finished games, and `best`. Raises `InputError` if there is no display, if the
    environment has no pictures, if keys cannot choose its actions, and for an agent of another game.
    """
    if (vs is not None and _is_board(env)) or text or replay is not None:
        return play_board(env, vs=vs, record=record, seed=seed, text=text, replay=replay, side=side, trust=trust)
    if side is not None:
        raise InputError(f"--side {side} is for a board game against a player: leave it out")
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


def play_board(
    env: str,
    *,
    vs: str | Path | None = None,
    record: str | Path | None = None,
    seed: int | None = None,
    text: bool = False,
    replay: str | Path | None = None,
    side: str | None = None,
    trust: Trust = False,
) -> dict[str, Any]:
    """A board game against a player (`runs.comparing.league.players.make_player`; minimax of depth 4 by default).

    text: in the terminal instead of a window. record: the folder for the records of the games, `runs/out/games` by
    default. replay: a record to show instead. side: "first" or "second"; unless given, the terminal asks, and a window
    begins with the person. Returns `env`, `results` and `records`.
    """
    from runs.comparing.league.players import game_of

    game = game_of(env)
    seed = secrets.randbelow(2**31) if seed is None else seed
    if not text:
        from runs.watching.board_window import play_window, replay_window

        if replay is not None:
            return replay_window(replay, game)
        return play_window(
            game, str(vs or "minimax:4"), seat=int(side == "second"), record=record, seed=seed, trust=trust
        )
    from runs.watching.board_text import play_text, replay_text

    if replay is not None:
        return replay_text(replay, game)
    return play_text(game, str(vs or "minimax:4"), side=side, record=record, seed=seed, trust=trust)


def _is_board(env: str) -> bool:
    from envs.boards import GAMES

    return env.startswith("Boards/") or env in GAMES


def _rival(env: str, run: str | Path, seed: int, trust: Trust = False) -> Player:
    from runs.training.evaluation import load_run
    from runs.watching.player import Player

    agent, recipe = load_run(run, device="cpu", trust=trust)
    if recipe.env != env:
        raise InputError(f"the agent of {run} plays {recipe.env}, not {env}: rl play {recipe.env} --vs {run}")
    return Player(agent, recipe, seed=seed, stream="play", config=recipe.env_config)
