"""Forward and forward + backward of every registered loss beside its torch counterpart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.speed.interleaved import Work
from lossbench.benchmarks.speed.workloads import forward, forward_backward, loss_inputs
from lossbench.losses import registry

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "binary": [(64,), (1_000_000,)],
    "multiclass": [(64, 2), (512, 10), (1024, 1000)],
    # Pairs of classes are compared: a thousand classes are a million numbers per row.
    "multilabel": [(64, 2), (512, 10), (256, 100)],
}


def cases() -> Iterator[Any]:
    """Yield name, shape and dtype of each benchmark.

    The article's losses are measured at every shape in two dtypes, any other at its largest shape
    in float32: all combinations would take a quarter of an hour.
    """
    for name in registry.names():
        in_article = name in ARTICLE_LOSSES
        shapes = SHAPES[registry.entry(name).task]
        for shape in shapes if in_article else shapes[-1:]:
            for dtype in (torch.float32, torch.bfloat16) if in_article else (torch.float32,):
                size = "x".join(map(str, shape))
                yield pytest.param(name, shape, dtype, id=f"{name}-{size}-{str(dtype)[6:]}")


@pytest.mark.benchmark(max_time=0.1, min_rounds=5)
@pytest.mark.parametrize("direction", [forward, forward_backward], ids=lambda d: d.__name__)
@pytest.mark.parametrize(("name", "shape", "dtype"), list(cases()))
@pytest.mark.parametrize("implementation", ["lossbench", "torch"])
def bench_loss(
    measure: Callable[..., Any],
    device: torch.device,
    implementation: str,
    name: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    direction: Callable[..., Work],
) -> None:
    entry = registry.entry(name)
    assert entry.reference is not None
    input, target = loss_inputs(entry, shape, dtype, device)
    reference = direction(entry.reference, input, target)
    group = f"{direction.__name__} {'x'.join(map(str, shape))} {str(dtype)[6:]} {device.type}"
    # torch against itself shows how far a ratio strays from 1 by chance.
    loss = entry.reference if implementation == "torch" else entry.build()
    measure(direction(loss, input, target), device, group=group, reference=reference)
