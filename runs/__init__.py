"""The matches: where an agent meets an environment. Each verb of the command line is a function here.

    from runs import train, evaluate, load
    result = train("cartpole_dqn", seed=1)
    agent = load(result["run"])

They raise (`InputError`, `RunError`, `NonFiniteError`) and never exit. Nothing heavy is imported before the first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runs.comparing.compare import compare as compare
    from runs.recipe import Run as Run
    from runs.training.evaluation import evaluate as evaluate
    from runs.training.evaluation import load as load
    from runs.training.train import resume as resume
    from runs.training.train import session as session
    from runs.training.train import train as train
    from runs.watching.result import Result as Result
    from runs.watching.result import frame as frame
    from runs.watching.result import plot as plot
    from runs.watching.watch import watch as watch

_PUBLIC = {
    "Result": "runs.watching.result",
    "Run": "runs.recipe",
    "compare": "runs.comparing.compare",
    "evaluate": "runs.training.evaluation",
    "frame": "runs.watching.result",
    "load": "runs.training.evaluation",
    "plot": "runs.watching.result",
    "resume": "runs.training.train",
    "session": "runs.training.train",
    "train": "runs.training.train",
    "watch": "runs.watching.watch",
}

__all__ = ["Result", "Run", "compare", "evaluate", "frame", "load", "plot", "resume", "session", "train", "watch"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'runs' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
