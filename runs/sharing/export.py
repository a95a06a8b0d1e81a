"""`rl export`: a trained policy as a file that other programs run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from rl.errors import InputError
from runs.folder.trust import Trust

FORMATS = {
    "onnx": "runs.sharing.onnx_file.write",
    "torch": "runs.sharing.program.write",
    "sb3": "runs.sharing.sb3_file.write",
    "web": "runs.sharing.web.export.export_web",
}
"""By name, a function of (run, file, trust) that writes the file and returns the result of `rl export`."""


def export(run: str | Path, *, trust: Trust = False, **files: str | Path | None) -> dict[str, Any]:
    """Writes the policy of a run into the one file that is given by its format, as in `export(run, onnx="a.onnx")`.

    Raises `InputError` if the format and the agent do not fit, or if the file decides otherwise than the agent; then
    no file is left.
    """
    given = {name: Path(file) for name, file in files.items() if file is not None}
    if len(given) != 1 or not given.keys() <= FORMATS.keys():
        raise InputError(f"export: give exactly one of {', '.join(f'--{name} FILE' for name in FORMATS)}")
    ((name, file),) = given.items()
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise InputError(f"--{name} {file} cannot be written: name a file in a folder that exists")
    module, _, function = FORMATS[name].rpartition(".")
    written: dict[str, Any] = getattr(importlib.import_module(module), function)(run, file, trust)
    return {"file": str(file), "format": name, "bytes": file.stat().st_size, **written}
