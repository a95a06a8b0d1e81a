"""Which part of a training a moment belongs to, by the Python stack; the flame graph's tree; operations counted."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from rl.networks.compiled import CompiledDense
from rl.networks.dense import Dense

Stack = tuple[tuple[str, str], ...]
"""(module, function) of each call, outermost first."""

PARTS = (
    "environment",
    "acting",
    "storing",
    "sampling",
    "forward",
    "backward",
    "optimizer",
    "logging",
    "waiting",
    "the rest",
)
LOOP = "Session._train"
"""The function whose stack is measured; everything below it is the training."""
WHOLE = {"act": "acting", "observe": "storing"}
"""Functions that the loop calls: all that they call is the same part."""
WITHIN = {
    "sample": "sampling",
    "sample_sequences": "sampling",
    "rollout": "sampling",
    "batches": "sampling",
    "shuffled": "sampling",
    "select": "sampling",
    "_batch": "sampling",
    "set_priorities": "sampling",
    "learned": "sampling",
    "loss": "forward",
    "gradient": "forward",
    "critic_loss": "forward",
    "learn_critics": "forward",
    "learn_policy": "forward",
    "look_ahead": "acting",
    "backward": "backward",
    "_learn": "backward",
    "input_gradient": "backward",
    "apply": "optimizer",
    "sync_target": "optimizer",
    "move_targets": "optimizer",
}
"""Functions inside an update; of those on the stack the innermost counts."""
WAITS = {"poll", "_poll_pipe_envs", "wait", "join", "result", "acquire", "fsync", "sleep"}
"""Functions in which this thread waits for another process, another thread or the disk."""


def part_of(stack: Stack) -> str:
    """The part that a stack below `LOOP` belongs to."""
    part, planned = "the rest", False
    if stack and stack[-1][1].rpartition(".")[2] in WAITS:
        return "waiting"
    for module, function in stack:
        name, room = function.rpartition(".")[2], module.partition(".")[0]
        planned |= room == "agents"  # a copy of the environment that an agent looks ahead in
        if room == "envs" and not planned:
            return "environment"
        if room == "runs":
            part = "logging"
        elif name in WHOLE and room != "torch":
            return WHOLE[name]
        else:
            part = WITHIN.get(name, part)
    return part


def stack_of(frame: FrameType | None) -> Stack | None:
    """The calls below `LOOP`; None outside of a training's loop."""
    stack: list[tuple[str, str]] = []
    while frame is not None:
        function = frame.f_code.co_qualname
        if function == LOOP:
            return tuple(stack[::-1])
        module = frame.f_globals.get("__name__", "?")
        if module != __name__:  # not the counting itself
            stack.append((module, function))
        frame = frame.f_back
    return None


def tree(stacks: dict[Stack, float], least: float = 0.001) -> list[dict[str, Any]]:
    """The flame graph: one bar a call and place, with `left` and `share` of the time; bars below `least` are left out.

    Bars come parents first; `depth` counts from the loop.
    """
    total = sum(stacks.values()) or 1.0
    bars: list[dict[str, Any]] = []

    def visit(below: dict[Stack, float], depth: int, left: float) -> None:
        children: dict[tuple[str, str], dict[Stack, float]] = {}
        for stack, seconds in below.items():
            if stack:
                children.setdefault(stack[0], {})[stack[1:]] = seconds
        for (module, function), rest in sorted(children.items()):
            share = sum(rest.values()) / total
            if share >= least:
                room = module.partition(".")[0]
                bars.append(
                    {"name": function, "module": module, "room": room, "depth": depth, "left": left, "share": share}
                )
                visit(rest, depth + 1, left)
            left += share

    visit(dict(stacks), 0, 0.0)
    return bars


class _Operations(TorchDispatchMode):  # type: ignore[misc]
    """Adds up the floating-point operations of matrix products and convolutions by part."""

    def __init__(self) -> None:
        super().__init__()
        self.found: defaultdict[str, float] = defaultdict(float)
        self.by_hand = 0
        """How many functions of `Dense`, which are counted as a whole, are running."""

    def add(self, operations: float, call: str = "") -> None:
        """Notes operations of the present stack, and of a call below it that stands in the place of `Dense`'s."""
        stack = stack_of(sys._getframe()) or ()
        self.found[part_of((*stack, (Dense.__module__, call)) if call else stack)] += operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in flop_registry:
            with self:
                done = func.decompose(*args, **kwargs)
            if done is not NotImplemented:
                return done
        out = func(*args, **kwargs)
        count = flop_registry.get(func._overloadpacket)
        if count is not None and not self.by_hand:
            self.add(count(*args, **kwargs, out_val=out))
        return out


PASSES = {"forward": 1, "backward": 2, "input_gradient": 1}
"""Methods of a network by hand, and how many products with each weight they make."""


@contextmanager
def counted_operations() -> Iterator[dict[str, float]]:
    """Counts by part the operations that this thread makes inside, those of `Dense` and `CompiledDense` too."""
    counts = _Operations()
    plain = [(kind, name, vars(kind)[name]) for kind in (Dense, CompiledDense) for name in PASSES if name in vars(kind)]

    def counted(name: str, call: Any) -> Any:
        def counting(self: Any, rows: np.ndarray, *others: Any, **named: Any) -> Any:
            counts.add(2.0 * len(rows) * PASSES[name] * self.weights, f"Dense.{name}")
            counts.by_hand += 1
            try:
                return call(self, rows, *others, **named)
            finally:
                counts.by_hand -= 1

        return counting

    try:
        for kind, name, call in plain:
            setattr(kind, name, counted(name, call))
        with counts:
            yield counts.found
    finally:
        for kind, name, call in plain:
            setattr(kind, name, call)
