"""`rl doctor`: what is installed, where it is imported from, and what is missing or doubled."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOMS = ("rl", "agents", "envs", "runs")

PACKAGES = (
    "torch",
    "gymnasium",
    "Box2D",
    "ale-py",
    "pygame-ce",
    "stable-baselines3",
    "sb3-contrib",
    "wandb",
    "mujoco",
    "numba",
    "numpy",
    "opencv-python-headless",
    "zstandard",
    "psutil",
    "rich",
    "matplotlib",
    "av",
    "ray",
    "optuna",
)

OPTIONAL = {
    "Box2D": "LunarLander and BipedalWalker; it has no wheels for Python 3.14, nor for Linux but on x86-64",
    "mujoco": 'HalfCheetah, Ant and the other MuJoCo tasks; pip install "ludo-rl[mujoco]"',
    "opencv-python-headless": "Stable-Baselines3's own Atari wrappers, which `rl bench pong_...` measures beside ours",
    "optuna": 'rl tune; pip install "ludo-rl[tune]"',
    "ray": "rl compare --on ray, rl tune --on ray",
    "sb3-contrib": "the contenders sb3:qrdqn and sb3:recurrent_ppo",
}

DOUBLES = {
    "pygame": ("pygame-ce", "pygame"),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
}
"""Module -> the distributions that each install their own copy of it; pip does not notice two of them."""


def doctor() -> dict[str, Any]:
    """The state of the installation; `problems` holds one line for each thing to mend."""
    problems: list[str] = []
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "imports": _imports(problems),
        "versions": _versions(problems),
        "devices": _devices(),
        "threads": os.cpu_count(),
        "compiler": next((found for name in ("c++", "g++", "clang++", "cl") if (found := shutil.which(name))), None),
        "memory": _memory(problems),
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "display": _display(),
        "wandb_key": _wandb_key(),
        "atari_games": _atari(problems),
        "problems": _doubles() + _mujoco() + problems,
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    memory = report["memory"]
    rows = [
        f"python     {report['python']} on {report['platform']}",
        *(f"import     {room:10} {place}" for room, place in report["imports"].items()),
        *(f"package    {name:24} {version or _missing(name)}" for name, version in report["versions"].items()),
        f"devices    {', '.join(report['devices'])}; {report['threads']} processor threads",
        f"compiler   {report['compiler'] or 'none: everything works, compiled updates are off'}",
        f"memory     {memory['free_gb']} GB free of {memory['total_gb']} GB; disk {report['disk_free_gb']} GB free",
        f"display    {report['display'] or 'none: rl watch needs --video FILE'}",
        f"W&B key    {'yes' if report['wandb_key'] else 'no: metrics stay in the run folder'}",
        f"Atari      {report['atari_games']} games",
    ]
    return [*rows, *([f"PROBLEM    {problem}" for problem in report["problems"]] or ["all well"])]


def _missing(name: str) -> str:
    return f"not installed; it would bring {OPTIONAL[name]}" if name in OPTIONAL else "NOT INSTALLED"


def _imports(problems: list[str]) -> dict[str, str]:
    """Which file each of our four packages comes from: another package called `runs` is the usual surprise."""
    here = Path(__file__).resolve().parents[2]
    found = {}
    for room in ROOMS:
        origin = importlib.import_module(room).__file__
        found[room] = str(origin)
        if origin is None or Path(origin).resolve().parent.parent != here:
            problems.append(f"`import {room}` finds {origin}, not {here / room}: start elsewhere or rename that folder")
    return found


def _versions(problems: list[str]) -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
            if name not in OPTIONAL:
                problems.append(f"{name} is not installed: pip install {name}")
    return versions


def _doubles() -> list[str]:
    problems = []
    for module, names in DOUBLES.items():
        installed = [name for name in names if _installed(name)]
        if len(installed) > 1:
            problems.append(
                f"{' and '.join(installed)} both install the module {module}: "
                f"pip uninstall {' '.join(installed)}, then pip install {names[0]}"
            )
    return problems


def _mujoco() -> list[str]:
    """One line if mujoco is installed but broken: its version 4 is split, and pip upgrades 3 into a mix."""
    if not _installed("mujoco"):
        return []
    try:
        importlib.import_module("mujoco").MjModel  # noqa: B018
    except (ImportError, AttributeError, OSError) as error:
        return [
            f"mujoco {metadata.version('mujoco')} is installed but does not work ({error}): pip uninstall mujoco "
            'mujoco-core, then pip install "ludo-rl[mujoco]"'
        ]
    return []


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _devices() -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return ["unknown"]
    import torch

    return ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]


def _memory(problems: list[str]) -> dict[str, float]:
    """Memory in GB: what this process can still take, and what the machine has."""
    import psutil

    from rl.memory import available_memory

    free, total = available_memory(), psutil.virtual_memory().total
    if free < 1e9:
        problems.append(f"only {free / 1e9:.1f} GB of memory are free: classic control fits, Atari wants about 2 GB")
    return {"free_gb": round(free / 1e9, 1), "total_gb": round(total / 1e9, 1)}


def _display() -> str | None:
    if os.environ.get("SDL_VIDEODRIVER") == "dummy":
        return None
    if sys.platform in ("win32", "darwin"):
        return sys.platform
    return os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or None


def _wandb_key() -> bool:
    """Whether W&B finds a key. The key itself is not read."""
    from rl import tracking

    return tracking.may_have_key()


def _atari(problems: list[str]) -> int:
    """How many game images ale-py carries."""
    if importlib.util.find_spec("ale_py") is None:
        return 0
    from ale_py import roms

    games = sum(Path(str(roms.get_rom_path(name))).exists() for name in roms.get_all_rom_ids())
    if not games:
        problems.append("ale-py has no game images: pip install --force-reinstall ale-py")
    return games
