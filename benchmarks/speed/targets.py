"""All targets of `lossbench speed`: what is measured, relative to what, and the wanted ratio.

`pytest benchmarks` has one benchmark per target.
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
from torchvision.ops import sigmoid_focal_loss

from lossbench.losses import functional, registry

from . import baselines, cuda, growth, training_runs
from .interleaved import Ratio, time_ratio
from .memory import peak_bytes
from .target import Target
from .workloads import forward_backward, loss_inputs

COUNTERPARTS = (
    *("bce", "nll", "kl-div", "mse", "l1", "focal", "label-smoothing", "multi-margin"),
    *("multilabel-margin", "multilabel-soft-margin", "hinge-embedding", "soft-margin"),
)
"""Losses of torch and torchvision beside cross-entropy and bce-with-logits."""
ELEMENTS = 1_000_000
LARGE = 1 << 24
FUSED: dict[str, Callable[..., Tensor]] = {
    "focal": partial(sigmoid_focal_loss, reduction="mean"),
    "label-smoothing": partial(F.cross_entropy, label_smoothing=0.1),
    "kl-div": partial(F.kl_div, reduction="batchmean"),
    "multi-margin": F.multi_margin_loss,
    "multilabel-margin": F.multilabel_margin_loss,
    "multilabel-soft-margin": F.multilabel_soft_margin_loss,
}
"""Counterparts in torch and torchvision where the registry's reference is several operations."""


def all_targets() -> Iterator[Target]:
    """Yield the targets of the CPU, and those of a GPU where there is one."""
    yield from loss_targets()
    yield from training_targets()
    yield Target("start", "lossbench --help", help_seconds, 0.4, unit=" s")
    import_name = "import lossbench.losses, beyond torch"
    yield Target("start", import_name, import_seconds, 0.030, unit=" s")
    yield from growth.growth_targets()
    yield from cuda.cuda_targets()


def loss_targets() -> Iterator[Target]:
    """Yield time and memory of the losses relative to torch's."""
    for shape, bound in (
        ((64, 2), 0.85),
        ((512, 10), 0.85),
        ((1024, 1000), 0.20),
        ((4096, 1000), 0.20),
        ((2048, 32000), 0.20),
        ((8, 21, 256, 256), 0.25),
    ):
        size = ", ".join(map(str, shape))
        yield Target("losses", f"cross-entropy ({size})", partial(cross_entropy, shape), bound)
    for count, bound in ((64, 0.85), (LARGE, 0.20)):
        bce = partial(binary, functional.binary_cross_entropy_with_logits, count)
        measure = partial(bce, F.binary_cross_entropy_with_logits)
        yield Target("losses", f"bce-with-logits, {count:,}", measure, bound)
    focal = partial(functional.sigmoid_focal_loss, reduction="mean")
    measure = partial(binary, focal, LARGE, FUSED["focal"])
    yield Target("losses", f"focal, {LARGE:,}, torchvision's", measure, 0.20)
    for name in COUNTERPARTS:
        yield Target("losses", f"{name}, {ELEMENTS:,}", partial(counterpart, name), 0.50)
    yield Target("memory", "cross-entropy (4096, 1000), of the logits", logits_memory, 1.05)


def training_targets() -> Iterator[Target]:
    """Yield times of trainings relative to those of other implementations."""

    def faster(name: str, measure: Callable[[float], Ratio], bound: float) -> Target:
        return Target("training", name, measure, bound, at_least=True, unit=" x")

    small = "files of 32 px, ImageFolder and DataLoader"
    yield faster(small, baselines.small_images, 3.3)
    yield faster("photographs of 400 px, the same", baselines.photographs, 8.0)
    recorded = training_runs.recorded_run_ratio
    yield Target("training", "a run with probes and TensorBoard", recorded, 1.03)
    if training_runs.has_lightning():
        yield faster("Lightning's Trainer, in memory", training_runs.lightning_ratio, 1.2)
    yield faster("runs in processes, one at a time", baselines.runs_in_processes, 1.4)


# --- losses --------------------------------------------------------------------------------------


def random_logits(shape: tuple[int, ...]) -> Tensor:
    """Return logits with a standard deviation of 3, the same in every process."""
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def random_index(shape: tuple[int, ...]) -> Tensor:
    """Return class indices for logits of `shape`, whose second dimension counts the classes."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)


def backward_ratio(
    loss: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    seconds: float,
    input: Tensor,
    target: Tensor,
) -> Ratio:
    """Measure forward + backward of `loss` relative to `reference`."""
    ours, theirs = (forward_backward(each, input, target) for each in (loss, reference))
    return time_ratio(ours, theirs, seconds, min_pairs=5)


def cross_entropy(shape: tuple[int, ...], seconds: float) -> Ratio:
    """Measure cross-entropy with class indices relative to torch's."""
    logits, target = random_logits(shape), random_index(shape)
    return backward_ratio(functional.cross_entropy, F.cross_entropy, seconds, logits, target)


def binary(
    loss: Callable[..., Tensor], count: int, reference: Callable[..., Tensor], seconds: float
) -> Ratio:
    """Measure a loss of `count` logits and targets of 0 or 1 relative to `reference`."""
    target = torch.randint(0, 2, (count,), generator=torch.Generator().manual_seed(1)).float()
    return backward_ratio(loss, reference, seconds, random_logits((count,)), target)


def counterpart(name: str, seconds: float) -> Ratio:
    """Measure the registered loss `name` relative to torch's or torchvision's."""
    entry = registry.entry(name)
    shape = (ELEMENTS,) if entry.task == "binary" else (ELEMENTS // 1000, 1000)
    input, target = loss_inputs(entry, shape, torch.float32, torch.device("cpu"))
    reference: Any = FUSED.get(name, entry.reference)
    return backward_ratio(entry.build(), reference, seconds, input, target)


def logits_memory(_seconds: float) -> Ratio:
    """Measure the peak memory of cross-entropy's forward + backward in sizes of the logits."""
    shape = (4096, 1000)
    z, y = random_logits(shape).requires_grad_(), random_index(shape)
    peak = peak_bytes(lambda: torch.autograd.grad(functional.cross_entropy(z, y), z))
    return Ratio.single(peak / (z.numel() * z.element_size()))


# --- start-up time -------------------------------------------------------------------------------


def run_python(*arguments: str) -> str:
    """Run Python with bytecode as an installed package has it, and return what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout


def help_seconds(_seconds: float) -> Ratio:
    """Measure the seconds of a process that prints the help."""

    def once() -> float:
        start = time.perf_counter()
        run_python("-m", "lossbench", "--help")
        return time.perf_counter() - start

    once()
    return Ratio.of([once() for _ in range(9)])


def import_seconds(_seconds: float) -> Ratio:
    """Measure the seconds that importing the losses takes a process that has imported torch."""
    program = (
        "import time, torch; t = time.perf_counter(); import lossbench.losses; "
        "print(time.perf_counter() - t)"
    )
    run_python("-c", program)
    return Ratio.of([float(run_python("-c", program)) for _ in range(9)])
