"""Statistics of training episodes and their lines in episodes.jsonl."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from rl.interface import TimeStep
from runs.folder.run_folder import RECENT


class EpisodeRecord:
    """Returns and lengths of the training stream's finished episodes, raw and undiscounted."""

    def __init__(self, num_envs: int) -> None:
        self._return = [0.0] * num_envs  # in lists: for a few environments quicker than NumPy
        self._length = [0] * num_envs
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self.count = 0

    @property
    def mean_return(self) -> float | None:
        """Mean return of the newest episodes; None before the first has ended."""
        return float(np.mean([r for r, _ in self._recent])) if self._recent else None

    @property
    def mean_length(self) -> float | None:
        return float(np.mean([n for _, n in self._recent])) if self._recent else None

    def add(self, ts: TimeStep) -> list[dict[str, Any]]:
        """Takes a row; one line for each episode that it ends."""
        firsts, rewards = ts.first.tolist(), ts.exact_reward.tolist()
        self._return = [0.0 if f else total + r for f, total, r in zip(firsts, self._return, rewards, strict=True)]
        self._length = [0 if f else n + 1 for f, n in zip(firsts, self._length, strict=True)]
        lines = []
        for i, last in enumerate(ts.last.tolist()):
            if last:
                self._recent.append((self._return[i], self._length[i]))
                self.count += 1
                lines.append({"env": i, "return": self._return[i], "length": self._length[i]})
        return lines

    def state_dict(self) -> dict[str, Any]:
        recent = [list(pair) for pair in self._recent]
        totals, lengths = np.array(self._return), np.array(self._length)
        return {"return": totals, "length": lengths, "recent": recent, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._return, self._length, self.count = state["return"].tolist(), state["length"].tolist(), state["count"]
        self._recent.extend((r, n) for r, n in state["recent"])
