"""A person's games as rows: one file for each game, which any replay can load.

for ts in read_rows("games/"):      # TimeStep rows of one environment, game after game
    replay.append(ts)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rl.errors import InputError
from rl.interface import TimeStep
from rl.storage import load_tree, save_tree

COLUMNS = ("action", "reward", "discount", "first", "last")


class RowWriter:
    """Collects one environment's rows and writes each game when it is over. `InputError` for a bad folder."""

    def __init__(self, folder: str | Path, env: str) -> None:
        self.folder, self.env = Path(folder), env
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--record {folder} cannot be made ({error.strerror}): name another folder") from error
        self._rows: list[TimeStep] = []
        self.games = 0

    def add(self, ts: TimeStep) -> None:
        if ts.first[0]:
            self.flush()  # a game that was left: a truncation, by the rule of rows
        self._rows.append(ts)
        if ts.last[0]:
            self.flush()

    def flush(self) -> None:
        """Writes what there is. A game of a single row has no transition and is dropped."""
        rows, self._rows = self._rows, []
        if len(rows) < 2:
            return
        tree: dict[str, Any] = {"env": self.env}
        tree["obs"] = {name: np.stack([ts.obs[name] for ts in rows]) for name in rows[0].obs}  # [T, 1, ...]
        tree |= {name: np.stack([getattr(ts, name) for ts in rows]) for name in COLUMNS}
        masks = [ts.mask for ts in rows if ts.mask is not None]
        tree["mask"] = np.stack(masks) if len(masks) == len(rows) else None
        self.games += 1
        save_tree(self.folder, f"game-{time.strftime('%Y%m%d-%H%M%S')}-{self.games:03d}", tree)


def read_rows(folder: str | Path, env: str | None = None) -> Iterator[TimeStep]:
    """The recorded rows, oldest game first. Raises `InputError` if there is no game, or one of another environment."""
    files = sorted(Path(folder).glob("game-*.json"))
    if not files:
        raise InputError(f"{folder} holds no recorded game: make one with rl play ENV --record {folder}")
    for file in files:
        tree = load_tree(file.parent, file.stem)
        if env is not None and tree["env"] != env:
            raise InputError(f"{file} is a game of {tree['env']}, not of {env}")
        for t in range(len(tree["first"])):
            yield TimeStep(
                obs={name: leaf[t] for name, leaf in tree["obs"].items()},
                mask=None if tree["mask"] is None else tree["mask"][t],
                **{name: tree[name][t] for name in COLUMNS},
                info={},
            )
