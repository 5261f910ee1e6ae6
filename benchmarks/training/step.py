"""One step of training: forward, backward, a look at the gradients, and the optimiser's step."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .gradient_probes import GradientProbes, StepRecord
from .objective import Objective

MOMENTUM = 0.9


def one_cycle(step: int, steps: int) -> float:
    """The share of the peak learning rate: up over a quarter of the steps, down over the rest."""
    at = (step + 0.5) / steps
    return at / 0.25 if at < 0.25 else (1 - at) / 0.75


def build_optimizer(weight_decay: float, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; weight decay spares biases and normalisation. The rate is that
    of `set_learning_rate`."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    # The one whose rate may be a tensor, which a CUDA graph reads when it is replayed.
    fused = parameters[0].is_cuda
    return torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM, nesterov=True, fused=fused)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Have the optimiser take its next step with this learning rate."""
    groups = optimiser.param_groups
    device, now = groups[0]["params"][0].device, groups[0]["lr"]
    if isinstance(now, Tensor):
        now.fill_(rate)  # where a CUDA graph looks for it
        return
    lr = torch.tensor(rate, device=device) if device.type == "cuda" else rate
    for group in groups:
        group["lr"] = lr


class Step:
    """Called with the labels of a batch and what `pixels` makes the batch of, takes a step.

    Args:
        pixels: makes a batch (N, 3, H, W) of what was drawn for it.
        forward: the network's outputs for a batch.
        probes: keep what is seen of the gradients.
    """

    def __init__(
        self,
        pixels: Callable[..., Tensor],
        forward: Callable[[Tensor], Tensor],
        objective: Objective,
        optimiser: torch.optim.Optimizer,
        probes: GradientProbes,
    ) -> None:
        self.pixels, self.forward, self.objective = pixels, forward, objective
        self.optimiser, self.probes = optimiser, probes

    def __call__(self, labels: Tensor, *drawn: Tensor) -> None:
        self.probes.keep(self._taken(labels, *drawn))

    def _taken(self, labels: Tensor, *drawn: Tensor) -> StepRecord:
        logits = self.objective.logits(self.forward(self.pixels(*drawn)))
        logits.retain_grad()
        loss = self.objective(logits, labels).mean()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        look = self.probes.look(logits, labels, loss)
        self.optimiser.step()
        return look


class GraphedStep(Step):
    """The same step as a CUDA graph: all of its kernels are started by one call, where a small
    network's are over sooner than Python can start the next. The kernels are the same ones.

    It is recorded once, so nothing in the step may be decided on the host. It has to be called on
    another stream than the default one, always the same.
    """

    EAGER = 2
    """Steps before the recording: the first makes what the optimiser keeps, and what libraries
    set up when they are first used must not be a part of the graph."""

    graph: torch.cuda.CUDAGraph | None = None
    taken = 0

    def __call__(self, labels: Tensor, *drawn: Tensor) -> None:
        if self.taken < self.EAGER:
            self.taken += 1
            super().__call__(labels, *drawn)
            return
        if self.graph is None:
            self._record(labels, *drawn)
        assert self.graph is not None
        torch._foreach_copy_(self.batch, [labels, *drawn])
        self.graph.replay()
        # The labels of an epoch stay as they are; what the graph has seen is overwritten.
        self.probes.keep(StepRecord(labels, self.look.numbers.clone()))

    def _record(self, *batch: Tensor) -> None:
        self.batch = [part.clone() for part in batch]
        self.graph = torch.cuda.CUDAGraph()
        # A collection could free another graph meanwhile, which is no part of this one.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self.graph.capture_begin()
            try:
                self.look = self._taken(*self.batch)
            finally:
                self.graph.capture_end()
        finally:
            if collecting:
                gc.enable()
