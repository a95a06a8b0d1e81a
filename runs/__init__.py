"""The matches: where an agent meets an environment. Each verb of the command line is a function here.

    from runs import train, evaluate, load
    result = train("cartpole_dqn", seed=1)
    agent = load(result["run"])

They raise (`InputError`, `RunError`, `NonFiniteError`) and never exit. Nothing heavy is imported before the first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runs.compare import compare as compare
    from runs.evaluate import evaluate as evaluate
    from runs.evaluate import load as load
    from runs.recipe import Run as Run
    from runs.train import resume as resume
    from runs.train import train as train
    from runs.watch import watch as watch

_PUBLIC = {
    "Run": "runs.recipe",
    "compare": "runs.compare",
    "evaluate": "runs.evaluate",
    "load": "runs.evaluate",
    "resume": "runs.train",
    "train": "runs.train",
    "watch": "runs.watch",
}

__all__ = ["Run", "compare", "evaluate", "load", "resume", "train", "watch"]


class _Package(ModuleType):
    """`runs.train` stays the function: importing the submodule of that name does not put the module in its place."""

    def __getattr__(self, name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'runs' has no attribute {name!r}")
        return getattr(importlib.import_module(_PUBLIC[name]), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
