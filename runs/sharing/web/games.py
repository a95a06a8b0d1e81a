"""The games that rules.js has, and the settings of a run's environment that the page takes over."""

from __future__ import annotations

import dataclasses
from typing import Any

from envs.arcade import GAMES as ARCADE
from envs.config import EnvConfig
from envs.controls import controls
from rl.errors import InputError
from rl.interface import EnvSpec
from runs.recipe import Run
from runs.training.evaluation import ENDLESS

CLASSIC = {
    "CartPole-v1": "CartPole",
    "MountainCar-v0": "MountainCar",
    "MountainCarContinuous-v0": "MountainCarContinuous",
    "Acrobot-v1": "Acrobot",
    "Pendulum-v1": "Pendulum",
}
"""Environment id -> the game's name in rules.js."""

SEEN = {"CartPole": (0, 2), "Pendulum": (0, 1), "MountainCarContinuous": (0,)}
"""What the variants without velocities show of the observation."""

MEMORY = {"RememberCue": {"delay": 50, "cues": 2}, "RepeatPrevious": {"k": 4, "symbols": 4, "length": 100}}
"""Options that the page plays by, and their defaults."""

_ARCADE = {"sticky_action_prob": 0.1, "difficulty_ramping": True, "max_episode_steps": None}
_BOARD = {"opponent": "random", "self_play": False, "opening": 0, "eval_opening": 0}
"""None of them matters: a person takes the opponent's place, and the page begins with random moves of its own."""

BOARDS = ("ConnectFour", "TicTacToe", "Othello6", "Othello")

OPTIONS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(ARCADE, _ARCADE),
    **dict.fromkeys(BOARDS, _BOARD),
    **MEMORY,
}

GAMES = (
    CLASSIC
    | {f"Arcade/{name}-v1": name for name in ARCADE}
    | {f"Boards/{name}-v1": name for name in BOARDS}
    | {f"Memory/{name}-v0": name for name in MEMORY}
)


def game_settings(run: Run, spec: EnvSpec) -> dict[str, Any]:
    """The game as plain JSON: its name in rules.js, its options, its keys. Raises `InputError` for another game."""
    hidden = run.env_config.no_velocity or "-NoVelocity-" in run.env
    name = GAMES.get(run.env.replace("-NoVelocity-", "-"))
    if name is None or (hidden and name not in SEEN):
        raise InputError(f"{run.env} cannot be played in a web page: export a run of {', '.join(GAMES)}")
    options = _options(run.env_config, OPTIONS.get(name, {}))
    limits = (spec.max_episode_steps, options.pop("max_episode_steps", None), run.eval_max_steps)
    keys = controls(spec)
    return {
        **{option: options[option] for option in MEMORY.get(name, ())},
        "name": name,
        "seen": SEEN[name] if hidden else None,
        "limit": min(filter(None, limits), default=ENDLESS),
        "sticky": options.get("sticky_action_prob", 0.0),
        "ramping": options.get("difficulty_ramping", True),
        "fps": keys.fps,
        "names": keys.names,
        "buttons": [sorted(held) for held in keys.buttons],
        "rest": keys.rest,
        "axes": {button: list(axis) for button, axis in keys.axes.items()},
        "zero": keys.zero,
        "low": spec.action.low,
        "high": spec.action.high,
    }


def _options(config: EnvConfig, known: dict[str, Any]) -> dict[str, Any]:
    """The environment's own options. Raises `InputError` for a setting that rules.js does not follow."""
    played = ("vector", "max_steps", "no_velocity", "options")  # the others must be left alone
    for field in dataclasses.fields(EnvConfig):
        value = getattr(config, field.name)
        if field.name not in played and value and value != field.default:
            raise InputError(f"env.{field.name}={value!r} cannot be exported: the page plays the plain game")
    for option, value in config.options.items():
        if option not in known:
            raise InputError(f"env.options.{option}={value!r} cannot be exported: the page plays the plain game")
    return {**known, **config.options}
