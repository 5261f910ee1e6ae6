"""Run a training step on a CUDA device: its stream and its graph."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def side_stream(device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Return a function that makes contexts of one new CUDA stream; on the CPU they do nothing.

    A CUDA graph cannot be captured on the default stream, and runs on different streams overlap.
    """
    if device.type != "cuda":
        return nullcontext
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    # The data were copied to the device on the current stream.
    stream.wait_stream(torch.cuda.current_stream(device))
    return lambda: torch.cuda.stream(stream)


class CudaGraph:
    """Call a function as one CUDA graph: all of its kernels are launched at once.

    The kernels of a small network end sooner than Python can launch the next. The function is
    captured once, so it must not decide anything on the host. Call it on one side stream, always
    with the same function and shapes.
    """

    EAGER_CALLS = 2
    """Calls before the capture: the optimizer creates its state, libraries initialize."""

    def __init__(self) -> None:
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        self.calls += 1
        if self.calls <= self.EAGER_CALLS:
            return function(*inputs)
        if self.graph is None:
            self._capture(function, *inputs)
        assert self.graph is not None
        torch._foreach_copy_(self.inputs, list(inputs))
        self.graph.replay()
        return self.output.clone()  # the next replay overwrites it

    def _capture(self, function: Callable[..., Tensor], *inputs: Tensor) -> None:
        self.inputs = [part.clone() for part in inputs]
        self.graph = torch.cuda.CUDAGraph()
        # A garbage collection during the capture could free another graph.
        enabled = gc.isenabled()
        gc.disable()
        try:
            self.graph.capture_begin()
            try:
                self.output = function(*self.inputs)
            finally:
                self.graph.capture_end()
        finally:
            if enabled:
                gc.enable()
