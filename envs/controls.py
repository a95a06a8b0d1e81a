"""How a person plays an environment: what its actions are called, which keys choose them, and how fast it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import gymnasium
import numpy as np

from envs.atari import PROTOCOLS
from rl.errors import InputError
from rl.interface import EnvSpec

KEYS = {
    "left": "left", "right": "right", "up": "up", "down": "down", "space": "fire", "return": "second",
    "a": "left", "d": "right", "w": "up", "s": "down",
}  # fmt: skip
"""Key name (as `envs.drawing` gives it) to button. Arrows or W A S D (ALE's own map) steer, SPACE fires."""


@dataclass(frozen=True)
class Controls:
    """Keys, names and pace of one environment."""

    names: tuple[str, ...]
    """Of the actions (discrete) or of the elements (box)."""
    fps: float
    """Decisions a second at the game's own speed; 0: turn by turn, a decision for each key pressed."""
    buttons: tuple[frozenset[str], ...] = ()
    """Discrete: what is held down for each action."""
    rest: int | None = 0
    """Discrete: the action with nothing pressed; None: the one before again."""
    axes: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Box: button to (element, value)."""
    zero: tuple[float, ...] = ()
    """Box: the action with nothing pressed."""
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS)

    def action(self, held: Collection[str], before: int | np.ndarray | None = None) -> int | np.ndarray:
        """The action for the keys that are held: int for discrete, float32 [K] for box."""
        pressed = {self.keys[key] for key in held if key in self.keys}
        if self.zero:
            action = np.array(self.zero, np.float32)
            for button in sorted(pressed & set(self.axes)):
                element, value = self.axes[button]
                action[element] = value
            return action
        best, most = -1, 0
        for index, needed in enumerate(self.buttons):
            if needed <= pressed and len(needed) > most:
                best, most = index, len(needed)
        if best >= 0:
            return best
        if self.rest is not None:
            return self.rest
        return int(before) if before is not None else 0

    def chooses(self, key: str) -> bool:
        """Whether this key alone asks for an action."""
        button = self.keys.get(key)
        return button in self.axes or any(needed == {button} for needed in self.buttons)

    def legend(self) -> list[tuple[str, str]]:
        """(keys, action) for the help."""
        shown = {"second": "ENTER", "fire": "SPACE"}
        if self.zero:
            return [(shown.get(b, b.upper()), f"{self.names[k]} {v:+g}") for b, (k, v) in self.axes.items()]
        rows = []
        for name, needed in zip(self.names, self.buttons, strict=True):
            keys = [shown.get(b, self._label(b)) for b in sorted(needed, key="up down left right fire second".find)]
            rows.append((" + ".join(keys) if keys else "nothing", name.lower()))
        return rows

    def _label(self, button: str) -> str:
        return next((key.upper() for key, b in self.keys.items() if b == button), button.upper())


_TURNS = {  # toy text waits for the player
    "FrozenLake": ("left", "down", "right", "up"),
    "CliffWalking": ("up", "right", "down", "left"),
    "CliffWalkingSlippery": ("up", "right", "down", "left"),
    "Taxi": ("down", "up", "right", "left", "fire", "second"),
    "Blackjack": ("fire", "up"),
}
_TURN_NAMES = {
    "Taxi": ("south", "north", "east", "west", "pick up", "drop off"),
    "Blackjack": ("stick", "hit"),
}
_DISCRETE: dict[str, tuple[tuple[str, ...], tuple[str, ...], int | None]] = {
    "CartPole": (("push left", "push right"), ("left", "right"), None),
    "MountainCar": (("left", "coast", "right"), ("left", "", "right"), 1),
    "Acrobot": (("left", "nothing", "right"), ("left", "", "right"), 1),
    "LunarLander": (("nothing", "turn left", "main engine", "turn right"), ("", "left", "up", "right"), 0),
    "CarRacing": (("nothing", "right", "left", "gas", "brake"), ("", "right", "left", "up", "down"), 0),
}
_BOX: dict[str, tuple[tuple[str, ...], dict[str, tuple[int, float]]]] = {
    "Pendulum": (("torque",), {"left": (0, 2.0), "right": (0, -2.0)}),
    "MountainCarContinuous": (("force",), {"left": (0, -1.0), "right": (0, 1.0)}),
    "LunarLander": (("main", "side"), {"up": (0, 1.0), "left": (1, -1.0), "right": (1, 1.0)}),
    "CarRacing": (
        ("steer", "gas", "brake"),
        {"left": (0, -1.0), "right": (0, 1.0), "up": (1, 1.0), "down": (2, 0.8)},
    ),
}
_ARCADE_FPS = {"Breakout": 8.0, "Asterix": 10.0, "Freeway": 20.0, "Seaquest": 10.0, "SpaceInvaders": 10.0}


def controls(spec: EnvSpec) -> Controls:
    """Keys, names and pace for `spec`. Raises `InputError` for actions that keys cannot choose (multidiscrete...)."""
    name = spec.id.rpartition(":")[2].rpartition("/")[2].rpartition("-v")[0]
    fps = pace(spec)
    if spec.action.kind == "box":
        return _box(spec, name, fps)
    if spec.action.kind != "discrete":
        raise InputError(f"{spec.id} has {spec.action.kind} actions, which keys cannot choose: play a game with others")
    count = spec.action.nvec[0]
    if spec.id.startswith("Arcade/") and name in _ARCADE_FPS:
        from envs.arcade import load_game
        from envs.arcade.rules import ACTION_NAMES

        names = tuple(ACTION_NAMES[code] for code in load_game(name).ACTIONS)
        return Controls(names, fps, tuple(frozenset(() if n == "noop" else (n,)) for n in names))
    if spec.id.startswith("Boards/"):
        from envs.boards import load_board

        return replace(_numbered(load_board(name).action_names, count, 0.0), rest=None)
    meanings = spec.action_meanings
    if meanings and len(meanings) == count and all(_joystick(m) is not None for m in meanings):
        return Controls(meanings, fps, tuple(frozenset(_joystick(m) or ()) for m in meanings))
    if name in _TURNS and len(_TURNS[name]) == count:
        held = tuple(frozenset((b,)) for b in _TURNS[name])
        return Controls(_TURN_NAMES.get(name, _TURNS[name]), 0.0, held, None)
    if spec.id.startswith("PettingZoo/"):
        return replace(_numbered(spec.action_meanings, count, 0.0), rest=None)
    if spec.id.startswith("Memory/"):
        from envs.cards import card_names

        return replace(_numbered(card_names(count), count, 0.0), rest=None)
    if name in _DISCRETE and len(_DISCRETE[name][1]) == count:
        names, held_names, rest = _DISCRETE[name]
        return Controls(names, fps, tuple(frozenset((b,) if b else ()) for b in held_names), rest)
    return _numbered(meanings, count, fps)


def action_names(spec: EnvSpec) -> tuple[str, ...]:
    """Names of the actions, or of a box's elements. A multidiscrete action has one for each value: `a[1]=0`."""
    try:
        return controls(spec).names
    except InputError:
        if spec.action.kind == "multidiscrete":
            return tuple(f"a[{k}]={value}" for k, n in enumerate(spec.action.nvec) for value in range(n))
        return spec.action_meanings or tuple(f"a[{k}]" for k in range(spec.action.size))


def observed_area(spec: EnvSpec, width: int, height: int) -> tuple[float, float, float, float]:
    """Where the observation lies on the rendered picture: x, y, width and height as parts of it."""
    if spec.id.startswith("Arcade/"):
        from envs.arcade.picture import board_area

        left, top, wide, high = board_area(width, height)
        return left / width, top / height, wide / width, high / height
    return 0.0, 0.0, 1.0, 1.0


def pace(spec: EnvSpec) -> float:
    """Decisions a second at the game's own speed, 30 if it is unknown."""
    if spec.protocol in PROTOCOLS:
        return 60.0 / PROTOCOLS[spec.protocol].frame_skip
    name = spec.id.rpartition(":")[2]
    if name.startswith("Arcade/"):
        return _ARCADE_FPS.get(name.removeprefix("Arcade/").rpartition("-v")[0], 10.0)
    try:
        entry = gymnasium.spec(name).entry_point
        creator = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
        return float(getattr(creator, "metadata", {}).get("render_fps") or 30.0)
    except Exception:  # not registered, or its package is missing
        return 30.0


def _joystick(meaning: str) -> tuple[str, ...] | None:
    """ALE's names: UPRIGHTFIRE is up, right and fire. None for what is no joystick position."""
    rest, found = meaning.upper(), []
    if rest == "NOOP":
        return ()
    for button in ("UP", "DOWN", "LEFT", "RIGHT", "FIRE"):
        if button in rest:
            found.append(button.lower())
            rest = rest.replace(button, "", 1)
    return None if rest or not found else tuple(found)


def _numbered(meanings: tuple[str, ...], count: int, fps: float) -> Controls:
    """Controls of an unknown game: key 1 is action 0, and so on to 9; then letters."""
    keys = [*"123456789", *"ertyuiopfghjklzxcvbnm"]
    names = meanings if len(meanings) == count else tuple(f"action {k}" for k in range(count))
    held = tuple(frozenset((f"key {keys[k]}",)) if k < len(keys) else frozenset(("none",)) for k in range(count))
    return Controls(names, fps, held, 0, keys={key: f"key {key}" for key in keys})


def _box(spec: EnvSpec, name: str, fps: float) -> Controls:
    low, high = np.array(spec.action.low), np.array(spec.action.high)
    zero = tuple(float(x) for x in np.clip(0.0, low, high))
    if name in _BOX and len(_BOX[name][0]) == len(zero):
        names, axes = _BOX[name]
        return Controls(names, fps, axes=axes, zero=zero)
    names = spec.action_meanings or tuple(f"a[{k}]" for k in range(len(zero)))
    keys = {"left": "0-", "right": "0+", "down": "1-", "up": "1+", "a": "2-", "d": "2+", "s": "3-", "w": "3+"}
    ends = {"-": np.where(np.isfinite(low), low, -1.0), "+": np.where(np.isfinite(high), high, 1.0)}
    axes = {b: (int(b[0]), float(ends[b[1]][int(b[0])])) for b in keys.values() if int(b[0]) < len(zero)}
    return Controls(names, fps, axes=axes, zero=zero, keys=keys)
