"""Importing the code that a person names as `module:Name`."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from rl.errors import InputError

OURS = ("rl", "agents", "envs", "runs")
"""The suite's own packages."""

EXTRAS = {
    "cv2": "bench",
    "huggingface_hub": "hub",
    "mujoco": "mujoco",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "optuna": "tune",
    "pandas": "notebooks",
    "pettingzoo": "pettingzoo",
    "ray": "ray",
    "sb3_contrib": "contrib",
    "shtab": "completion",
    "tensorboard": "tensorboard",
}
"""Module -> the suite's extra that installs it."""


def import_named(module: str) -> ModuleType:
    """Imports `module`; the current folder is searched last. Raises `ImportError` if that fails.

    Only for names that a person typed or allowed: importing a module runs it.
    """
    search_current_folder_for(module)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        here = Path.cwd() / top
        if top in OURS and here.is_dir() and not lies_here(Path(location(top)).parent.parent):
            ours = Path(location(top)).parent
            words = f"two packages are called {top!r}, {here} and the suite's own {ours}: rename yours"
            raise ImportError(words, name=module) from error
        raise
    except (TypeError, ValueError) as error:  # a relative, empty or otherwise impossible name
        raise ImportError(str(error), name=module) from error


def require_extra(*modules: str) -> None:
    """Raises `InputError` if one of the modules, which an extra installs, is missing. Imports none of them."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InputError(not_installed(module))


def not_installed(module: str | None) -> str:
    """The line on a missing module. It names the suite's extra, if one of them installs the module."""
    extra = EXTRAS.get(str(module).partition(".")[0])
    mend = "pip install it, then run `rl doctor`" if extra is None else f'pip install "ludo-rl[{extra}]"'
    return f"the package {module!r} is not installed: {mend}"


def search_current_folder_for(module: str) -> None:
    """Puts the current folder behind the search path if `module` is found nowhere else."""
    if not _found(module, None) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def location(module: str) -> str:
    """The file or folder from which `import_named` would import the top-level package; "" if there is none.

    Nothing is imported: only the top-level package is located, because locating a submodule imports its parents.
    """
    top = module.partition(".")[0]
    if top == "__main__":
        return str(getattr(sys.modules[top], "__file__", ""))
    spec = _found(top, None) or _found(top, [os.getcwd()])
    if spec is None:
        return ""
    folders = [] if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    return spec.origin or (folders[0] if folders else "")


def lies_here(folder: str | os.PathLike[str]) -> bool:
    """Whether `folder` is the current folder."""
    return Path(folder).resolve() == Path.cwd().resolve()


def _found(module: str, path: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    top = module.partition(".")[0]
    try:
        if path is None:
            return importlib.util.find_spec(top)
        return importlib.machinery.PathFinder.find_spec(top, path)
    except (ImportError, ValueError, AttributeError, OSError):
        return None
