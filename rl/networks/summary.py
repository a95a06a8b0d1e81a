"""A network in one line, and layer by layer for `rl inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rl.interface import EnvSpec
from rl.networks.attention import Attention
from rl.networks.config import NetConfig
from rl.networks.cores import Core
from rl.networks.encoders import Planes, stem_kind
from rl.networks.heads import NoisyLinear

if TYPE_CHECKING:
    from rl.networks.tuples import TupleNetwork


@dataclass(frozen=True)
class LayerRow:
    """One layer, as one observation passes through it."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Of its output, without the leading (batch) dimensions."""
    parameters: int
    multiply_adds: int
    """For one observation; a noisy layer counts its mean and its noise."""
    receptive_field: int | None
    """Side of one output's receptive field, in input pixels; None outside of convolutions."""


_BATCH = 3
_SILENT = (nn.ReLU, nn.Tanh, nn.ELU, nn.SiLU, nn.GELU, nn.Flatten, nn.Identity, nn.Sequential)
_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
HUGE = 50_000_000
"""Parameters above which a network's description calls its pictures too large."""


def describe_network(module: nn.Module, spec: EnvSpec, config: NetConfig | None) -> str:
    """One line: the encoders of the leaves as `auto` chose them, core, parameter count, and probable mistakes.

    These are a picture-like leaf that is read as a flat vector, and more than `HUGE` parameters because of pictures.
    `config` is None for a network without `NetConfig`.
    """
    if not module.state_dict():
        return "no network"
    count = sum(parameter.numel() for parameter in module.parameters())
    if config is None or ":" in config.encoder:
        return f"{'a network of its own' if config is None else config.encoder}, {count:,} parameters"
    kinds = {name: stem_kind(leaf, config.encoder) for name, leaf in spec.obs.items()}
    text = "+".join(dict.fromkeys("mlp" if kind == "flat" else kind for kind in kinds.values()))
    text += f" and {config.core}" if config.core != "none" else ""
    text += f", {count:,} parameters"
    for name, leaf in spec.obs.items():
        shape = leaf.shape if leaf.kind == "image" else leaf.given or leaf.shape
        size = "x".join(map(str, shape))
        if kinds[name] == "flat" and len(shape) == 3:
            text += f" ({name} of shape {size} is read as a flat vector)"
        elif leaf.kind == "image" and count > HUGE:
            text += f" (because {name} is {size}: make it smaller, about 84x84)"
    return text


_CORES = (Core, Attention)
"""Layers with a row of their own, whose parts have none."""


def describe(module: nn.Module, spec: EnvSpec, stack: int = 1) -> list[LayerRow]:
    """The layers of an agent's network or a torso, in the order in which they are called, on blank observations.

    An agent without weights, whose network is an empty module, has none.
    """
    if type(module) is nn.Module:
        return []
    parts = {name: part for name, part in module.named_modules() if _is_layer(name, part, module)}
    recurrent = any(isinstance(part, _CORES) for part in parts.values())
    recorder = _Recorder(recurrent)
    hooks = [part.register_forward_hook(recorder.hook(name)) for name, part in parts.items()]
    lead: tuple[int, ...] = (1, _BATCH) if recurrent else (_BATCH,)
    if stack > 1:
        lead += (stack,)
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    obs = {
        name: torch.zeros(lead + leaf.shape, dtype=getattr(torch, leaf.dtype), device=device)
        for name, leaf in spec.obs.items()
    }
    training = module.training
    try:
        with torch.inference_mode():
            module.eval()(obs)
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return recorder.rows


def describe_tuples(network: TupleNetwork) -> dict[str, int]:
    """What an n-tuple network has, and what the value of one position takes. Nothing is multiplied."""
    symmetries, tuples, length = network.cells.shape
    tables, _, size = network.weights.shape
    return {
        "tuples": tuples,
        "cells a tuple": length,
        "symmetries of the board": symmetries,
        "tables": tables * tuples,
        "weights a table": size,
        "parameters": network.weights.numel(),
        "weights read for one position": symmetries * tuples,
        "additions for one position": symmetries * tuples - 1,
    }


def render_facts(facts: dict[str, int]) -> str:
    """A name and a number a line, aligned."""
    numbers = [f"{x:,}" for x in facts.values()]
    wide = [max(map(len, words)) for words in (facts, numbers)]
    return "\n".join(f"{name.ljust(wide[0])}  {x.rjust(wide[1])}" for name, x in zip(facts, numbers, strict=True))


def render_table(rows: list[LayerRow]) -> str:
    """The rows as aligned text, totals last."""
    table = [("layer", "kind", "output", "parameters", "multiply-adds", "sees")]
    for row in rows:
        sees = "" if row.receptive_field is None else f"{row.receptive_field}x{row.receptive_field}"
        shape = "x".join(map(str, row.shape))
        table.append((row.name, row.kind, shape, f"{row.parameters:,}", f"{row.multiply_adds:,}", sees))
    parameters, multiply_adds = sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)
    table.append(("total", "", "", f"{parameters:,}", f"{multiply_adds:,}", ""))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for cells in table:
        left = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
        lines.append("  ".join(left + right).rstrip())
    return "\n".join(lines)


def _is_layer(name: str, part: nn.Module, root: nn.Module) -> bool:
    """Whether a part gets a row: known layers, and modules without parts of their own that are no activation."""
    hidden = name != "" and isinstance(root.get_submodule(name.rpartition(".")[0]), _CORES)
    if not hidden and isinstance(part, (nn.Linear, NoisyLinear, nn.Conv2d, *_CORES)):
        return True
    return not (hidden or ".parametrizations." in name or isinstance(part, _SILENT) or any(part.children()))


class _Recorder:
    def __init__(self, recurrent: bool) -> None:
        self.rows: list[LayerRow] = []
        self._recurrent = recurrent
        self._seen, self._jump = 1, 1  # receptive field, and input pixels between neighbouring outputs
        self._in_pixels = False

    def hook(self, name: str) -> Any:
        def record(part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self._record(name or "network", part, output[0] if isinstance(output, tuple) else output)

        return record

    def _record(self, name: str, part: nn.Module, output: Tensor) -> None:
        # [1, B, ...] with a time axis, [B, ...] inside an encoder and without a core
        shape = tuple(output.shape[2:] if self._recurrent and output.shape[0] == 1 else output.shape[1:])
        if isinstance(part, Planes):
            self._seen, self._jump, self._in_pixels = 1, 1, True
        elif isinstance(part, _WINDOWED) and self._in_pixels:
            kernel, stride = _side(part.kernel_size), _side(part.stride)
            self._seen += (kernel - 1) * self._jump
            self._jump *= stride
        elif len(shape) < 3:
            self._in_pixels = False
        kind = type(part).__name__.removeprefix("Parametrized").removeprefix("Block")
        if isinstance(part, Core):
            kind = type(part.rnn).__name__
        parameters = sum(parameter.numel() for parameter in part.parameters())
        sees = self._seen if self._in_pixels else None
        self.rows.append(LayerRow(name, kind, shape, parameters, _multiply_adds(part, shape), sees))


def _multiply_adds(part: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of a layer's products with its weights; element-wise operations are not counted."""
    size = torch.Size(shape).numel()
    match part:
        case nn.Linear():
            return size * part.in_features
        case NoisyLinear():
            return 2 * size * part.in_features
        case nn.Conv2d():
            return size * part.in_channels // part.groups * part.kernel_size[0] * part.kernel_size[1]
        case Core():
            return sum(weight.numel() for weight in part.parameters() if weight.dim() == 2)
    return 0


def _side(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]
