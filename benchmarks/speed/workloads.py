"""Work that is timed: inputs of a loss, and its forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.losses.registry import Entry

from .interleaved import Work


def loss_inputs(
    entry: Entry, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return an input and a target for a loss, the same in every process.

    Args:
        entry: the loss.
        shape: of the input: (N,) for a binary loss, else (N, C).
        dtype: of the input, and of a target that is not an index.
        device: of both.
    """
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(shape, generator=generator)).to(dtype)
    classes = 2 if entry.task == "binary" else shape[1]
    labels = torch.randint(0, classes, shape[:1], generator=generator)
    input, target = entry.input_from_logits(logits), entry.target_from_labels(labels, logits)
    return input.to(device), target.to(device)


def forward(loss: Callable[..., Tensor], input: Tensor, *target: Tensor) -> Work:
    """Return work that computes the loss without a graph."""

    @torch.no_grad()
    def work() -> Tensor:
        return loss(input, *target)

    return work


def forward_backward(loss: Callable[..., Tensor], input: Tensor, *target: Tensor) -> Work:
    """Return work that computes the loss and its gradient with respect to `input`."""
    input = input.detach().requires_grad_()
    return lambda: torch.autograd.grad(loss(input, *target), input)
