"""A training that another process runs, followed from its folder."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rl.errors import InputError
from rl.storage import parse_json
from runs.folder.processes import trainer_has_ended

if TYPE_CHECKING:
    from agents.base import Agent


POLL = 1.0
"""Seconds between two searches for a newer checkpoint."""


class Follower:
    """Finds the newest good checkpoint of a run that another process writes. It only reads."""

    def __init__(self, run: str | Path) -> None:
        self.path = Path(run)
        self.note = ""
        self._current = ""
        self._looked = 0.0
        self._curve: tuple[np.ndarray, np.ndarray] | None = None
        self._episodes: list[tuple[float, float]] = []
        self._read = 0
        """Bytes of episodes.jsonl that have been taken in."""
        self._read_at = -math.inf

    def wait(self, seconds: float = math.inf) -> None:
        """Waits for a checkpoint, and prints once that it waits. Raises `InputError` after `seconds`."""
        begun, printed = time.monotonic(), False
        while self.newest() is None:
            if time.monotonic() - begun > seconds:
                raise InputError(f"{self.path} has no checkpoint yet: wait for the training to save one")
            if trainer_has_ended():
                raise InputError(f"{self.path}: the training ended before its first checkpoint")
            if not printed:
                print(f"{self.path}: waiting for the first checkpoint (Ctrl-C stops)", file=sys.stderr, flush=True)
                printed = True
            time.sleep(0.2)
        self._current = str(self.newest())

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; None before the first."""
        from runs.folder.run_folder import resolve

        if not (self.path / "checkpoints").is_dir():
            return None
        try:
            return resolve(self.path).checkpoint
        except InputError:
            return None

    def refresh(self, agent: Agent) -> bool:
        """Loads a newer checkpoint into `agent`; searches at most once a second. True if there was one."""
        from runs.training.evaluation import put_back

        if time.monotonic() - self._looked < POLL:
            return False
        self._looked = time.monotonic()
        names = [path.name for path in (self.path / "checkpoints").glob("step-*")]
        if not names or max(names) == Path(self._current).name:
            return False  # nothing new: no need to read and check it again
        newest = self.newest()
        if newest is None or str(newest) == self._current:
            return False
        try:
            put_back(agent, newest)
        except (InputError, OSError):  # removed meanwhile: there is a newer one
            return False
        self._current = str(newest)
        self.note = f"now playing the checkpoint of step {agent.step:,}"
        return True

    @property
    def curve(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps and returns of the training so far: running means of its episodes, at most 400 points."""
        from runs.watching.learning_curve import smoothed

        if time.monotonic() - self._read_at >= POLL:
            self._read_at = time.monotonic()
            if self._read_episodes():
                steps, values = np.array(self._episodes, float).reshape(-1, 2).T
                steps, values = smoothed(steps, values, max(1, min(100, len(values) // 10)))
                keep = np.unique(np.linspace(0, max(0, len(steps) - 1), min(400, len(steps))).astype(int))
                self._curve = steps[keep], values[keep]
        return self._curve

    def _read_episodes(self) -> bool:
        """Reads the complete lines that were added to episodes.jsonl, not the whole file. True if there were any."""
        path = self.path / "episodes.jsonl"
        try:
            with open(path, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:  # cut by a resume
                    self._read, self._episodes = 0, []
                file.seek(self._read)
                data = file.read()
        except OSError:  # none yet
            return False
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        for text in data.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                line = parse_json(text)
                self._episodes.append((float(line["step"]), float(line["return"])))
        return bool(data)
