"""MuJoCo without a screen, and without the warnings that are not for the user."""

from __future__ import annotations

import ctypes.util
import importlib
import os
import sys
from typing import Any

from rl.errors import InputError

OF_GYMNASIUM = "compiler attribute 'settotalmass' is deprecated"
"""Begins a warning about the models that Gymnasium ships, which MuJoCo gives for every environment that is made."""


def quieten(target: Any) -> None:
    """Leaves out MuJoCo's warning about Gymnasium's own models; others go to standard error, as MuJoCo prints them.

    A handler that the user has set stays.
    """
    if _is_mujoco(target):
        try:
            mujoco = importlib.import_module("mujoco")
        except ImportError:  # Gymnasium says what is missing
            return
        if mujoco.get_mju_user_warning() is None:
            mujoco.set_mju_user_warning(_warn)


def _warn(text: str) -> None:
    if not text.startswith(OF_GYMNASIUM):
        print(f"WARNING: {text}", file=sys.stderr)


def _is_mujoco(target: Any) -> bool:
    return "mujoco" in str(getattr(target, "entry_point", ""))


def choose_renderer(target: Any) -> None:
    """Sets `MUJOCO_GL`, from which MuJoCo takes its renderer, if `target` needs one and there is no screen.

    EGL comes before OSMesa, which is slower. A variable that the user has set stays. Raises `InputError` if neither
    library is installed.
    """
    screen = any(os.environ.get(name) for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"))
    if screen or sys.platform != "linux" or not _is_mujoco(target):
        return
    for name, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = name
            return
    raise InputError(
        "MuJoCo draws no pictures here: there is no screen, and neither EGL nor OSMesa is installed: install libegl1 "
        "or libosmesa6"
    )
