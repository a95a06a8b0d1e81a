"""A person's actions from keyboard keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import envs
from envs import EnvConfig
from rl.errors import InputError
from rl.interface import TimeStep
from runs.watching.camera import Camera
from runs.watching.recorded_games import RowWriter

if TYPE_CHECKING:
    from agents.base import Actor


class Person:
    """One environment that a person plays: rows, score and picture, without a window."""

    def __init__(self, env: str, seed: int, config: EnvConfig | None = None, record: str | Path | None = None) -> None:
        from envs.controls import controls

        self.env = envs.make(env, seed=seed, stream="play", config=config, render=True)
        try:
            self.controls = controls(self.env.spec)
            self.ts = self.env.reset()
            self.rows = None if record is None else RowWriter(record, env)
        except InputError as error:
            self.env.close()
            raise InputError(f"{env} cannot be played: {error}") from None
        self.camera = Camera(self.env, env)
        self.picture = self.camera.pictures[0]
        self.spec = self.env.spec
        self.score, self.steps = 0.0, 0
        self.action: int | np.ndarray | None = None
        self.advice: np.ndarray | None = None
        self._advisor: Actor | None = None
        if self.rows is not None:
            self.rows.add(self.ts)

    @property
    def over(self) -> bool:
        return bool(self.ts.last[0])

    def step(self, held: frozenset[str] | set[str]) -> TimeStep:
        """Plays the action that the held keys ask for."""
        self.action = self.controls.action(held, self.action)
        return self._take(self.env.step(np.asarray(self.action)[None]))

    def ask(self, advisor: Actor) -> None:
        """Shows an agent every row, so that it can take over at any time."""
        self._advisor = advisor
        self.advice = advisor.act(self.ts)

    def follow_advice(self) -> TimeStep:
        """Plays the action that the agent would take."""
        assert self.advice is not None
        self.action = self.advice[0]
        return self._take(self.env.step(self.advice))

    def restart(self) -> TimeStep:
        """The next game, whether this one is over or not."""
        return self._take(self.env.reset())

    def _take(self, ts: TimeStep) -> TimeStep:
        self.ts = ts
        if ts.first[0]:
            self.score, self.steps, self.action = 0.0, 0, None
        else:
            self.score += float(ts.exact_reward[0])
            self.steps += 1
        if self.rows is not None:
            self.rows.add(ts)
        if self._advisor is not None:
            self.advice = self._advisor.act(ts)
        return ts

    def fetch(self, part: float = 1.0) -> None:
        """Fetches the picture (see `Camera.fetch`)."""
        self.picture = self.camera.fetch(self.ts, part)[0]

    def close(self) -> None:
        if self.rows is not None:
            self.rows.flush()
        self.env.close()

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
