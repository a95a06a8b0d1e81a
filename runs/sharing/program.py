"""`rl export --torch`: the policy as a `torch.export` program."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from runs.folder.trust import Trust
from runs.sharing.deployed import Deployed, Opened, Recorded, checked, deploy


def write(run: str | Path, file: Path, trust: Trust) -> dict[str, Any]:
    """Writes `file`, which `torch.export.load` reads; its extra file `ludo_rl` describes inputs and outputs as JSON."""
    model, recipe, rows = deploy(run, trust)

    def save(path: Path) -> None:
        program = exported(model, rows)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No complete tensor found in the group!")  # parts of a larger tensor
            torch.export.save(program, path, extra_files={"ludo_rl": json.dumps(model.description(recipe))})

    return checked(model, recipe, rows, file, save, _read)


def exported(model: Deployed, rows: Recorded) -> torch.export.ExportedProgram:
    """The model's program for any number of observations."""
    example = tuple(torch.from_numpy(x[:4].copy()) for x in rows.inputs)
    batch = torch.export.Dim.DYNAMIC
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about PyTorch's own inner calls
        return torch.export.export(model, example, dynamic_shapes={"inputs": tuple({0: batch} for _ in example)})


def _read(path: Path) -> Opened:
    module: Any = torch.export.load(path).module()
    return lambda inputs: [out.detach().numpy() for out in module(*map(torch.from_numpy, inputs))]
