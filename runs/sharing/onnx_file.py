"""`rl export --onnx`: the policy as an ONNX file, made by PyTorch's dynamo exporter and checked by onnxruntime."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rl.imports import require_extra
from runs.folder.trust import Trust
from runs.sharing.deployed import Deployed, Recorded, checked, deploy
from runs.sharing.program import exported


def write(run: str | Path, file: Path, trust: Trust) -> dict[str, Any]:
    """Writes `file`; its metadata entry `ludo_rl` describes inputs and outputs as JSON."""
    require_extra("onnx", "onnxscript", "onnxruntime")
    model, recipe, rows = deploy(run, trust)
    return checked(model, recipe, rows, file, lambda path: _save(model, recipe, rows, path), session)


def _save(model: Deployed, recipe: Any, rows: Recorded, path: Path) -> None:
    names = [f"in.{name}" if name in model.outputs else name for name in model.inputs]
    with _silence():
        program = torch.onnx.export(
            exported(model, rows), (), dynamo=True, input_names=names, output_names=model.outputs, verbose=False
        )
    assert program is not None
    graph = program.model.graph
    ends = {value.name: value for value in (*graph.inputs, *graph.outputs)}
    for node in graph:
        for value in node.outputs:
            if value.name in ends and value is not ends[value.name]:
                value.name = f"inner.{value.name}"  # the exporter names values by operators, such as mean
    program.model.metadata_props["ludo_rl"] = json.dumps(model.description(recipe))
    program.save(str(path))


def session(path: Path) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Runs an ONNX file with onnxruntime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in opened.get_inputs()]
    return lambda inputs: opened.run(None, dict(zip(names, inputs, strict=True)))  # type: ignore[no-any-return]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter reports its steps on standard output, in warnings and in the log; none of it is for users."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
