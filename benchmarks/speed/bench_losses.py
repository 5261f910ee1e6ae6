"""Forward and forward + backward of every registered loss beside its torch counterpart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.losses import registry
from lossbench.losses.registry import Entry

from .interleaved import Work

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "binary": [(64,), (1_000_000,)],
    "multiclass": [(64, 2), (512, 10), (1024, 1000)],
    # Pairs of classes are compared: a thousand classes are a million numbers a row.
    "multilabel": [(64, 2), (512, 10), (256, 100)],
}


def cases() -> Iterator[Any]:
    """The losses of the argument at every shape and in two dtypes, any other at its largest shape
    in float32: all of everything would take a quarter of an hour."""
    for name in registry.names():
        whole = name in ARTICLE_LOSSES
        shapes = SHAPES[registry.entry(name).task]
        for shape in shapes if whole else shapes[-1:]:
            for dtype in (torch.float32, torch.bfloat16) if whole else (torch.float32,):
                size = "x".join(map(str, shape))
                yield pytest.param(name, shape, dtype, id=f"{name}-{size}-{str(dtype)[6:]}")


def arguments(
    entry: Entry, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """An input of the kind that the loss takes, and a target; the same in every process."""
    generator = torch.Generator().manual_seed(0)
    z = (3 * torch.randn(shape, generator=generator)).to(dtype)
    classes = 2 if entry.task == "binary" else shape[1]
    labels = torch.randint(0, classes, shape[:1], generator=generator)
    input, target = entry.input_from_logits(z), entry.target_from_labels(labels, z)
    return input.to(device), target.to(device)


def forward(loss: Callable[..., torch.Tensor], z: torch.Tensor, target: torch.Tensor) -> Work:
    @torch.no_grad()
    def work() -> Any:
        return loss(z, target)

    return work


def forward_backward(
    loss: Callable[..., torch.Tensor], z: torch.Tensor, target: torch.Tensor
) -> Work:
    z = z.detach().requires_grad_()
    return lambda: torch.autograd.grad(loss(z, target), z)


@pytest.mark.benchmark(max_time=0.1, min_rounds=5)
@pytest.mark.parametrize("direction", [forward, forward_backward], ids=lambda d: d.__name__)
@pytest.mark.parametrize(("name", "shape", "dtype"), list(cases()))
@pytest.mark.parametrize("whose", ["lossbench", "torch"])
def bench_loss(
    measure: Callable[..., Any],
    device: torch.device,
    whose: str,
    name: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    direction: Callable[..., Work],
) -> None:
    entry = registry.entry(name)
    assert entry.reference is not None
    z, target = arguments(entry, shape, dtype, device)
    theirs = direction(entry.reference, z, target)
    group = f"{direction.__name__} {'x'.join(map(str, shape))} {str(dtype)[6:]} {device.type}"
    # torch against itself shows how far a ratio strays from 1 by chance.
    loss = entry.reference if whose == "torch" else entry.build()
    measure(direction(loss, z, target), device, group=group, against=theirs)
