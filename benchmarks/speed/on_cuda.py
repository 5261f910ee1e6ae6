"""The rows of the speed table for a GPU: the losses' kernels beside torch's, beside Liger's where
it is installed, and beside a copy, which moves each byte as fast as the memory can.

A sample lies between two events of the device. The device is first given something else to do, so
that it finds all of a sample's work waiting and no time of the CPU's counts; it also empties the
cache.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.executors.cuda_streams import run_all
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.train import Trainer
from lossbench.losses import functional

from . import to_accuracy
from .interleaved import Ratio, Work, of_turns
from .row import Row, forward_backward
from .usual import noise_set

SHAPES = ((16384, 32768), (16384, 131072))
DTYPES = (torch.float32, torch.bfloat16)
ELEMENTS = 1 << 26
# Seconds of a sample and of a row.
SAMPLE, PAIRS = 0.004, 7


def rows() -> Iterator[Row]:
    """None where there is no GPU."""
    if not torch.cuda.is_available():
        return
    for shape in SHAPES:
        for dtype in DTYPES:
            name = f"cross-entropy ({shape[0]}, {shape[1]}), {str(dtype).removeprefix('torch.')}"
            yield Row("cuda", f"{name}, torch's", partial(_cross_entropy, shape, dtype), 0.40)
            if liger() is not None:
                yield Row("cuda", f"{name}, Liger's", partial(_beside_liger, shape, dtype), 1.0)
            share = partial(_share_of_copy, "cross-entropy", shape, dtype)
            yield Row("cuda", f"{name}, bandwidth of a copy", share, 0.85, at_least=True)
    for loss in ("bce-with-logits", "focal"):
        for dtype in DTYPES:
            name = f"{loss}, {ELEMENTS:,}, {str(dtype).removeprefix('torch.')}"
            theirs = "torch's" if loss == "bce-with-logits" else "torchvision's"
            yield Row("cuda", f"{name}, {theirs}", partial(_binary, loss, dtype), 0.40)
            share = partial(_share_of_copy, loss, (ELEMENTS,), dtype)
            yield Row("cuda", f"{name}, bandwidth of a copy", share, 0.85, at_least=True)
    runs = "50 runs side by side, one at a time without graphs"
    yield Row("cuda", runs, _side_by_side, 10.0, at_least=True, unit=" x")
    until = f"training to {100 * to_accuracy.ACCURACY:g} % on CIFAR-10, straightforward recipe's"
    yield Row("cuda", until, to_accuracy.measure, 1.0, at_least=True, unit=" x")


@cache
def liger() -> Any:
    """Liger's cross-entropy as an autograd function, or None where it is not installed."""
    try:
        from liger_kernel.ops.cross_entropy import LigerCrossEntropyFunction
    except Exception:  # It asks for more than it is installed with.
        return None
    return LigerCrossEntropyFunction


# --- time ----------------------------------------------------------------------------------------


@cache
def _elsewhere() -> Tensor:
    """Memory larger than the cache."""
    return torch.empty(1 << 28, dtype=torch.uint8, device="cuda")


def seconds_of(work: Work, calls: int) -> float:
    """Seconds that `calls` calls take the device."""
    event: Any = torch.cuda.Event
    begin, end = event(enable_timing=True), event(enable_timing=True)
    for _ in range(8):
        _elsewhere().zero_()
    begin.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def calls_for(work: Work) -> int:
    work()
    return max(1, round(SAMPLE / seconds_of(work, 1)))


def ratio(ours: Work, theirs: Work, seconds: float) -> Ratio:
    """Time of `ours` over that of `theirs`, in turns."""
    of_ours, of_theirs = calls_for(ours), calls_for(theirs)
    found = of_turns(
        lambda: seconds_of(ours, of_ours) / of_ours,
        lambda: seconds_of(theirs, of_theirs) / of_theirs,
        seconds,
        PAIRS,
    )
    # The next row's tensors are as large.
    torch.cuda.empty_cache()
    return found


# --- what is measured ----------------------------------------------------------------------------


def logits(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(0)
    return torch.empty(shape, dtype=dtype, device="cuda").normal_(0, 3, generator=generator)


def index(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(1)
    return torch.randint(shape[1], shape[:1], device="cuda", generator=generator)


def _cross_entropy(shape: tuple[int, ...], dtype: torch.dtype, seconds: float) -> Ratio:
    z, y = logits(shape, dtype), index(shape)
    ours = forward_backward(functional.cross_entropy, z, y)
    return ratio(ours, forward_backward(F.cross_entropy, z, y), seconds)


def _beside_liger(shape: tuple[int, ...], dtype: torch.dtype, seconds: float) -> Ratio:
    """Liger's kernel writes the gradient over the logits, in its forward pass: it is given a copy,
    which is made once and outside of what is timed. From its second call on the numbers in it are
    its own gradients, which it takes for logits; it takes as long for them."""
    z, y = logits(shape, dtype), index(shape)
    ours = forward_backward(functional.cross_entropy, z, y)
    written_over = z.clone()

    def theirs(x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = liger().apply(x, y, None)[0]
        return loss

    return ratio(ours, forward_backward(theirs, written_over, y), seconds)


def _work(loss: str, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Work, Tensor, Tensor]:
    z = logits(shape, dtype)
    if loss == "cross-entropy":
        y = index(shape)
        return forward_backward(functional.cross_entropy, z, y), z, y
    t = (torch.rand(shape, device="cuda") < 0.5).to(dtype)
    ours: Any = functional.binary_cross_entropy_with_logits
    if loss == "focal":
        ours = partial(functional.sigmoid_focal_loss, reduction="mean")
    return forward_backward(ours, z, t), z, t


def _binary(loss: str, dtype: torch.dtype, seconds: float) -> Ratio:
    ours, z, t = _work(loss, (ELEMENTS,), dtype)
    theirs: Any = F.binary_cross_entropy_with_logits
    if loss == "focal":
        from torchvision.ops import sigmoid_focal_loss

        theirs = partial(sigmoid_focal_loss, reduction="mean")
    return ratio(ours, forward_backward(theirs, z, t), seconds)


def _share_of_copy(loss: str, shape: tuple[int, ...], dtype: torch.dtype, seconds: float) -> Ratio:
    """Bytes a second over those of a copy: the logits are read and their gradient is written, and
    a loss of single numbers reads its targets too. A copy reads and writes each byte."""
    ours, z, target = _work(loss, shape, dtype)
    size = z.numel() * z.element_size()
    moved = 2 * size if loss == "cross-entropy" else 2 * size + target.numel() * z.element_size()
    to = torch.empty_like(z)
    found = ratio(lambda: to.copy_(z), ours, seconds)
    share = moved / (2 * size)
    return Ratio(share * found.median, share * found.lower, share * found.upper, found.pairs)


def _side_by_side(seconds: float) -> Ratio:
    """Time of a run of the default comparison (ten losses, five seeds) with a step started kernel
    by kernel, one run at a time, over that of all 50 side by side."""
    device = torch.device("cuda")
    material = prepare(noise_set(10_000, 32), device)
    base = RunConfig("cross-entropy", 0, CompareConfig().learning_rate)
    trials = [replace(base, loss=loss, seed=seed) for seed in range(5) for loss in ARTICLE_LOSSES]

    def trained(chosen: Sequence[RunConfig], most: int | None) -> float:
        began = time.perf_counter()
        runs = (
            (trial, lambda trial=trial: nullcontext(Trainer(trial, material, log_every=10)))
            for trial in chosen
        )
        for _, ended in run_all(runs, device, most):
            ended.result()
        torch.cuda.synchronize(device)
        return (time.perf_counter() - began) / len(chosen)

    alone = [replace(trial, cuda_graphs=False) for trial in trials[::11]]
    trained(trials[:1], 1)
    return of_turns(lambda: trained(alone, 1), lambda: trained(trials, None), seconds, 3)
