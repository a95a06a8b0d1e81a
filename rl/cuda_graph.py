"""A function captured once as a CUDA graph and replayed on new inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")


class CudaGraph(Generic[P, T]):
    """A function of CUDA tensors whose kernels are captured once and then launched together, as one CUDA graph.

    PyTorch takes longer to launch the hundreds of kernels of a small update than the GPU takes to run them. Every call
    must run the same kernels: the function may read no number back to the CPU, must not depend on anything else that
    changes, and may change tensors in place only. The first `WARM_UP` calls run without a graph, because libraries
    initialise themselves at their first use. Then the graph is captured; capturing executes nothing. A function that
    cannot be captured, or whose first calls had different shapes, always runs without a graph. So does a call whose
    shapes differ from the captured ones.

    Args:
        function: takes and returns tensors, alone or in dicts, tuples and NamedTuples.
        device: the GPU that they are on.
        generators: generators of the GPU that it draws from, besides PyTorch's own.
    """

    WARM_UP = 3

    def __init__(
        self, function: Callable[P, T], device: torch.device, generators: Sequence[torch.Generator] = ()
    ) -> None:
        self.function, self.device, self.generators = function, device, generators
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream(device)  # of the warm-up and the capture
        self._shapes: list[Any] = []  # of the newest call's tensors
        self._given: list[Tensor] = []  # the captured arguments' tensors; each call copies its arguments into them
        self._out: Any = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        given = list(_tensors((args, kwargs)))
        before, self._shapes = self._shapes, [(x.shape, x.dtype) for x in given]
        self.calls += 1
        with torch.cuda.device(self.device):
            if self.calls == self.WARM_UP + 1 and self._shapes == before:
                self._capture(*args, **kwargs)
            if self.graph is None or self._shapes != [(x.shape, x.dtype) for x in self._given]:
                return self._launch(*args, **kwargs)
            for held, x in zip(self._given, given, strict=True):
                held.copy_(x)
            self.graph.replay()
            return _each(self._out, torch.clone)  # type: ignore[no-any-return]  # the next call overwrites the captured output

    def _launch(self, *args: P.args, **kwargs: P.kwargs) -> T:
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            out = self.function(*args, **kwargs)
        current.wait_stream(self._stream)
        return out

    def _capture(self, *args: P.args, **kwargs: P.kwargs) -> None:
        args, kwargs = _each((args, kwargs), torch.clone)  # type: ignore[assignment]
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        for generator in self.generators:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._out = self.function(*args, **kwargs)
        except RuntimeError as error:
            torch.cuda.set_stream(current)  # a failed capture leaves its own stream current
            warnings.warn(f"this update runs without a CUDA graph: {str(error).splitlines()[0]}", stacklevel=2)
            return
        self.graph, self._given = graph, list(_tensors((args, kwargs)))


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested dicts and tuples, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Nested dicts and tuples with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {name: _each(part, change) for name, part in value.items()}
    if isinstance(value, tuple):
        parts = [_each(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
