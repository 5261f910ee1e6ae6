"""Pieces of a training step: learning rate schedule, optimizer, and CUDA graph."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

MOMENTUM = 0.9


def one_cycle(step: int, total_steps: int) -> float:
    """Return the fraction of the peak learning rate at a step.

    It rises linearly over a quarter of the steps and falls linearly over the rest.
    """
    position = (step + 0.5) / total_steps
    return position / 0.25 if position < 0.25 else (1 - position) / 0.75


def build_optimizer(weight_decay: float, model: nn.Module) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum and learning rate 0; see `set_learning_rate`.

    Weight decay does not apply to biases and normalization.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    # The fused version accepts the rate as a tensor, which a CUDA graph reads at each replay.
    fused = parameters[0].is_cuda
    return torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM, nesterov=True, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the optimizer's next step."""
    groups = optimizer.param_groups
    device, current = groups[0]["params"][0].device, groups[0]["lr"]
    if isinstance(current, Tensor):
        current.fill_(rate)  # in place: a CUDA graph holds its address
        return
    lr = torch.tensor(rate, device=device) if device.type == "cuda" else rate
    for group in groups:
        group["lr"] = lr


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
