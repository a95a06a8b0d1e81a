"""Atari through ALE's own C++ preprocessing, under a named protocol.

Each slot is an `AtariVectorEnv` of one environment with its own thread: all are sent their action, then all are
received, which costs no more than one vector of N. A seeded reset reloads the ROM (110 ms, as long as 250 steps), so
the consoles of the coming episodes are reset in the background and swapped in. The seed alone determines an episode,
sticky actions included. Rewards are raw, games are whole (ALE's `episodic_life` would restart the game), frames are not
stacked, and lives are read from the info.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.config import EnvConfig
from envs.spaces import LeafCast
from envs.vector.base import Info, Outcome, Starts, Vector
from rl.cores import usable_cores
from rl.errors import InputError, unknown


@dataclass(frozen=True)
class Protocol:
    """One way of playing Atari. Scores under different protocols are not comparable."""

    name: str
    sticky: float
    """Probability that the console repeats the previous action instead of the agent's."""
    noop_max: int
    """Up to this many frames of doing nothing start an episode."""
    fire_reset: bool
    """Whether FIRE is pressed at the start of a game."""
    full_actions: bool
    """All 18 actions instead of those the game uses."""
    life_loss: bool
    """Whether a lost life ends the return in learning. Games go on, scores are of whole games."""
    frame_skip: int
    """Frames each action is held for."""
    maxpool: bool
    """Whether a frame is the maximum of the last two, against sprites that flicker."""
    frame_cap: int
    """Frames after which a game is truncated."""
    reward_clip: bool
    """Whether the learner clips rewards to [-1, 1]; rows and scores stay raw."""
    eval_epsilon: float
    """Exploration while a greedy agent is evaluated; runs without a recipe take it and the clip, recipes choose."""


PROTOCOLS = {
    row.name: row
    for row in (
        # Mnih et al. 2015: Human-level control through deep reinforcement learning.
        Protocol("nature", 0.0, 30, False, False, True, 4, True, 108_000, True, 0.05),
        # Castro et al. 2018: Dopamine.
        Protocol("dopamine", 0.25, 0, False, False, False, 4, True, 108_000, True, 0.001),
        # Machado et al. 2018: Revisiting the Arcade Learning Environment. Five minutes a game, five frames an action.
        Protocol("machado", 0.25, 0, False, True, False, 5, True, 18_000, True, 0.01),
        # Kaiser et al. 2020, van Hasselt et al. 2019: 100,000 decisions on 26 games.
        Protocol("100k", 0.0, 30, False, False, True, 4, True, 108_000, True, 0.001),
    )
}
"""The only place where Atari settings are chosen."""

_OPTIONS = {
    "repeat_action_probability": "sticky",
    "noop_max": "noop_max",
    "use_fire_reset": "fire_reset",
    "full_action_space": "full_actions",
    "frameskip": "frame_skip",
    "maxpool": "maxpool",
    "max_num_frames_per_episode": "frame_cap",
}
"""ALE's names, which `options` may give, of the protocol's fields."""

_ID = re.compile(r"(?:ALE/(?P<v5>\w+)-v5|(?P<v4>\w+)NoFrameskip-v4)")


def is_atari(id: str) -> bool:
    """Whether `id` is one that ALE's preprocessing plays: `ALE/<Game>-v5` or `<Game>NoFrameskip-v4`."""
    return _ID.fullmatch(id) is not None


def protocol_for(config: EnvConfig) -> Protocol:
    """The protocol that `config` names (nature if it names none), with its `options` applied and shown in its name."""
    name = config.protocol or "nature"
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    fields = asdict(PROTOCOLS[name])
    for option, value in config.options.items():
        if option not in _OPTIONS:
            raise unknown("option of Atari", option, _OPTIONS)
        if fields[_OPTIONS[option]] != value:
            fields[_OPTIONS[option]] = value
            fields["name"] += f" {option}={value}"
    if config.life_loss is not None and config.life_loss != fields["life_loss"]:
        fields["life_loss"] = config.life_loss
        fields["name"] += f" life_loss={config.life_loss}"
    return Protocol(**fields)


@cache
def games() -> dict[str, str]:
    """Every game ALE carries: its id's name to the ROM's, as "MsPacman": "ms_pacman"."""
    return {title_of(rom): rom for rom in _ale_py().roms.get_all_rom_ids()}


def title_of(rom: str) -> str:
    """The id's name of a ROM: "ms_pacman" is "MsPacman"."""
    return rom.title().replace("_", "")


def _ale_py() -> Any:
    try:
        import ale_py
        import ale_py.roms
    except ImportError as error:
        raise InputError(f"Atari needs the package ale-py ({error}): pip install ale-py") from None
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return ale_py


class Ale(Vector):
    """N Atari consoles of one game. Observations are single grey frames, uint8 [1, 84, 84]."""

    name = "ale"
    capped = False
    prepares = True

    def __init__(self, id: str, num_envs: int, protocol: Protocol, render: bool) -> None:
        match = _ID.fullmatch(id)
        assert match is not None
        title = match["v5"] or match["v4"]
        if title not in games():
            raise unknown("Atari game", title, games())
        ale_py = _ale_py()
        self.num_envs = num_envs
        self._rom = games()[title]
        self._settings = {
            "repeat_action_probability": protocol.sticky,
            "noop_max": protocol.noop_max,
            "use_fire_reset": protocol.fire_reset,
            "full_action_space": protocol.full_actions,
            "frameskip": protocol.frame_skip,
            "maxpool": protocol.maxpool,
            "max_num_frames_per_episode": protocol.frame_cap,
        }
        self._screen = _screen(ale_py, self._rom) if render else None
        self._pool = ThreadPoolExecutor(min(num_envs, usable_cores()), thread_name_prefix="ale")
        self._ready: dict[int, Future[_Console]] = {}
        self._idle: list[_Console] = []
        self._consoles = [self._console() for _ in range(num_envs)]
        self._asleep = [False] * num_envs
        self.observation_space = spaces.Box(0, 255, (1, 84, 84), np.uint8)
        actions = self._consoles[0].grey.ale.get_action_set()
        self.action_space = spaces.Discrete(len(actions))
        self.action_meanings = tuple(action.name for action in actions)

    def _console(self) -> _Console:
        return self._idle.pop() if self._idle else _Console(self._rom, self._settings, self._screen)

    def reset(self, seeds: Sequence[int]) -> Info:
        self._asleep = [False] * self.num_envs
        self._idle += self._consoles
        coming = [self._coming(seed) for seed in seeds]
        self._consoles = [console.result() for console in coming]
        return self._info()

    def prepare(self, seeds: Sequence[int]) -> None:
        for seed in seeds:
            if seed not in self._ready:
                self._ready[seed] = self._coming(seed)
        for seed in self._ready.keys() - set(seeds):
            if self._ready[seed].done():
                self._idle.append(self._ready.pop(seed).result())

    def step(self, actions: np.ndarray, starts: Starts) -> Outcome:
        reward = np.zeros(self.num_envs, np.float32)
        terminated = np.zeros(self.num_envs, bool)
        truncated = np.zeros(self.num_envs, bool)
        sent = [i for i in range(self.num_envs) if not self._asleep[i] and i not in starts]
        for i in sent:
            self._consoles[i].send(actions[i : i + 1])
        self.restart(starts)
        for i in sent:
            reward[i], terminated[i], truncated[i] = self._consoles[i].receive()
        return Outcome(reward, terminated, truncated, self._info())

    def restart(self, starts: Starts) -> Info:
        for i, seed in starts.items():
            self._asleep[i] = seed is None
            if seed is not None:
                self._idle.append(self._consoles[i])
                self._consoles[i] = self._coming(seed).result()
        return self._info()

    def _coming(self, seed: int) -> Future[_Console]:
        """A console at the start of the episode of `seed`: prepared already, or on its way."""
        return self._ready.pop(seed, None) or self._pool.submit(self._console().reset, seed)

    def _info(self) -> Info:
        return {"lives": np.array([console.lives for console in self._consoles])}

    def raw(self, cast: LeafCast) -> np.ndarray:
        frames = [console.frame for console in self._consoles]
        return frames[0] if self.num_envs == 1 else np.concatenate(frames)

    def render(self) -> list[np.ndarray]:
        return [console.picture for console in self._consoles]

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ready.clear()
        self._idle.clear()


class _Console:
    """One console, with a colour twin in lock-step if pictures are wanted."""

    def __init__(self, rom: str, settings: dict[str, Any], screen: tuple[int, int] | None) -> None:
        from ale_py.vector_env import AtariVectorEnv

        fixed = {**settings, "num_envs": 1, "num_threads": 1, "stack_num": 1, "reward_clipping": False}
        self.grey = AtariVectorEnv(rom, **fixed)
        self._twin: Any = None
        if screen is not None:
            self._twin = AtariVectorEnv(rom, **fixed, grayscale=False, img_height=screen[0], img_width=screen[1])
        self.frame: np.ndarray = np.zeros((1, 1, 84, 84), np.uint8)  # [1, 1, 84, 84]
        self.picture: np.ndarray = np.zeros((1, 1, 3), np.uint8)  # [H, W, 3]
        self.lives = 0

    def reset(self, seed: int) -> _Console:
        """Starts the episode that `seed` alone determines."""
        self.frame, info = self.grey.reset(seed=np.array([seed]))
        self.lives = int(info["lives"][0])
        if self._twin is not None:
            self.picture = self._twin.reset(seed=np.array([seed]))[0][0, 0]
        return self

    def send(self, action: np.ndarray) -> None:
        self.grey.send(action)
        if self._twin is not None:
            self._twin.send(action)

    def receive(self) -> tuple[int, bool, bool]:
        self.frame, reward, terminated, truncated, info = self.grey.recv()
        self.lives = int(info["lives"][0])
        if self._twin is not None:
            self.picture = self._twin.recv()[0][0, 0]
        return reward[0], terminated[0], truncated[0]


def _screen(ale_py: Any, rom: str) -> tuple[int, int]:
    """Height and width of the console's picture: 210 x 160, or 250 x 160 for a PAL game."""
    ale = ale_py.ALEInterface()
    ale.loadROM(ale_py.roms.get_rom_path(rom))
    height, width = ale.getScreenDims()
    return int(height), int(width)
