"""Pictures of MuJoCo without a screen."""

from __future__ import annotations

import ctypes.util
import os
import sys
from typing import Any

from rl.errors import InputError


def choose_renderer(target: Any) -> None:
    """Sets `MUJOCO_GL`, from which MuJoCo takes its renderer, if `target` needs one and there is no screen.

    EGL comes before OSMesa, which is slower. A variable that the user has set stays. Raises `InputError` if neither
    library is installed.
    """
    screen = any(os.environ.get(name) for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"))
    if screen or sys.platform != "linux" or "mujoco" not in str(getattr(target, "entry_point", "")):
        return
    for name, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = name
            return
    raise InputError(
        "MuJoCo draws no pictures here: there is no screen, and neither EGL nor OSMesa is installed: install libegl1 "
        "or libosmesa6"
    )
