"""A tuning without trainings: a score that depends on the learning rate, and on luck that differs with the seed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runs.comparing import compare as comparing
from runs.comparing.senders import failed
from runs.tuning import tune as tuning

Job = dict[str, Any]
STEPS = 4_000


def luck(job: Job) -> float:
    """In [-40, 40], from the seed and the contender."""
    return zlib.crc32(f"{job['seed']} {job['contender']}".encode()) % 81 - 40.0


def answer(job: Job, score: float | None = None) -> dict[str, Any]:
    """The result of a training whose true score falls with the distance of lr from 1e-3."""
    lr = job["run"]["agent"]["lr"] if job["kind"] == "ours" else 1e-3
    rate = lr["start"] if isinstance(lr, dict) else lr
    score = 300 - 100 * abs(math.log10(rate / 1e-3)) + luck(job) if score is None else score
    curve = [[step, None, score] for step in range(STEPS // 4, STEPS + 1, STEPS // 4)]
    found = {"status": "ok", "error": None, "score": score, "returns": [score], "curve": curve, "steps": STEPS}
    return {**failed(job, "x"), **found}


def searched(
    monkeypatch: pytest.MonkeyPatch, out: Path, send: Callable[[Job], dict[str, Any]] = answer, **options: Any
) -> dict[str, Any]:
    """`tune` on CartPole whose trainings are answered by `send`."""
    monkeypatch.setattr(tuning, "sender", lambda on, plan: send)
    monkeypatch.setattr(comparing, "sender", lambda on, plan: send)
    options = {"trials": 6, "seeds": 2, "steps": STEPS, "settings": ["agent.learning_starts=100"], **options}
    return tuning.tune("cartpole_dqn", out=out, **options)
