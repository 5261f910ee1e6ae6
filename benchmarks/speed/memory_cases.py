"""Memory of our losses relative to torch's, in use cases where a loss can keep too many tensors.

The sizes are small: only the ratio is of interest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lossbench.losses import functional

from .interleaved import Ratio
from .peak_memory import kept_bytes, peak_bytes
from .target import SpeedTarget

BOUND = 1.05
ROWS, CLASSES, FEATURES, CHUNKS = 256, 4096, 32, 8
LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "cross-entropy": (functional.cross_entropy, F.cross_entropy),
    "bce-with-logits": (
        functional.binary_cross_entropy_with_logits,
        F.binary_cross_entropy_with_logits,
    ),
}
"""Name -> ours and torch's."""

Loss = Callable[..., Tensor]


def memory_targets() -> Iterator[SpeedTarget]:
    """Yield all targets of memory."""
    situations = {
        "forward + backward, peak": forward_backward,
        "graph kept after forward": graph_kept,
        "four losses summed, peak": four_summed,
        "checkpoint over head and loss": checkpointed,
    }
    for name in LOSSES:
        for situation, bytes_of in situations.items():
            measure = partial(beside_torch, name, bytes_of)
            yield SpeedTarget("memory", f"{name}, {situation}", measure, BOUND)


def beside_torch(name: str, bytes_of: Callable[[str, Loss], int], _seconds: float) -> Ratio:
    """Measure the bytes of our loss relative to those of torch's."""
    ours, theirs = (bytes_of(name, loss) for loss in LOSSES[name])
    return Ratio.single(ours / theirs)


def forward_backward(name: str, loss: Loss) -> int:
    """Return the peak of bytes of a forward and backward pass."""
    z, target = inputs(name)
    return peak_bytes(lambda: torch.autograd.grad(loss(z, target), z))


def graph_kept(name: str, loss: Loss) -> int:
    """Return the bytes that a loss keeps for its backward pass."""
    z, target = inputs(name)
    # Logits that a network computes: their memory counts if it is kept.
    return kept_bytes(lambda: loss(2 * z, target))


def four_summed(name: str, loss: Loss) -> int:
    """Return the peak of bytes of a backward pass through the sum of four losses."""
    z, target = inputs(name)

    def work() -> object:
        losses = [loss(factor * z, target) for factor in (1.0, 2.0, 3.0, 4.0)]
        return torch.autograd.grad(torch.stack(losses).sum(), z)

    return peak_bytes(work)


def checkpointed(name: str, loss: Loss) -> int:
    """Return the bytes kept after the forward pass of head and loss, recomputed chunk by chunk."""
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(CHUNKS * ROWS, FEATURES, generator=generator, requires_grad=True)
    head = torch.randn(CLASSES, FEATURES, generator=generator, requires_grad=True)
    _, target = inputs(name)

    def of_chunk(chunk: Tensor) -> Tensor:
        return loss(chunk @ head.T, target)

    def work() -> object:
        chunks = features.chunk(CHUNKS)
        return sum(checkpoint(of_chunk, chunk, use_reentrant=False) for chunk in chunks)

    return kept_bytes(work)


def inputs(name: str) -> tuple[Tensor, Tensor]:
    """Return logits and a target."""
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(ROWS, CLASSES, generator=generator)
    if name == "cross-entropy":
        target = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    else:
        target = (torch.rand(z.shape, generator=generator) < 0.5).float()
    return z.requires_grad_(), target
