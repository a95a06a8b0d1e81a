"""The random policy's score of a task, the zero of its scale: published, kept from an earlier comparison, or played.

Kept are only environments of the suites, whose code changes with the installed packages alone. The files lie in
$LUDO_REFERENCES, by default `references` in the user's configuration folder; empty turns them off.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import envs
from rl import stats as st
from rl.errors import InputError
from rl.storage import read_json, write_json
from runs.comparing.plan import Side
from runs.comparing.suites import SUITES
from runs.comparing.tasks import Task
from runs.folder.trust import configuration_folder
from runs.reporting.comparison_file import finite
from runs.settings.plain import digest, to_json

PUBLISHED = "published for 30 no-ops and games of 108,000 frames (DQN Zoo's table)"


def published(task: Task) -> float | None:
    """The published score of an Atari game, if the task is played by the protocol of that table."""
    game, protocol = st.atari_game(task.env), envs.PROTOCOLS.get(task.spec.protocol)
    if game is None or protocol is None or task.eval_max_steps or changed(task.env_config):
        return None
    same = (protocol.sticky, protocol.noop_max, protocol.frame_skip, protocol.frame_cap) == (0.0, 30, 4, 108_000)
    return st.atari_scores()[game][0] if same and not (protocol.fire_reset or protocol.full_actions) else None


def changed(config: envs.EnvConfig) -> bool:
    """Whether an environment has settings beside its protocol that may change a game."""
    own = {k: v for k, v in to_json(config).items() if k not in ("vector", "protocol", "life_loss")}
    return own != {k: v for k, v in to_json(envs.EnvConfig()).items() if k in own}


def kept(side: Side) -> float | None:
    """The score that an earlier comparison on this machine has kept, or None."""
    path = _path(side)
    if path is None or not path.is_file():
        return None
    with contextlib.suppress(InputError, OSError):
        score: Any = read_json(path).get("score")
        return float(score) if finite(score) else None
    return None


def keep(side: Side, result: Mapping[str, Any]) -> None:
    """Keeps a score that a worker has played."""
    path = _path(side)
    if path is None or result["status"] != "ok" or "machine" not in result:
        return
    with contextlib.suppress(OSError):  # a read-only home costs the next comparison some games, and nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"env": side.task.env, "score": result["score"], "games": len(result["returns"])})


def _path(side: Side) -> Path | None:
    place = os.environ.get("LUDO_REFERENCES", str(configuration_folder() / "references"))
    if not place or not any(side.task.env in suite for suite in SUITES.values()):
        return None
    played = {k: v for k, v in side.job.items() if k != "steps"}  # random play is the same after any training
    versions = {name: metadata.version(name) for name in ("gymnasium", "ale-py", "ludo-rl")}
    return Path(place) / f"{digest({**played, **versions})}.json"
