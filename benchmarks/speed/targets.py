"""What lossbench means to be ahead of, by how much, and how each of it is measured.

`lossbench speed` prints all rows, and `pytest benchmarks` has one benchmark a row.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.losses import functional, registry

from . import growth, usual, whole_runs
from .interleaved import Ratio, ratio
from .memory import peak
from .row import Row, forward_backward

# The losses that torch or torchvision has, beside cross-entropy and bce-with-logits.
COUNTERPARTS = (
    *("bce", "nll", "kl-div", "mse", "l1", "focal", "label-smoothing", "multi-margin"),
    *("multilabel-margin", "multilabel-soft-margin", "hinge-embedding", "soft-margin"),
)
ELEMENTS = 1_000_000
LARGE = 1 << 24


def rows() -> Iterator[Row]:
    """All rows: those of the CPU, and those of a GPU where there is one."""
    from . import on_cuda

    yield from on_the_cpu()
    yield from on_cuda.rows()


def on_the_cpu() -> Iterator[Row]:
    for shape, target in (
        ((64, 2), 0.85),
        ((512, 10), 0.85),
        ((1024, 1000), 0.20),
        ((4096, 1000), 0.20),
        ((2048, 32000), 0.20),
        ((8, 21, 256, 256), 0.25),
    ):
        size = ", ".join(map(str, shape))
        yield Row("losses", f"cross-entropy ({size})", partial(_cross_entropy, shape), target)
    for count, target in ((64, 0.85), (LARGE, 0.20)):
        measure = partial(_binary, "bce-with-logits", count)
        yield Row("losses", f"bce-with-logits, {count:,}", measure, target)
    yield Row("losses", f"focal, {LARGE:,}, torchvision's", partial(_binary, "focal", LARGE), 0.20)
    for name in COUNTERPARTS:
        yield Row("losses", f"{name}, {ELEMENTS:,}", partial(_counterpart, name), 0.50)
    yield Row("memory", "cross-entropy (4096, 1000), of the logits", _memory, 1.05)
    few, many = "files of 32 px, ImageFolder and DataLoader", "photographs of 400 px, the same"
    yield Row("training", few, usual.small_pictures, 3.3, at_least=True, unit=" x")
    yield Row("training", many, usual.photographs, 8.0, at_least=True, unit=" x")
    yield Row("training", "a run with probes and TensorBoard", whole_runs.recorded, 1.03)
    if whole_runs.has_lightning():
        theirs = whole_runs.against_lightning
        yield Row(
            "training", "Lightning's Trainer, in memory", theirs, 1.2, at_least=True, unit=" x"
        )
    runs = "runs in processes, one at a time"
    yield Row("training", runs, usual.many_runs, 1.4, at_least=True, unit=" x")
    yield Row("start", "lossbench --help", _help, 0.4, unit=" s")
    yield Row("start", "import lossbench.losses, beyond torch", _import, 0.030, unit=" s")
    yield from growth.rows()


def logits(shape: tuple[int, ...]) -> Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _against(
    ours: Callable[..., Tensor],
    theirs: Callable[..., Tensor],
    seconds: float,
    z: Tensor,
    *target: Tensor,
) -> Ratio:
    return ratio(
        forward_backward(ours, z, *target), forward_backward(theirs, z, *target), seconds, least=5
    )


def _index(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)


def _cross_entropy(shape: tuple[int, ...], seconds: float) -> Ratio:
    return _against(
        functional.cross_entropy, F.cross_entropy, seconds, logits(shape), _index(shape)
    )


def _binary(name: str, size: int, seconds: float) -> Ratio:
    target = torch.randint(0, 2, (size,), generator=torch.Generator().manual_seed(1)).float()
    z = logits((size,))
    if name == "bce-with-logits":
        ours: Any = functional.binary_cross_entropy_with_logits
        return _against(ours, F.binary_cross_entropy_with_logits, seconds, z, target)
    from torchvision.ops import sigmoid_focal_loss

    theirs = partial(sigmoid_focal_loss, reduction="mean")
    return _against(
        partial(functional.sigmoid_focal_loss, reduction="mean"), theirs, seconds, z, target
    )


def _counterpart(name: str, seconds: float) -> Ratio:
    from .bench_losses import arguments

    entry = registry.entry(name)
    shape = (ELEMENTS,) if entry.task == "binary" else (ELEMENTS // 1000, 1000)
    z, target = arguments(entry, shape, torch.float32, torch.device("cpu"))
    theirs: Any = entry.reference
    if name == "focal":
        from torchvision.ops import sigmoid_focal_loss

        theirs = partial(sigmoid_focal_loss, reduction="mean")
    elif name in _TORCH:
        theirs = _TORCH[name]
    return _against(entry.build(), theirs, seconds, z, target)


# torch's own, where the registry's reference is made of several operations.
_TORCH: dict[str, Callable[..., Tensor]] = {
    "label-smoothing": partial(F.cross_entropy, label_smoothing=0.1),
    "kl-div": partial(F.kl_div, reduction="batchmean"),
    "multi-margin": F.multi_margin_loss,
    "multilabel-margin": F.multilabel_margin_loss,
    "multilabel-soft-margin": F.multilabel_soft_margin_loss,
}


def _memory(_seconds: float) -> Ratio:
    """What a forward and backward pass allocates at most, over the size of the logits."""
    z = logits((4096, 1000)).requires_grad_()
    y = _index((4096, 1000))
    most = peak(lambda: torch.autograd.grad(functional.cross_entropy(z, y), z))
    return Ratio.of([most / (z.numel() * z.element_size())] * 2)


# As an installed package is: not compiled from its source each time.
_WITH_BYTECODE = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _help(_seconds: float) -> Ratio:
    """Seconds of a process."""

    def once() -> float:
        began = time.perf_counter()
        command = [sys.executable, "-m", "lossbench.benchmarks.cli", "--help"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_WITH_BYTECODE)
        return time.perf_counter() - began

    once()
    return Ratio.of([once() for _ in range(9)])


def _import(_seconds: float) -> Ratio:
    """Seconds of the import in a process that has torch."""
    program = (
        "import time, torch; t = time.perf_counter(); import lossbench.losses; "
        "print(time.perf_counter() - t)"
    )

    def once() -> float:
        done = subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env=_WITH_BYTECODE,
        )
        return float(done.stdout)

    once()
    return Ratio.of([once() for _ in range(9)])
