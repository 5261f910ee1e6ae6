"""Targets on a GPU: the losses' kernels relative to torch's, to Liger's and to a copy.

A copy moves each byte as fast as the memory can. A sample is timed between two events on the
device. Other work is queued before it, so that the device never waits for the CPU within a sample;
that work also evicts the cache.
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
from torchvision.ops import sigmoid_focal_loss

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig, RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.executors.cuda_streams import run_all
from lossbench.benchmarks.training.train import Trainer
from lossbench.losses import functional

from . import time_to_accuracy
from .baselines import noise_images
from .interleaved import Ratio, Work, interleave
from .target import Target
from .workloads import forward_backward

SHAPES = ((16384, 32768), (16384, 131072))
DTYPES = (torch.float32, torch.bfloat16)
ELEMENTS = 1 << 26
SAMPLE_SECONDS = 0.004
MIN_PAIRS = 7


def cuda_targets() -> Iterator[Target]:
    """Yield all targets of a GPU, or none where there is no GPU."""
    if not torch.cuda.is_available():
        return
    for shape in SHAPES:
        for dtype in DTYPES:
            name = f"cross-entropy ({shape[0]}, {shape[1]}), {str(dtype).removeprefix('torch.')}"
            yield Target("cuda", f"{name}, torch's", partial(cross_entropy, shape, dtype), 0.40)
            if liger() is not None:
                yield Target("cuda", f"{name}, Liger's", partial(beside_liger, shape, dtype), 1.0)
            share = partial(share_of_copy, "cross-entropy", shape, dtype)
            yield Target("cuda", f"{name}, bandwidth of a copy", share, 0.85, at_least=True)
    for loss in ("bce-with-logits", "focal"):
        for dtype in DTYPES:
            name = f"{loss}, {ELEMENTS:,}, {str(dtype).removeprefix('torch.')}"
            theirs = "torch's" if loss == "bce-with-logits" else "torchvision's"
            yield Target("cuda", f"{name}, {theirs}", partial(binary, loss, dtype), 0.40)
            share = partial(share_of_copy, loss, (ELEMENTS,), dtype)
            yield Target("cuda", f"{name}, bandwidth of a copy", share, 0.85, at_least=True)
    runs = "50 runs side by side, one at a time without graphs"
    yield Target("cuda", runs, concurrent_runs, 10.0, at_least=True, unit=" x")
    accuracy = f"{100 * time_to_accuracy.ACCURACY:g} %"
    until = f"training to {accuracy} on CIFAR-10, straightforward recipe's"
    yield Target("cuda", until, time_to_accuracy.measure, 1.0, at_least=True, unit=" x")


@cache
def liger() -> Any:
    """Return Liger's cross-entropy as an autograd function, or None where it is not installed."""
    try:
        from liger_kernel.ops.cross_entropy import LigerCrossEntropyFunction
    except Exception:  # its import fails where a library that it does not declare is missing
        return None
    return LigerCrossEntropyFunction


# --- time ----------------------------------------------------------------------------------------


@cache
def _evicting_buffer() -> Tensor:
    """Return memory larger than the device's cache."""
    return torch.empty(1 << 28, dtype=torch.uint8, device="cuda")


def device_seconds(work: Work, calls: int) -> float:
    """Return the seconds that `calls` calls take the device."""
    event: Any = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)
    for _ in range(8):
        _evicting_buffer().zero_()
    start.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def calls_per_sample(work: Work) -> int:
    """Return how many calls take the device `SAMPLE_SECONDS`, after a first call that warms up."""
    work()
    return max(1, round(SAMPLE_SECONDS / device_seconds(work, 1)))


def time_ratio(work: Work, reference: Work, seconds: float) -> Ratio:
    """Measure the device's time of `work` divided by that of `reference`."""
    calls, reference_calls = calls_per_sample(work), calls_per_sample(reference)
    ratio = interleave(
        lambda: device_seconds(work, calls) / calls,
        lambda: device_seconds(reference, reference_calls) / reference_calls,
        seconds,
        MIN_PAIRS,
    )
    torch.cuda.empty_cache()  # the next target's tensors are as large
    return ratio


# --- what is measured ----------------------------------------------------------------------------


def random_logits(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return logits with a standard deviation of 3, the same in every process."""
    generator = torch.Generator("cuda").manual_seed(0)
    return torch.empty(shape, dtype=dtype, device="cuda").normal_(0, 3, generator=generator)


def random_index(shape: tuple[int, ...]) -> Tensor:
    """Return class indices for logits (N, C)."""
    generator = torch.Generator("cuda").manual_seed(1)
    return torch.randint(shape[1], shape[:1], device="cuda", generator=generator)


def cross_entropy(shape: tuple[int, ...], dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure cross-entropy relative to torch's."""
    z, y = random_logits(shape, dtype), random_index(shape)
    ours = forward_backward(functional.cross_entropy, z, y)
    return time_ratio(ours, forward_backward(F.cross_entropy, z, y), seconds)


def beside_liger(shape: tuple[int, ...], dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure cross-entropy relative to Liger's.

    Liger's forward pass overwrites the logits with their gradient. It therefore gets a copy, made
    once and not timed; from its second call on, its input is its own gradient, which takes it just
    as long.
    """
    z, y = random_logits(shape, dtype), random_index(shape)
    ours = forward_backward(functional.cross_entropy, z, y)

    def theirs(x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = liger().apply(x, y, None)[0]
        return loss

    return time_ratio(ours, forward_backward(theirs, z.clone(), y), seconds)


def _work(loss: str, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Work, Tensor, Tensor]:
    """Return forward + backward of a loss, its logits and its target."""
    z = random_logits(shape, dtype)
    if loss == "cross-entropy":
        y = random_index(shape)
        return forward_backward(functional.cross_entropy, z, y), z, y
    t = (torch.rand(shape, device="cuda") < 0.5).to(dtype)
    ours: Any = functional.binary_cross_entropy_with_logits
    if loss == "focal":
        ours = partial(functional.sigmoid_focal_loss, reduction="mean")
    return forward_backward(ours, z, t), z, t


def binary(loss: str, dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure forward + backward of a loss of single logits relative to torch or torchvision."""
    ours, z, t = _work(loss, (ELEMENTS,), dtype)
    theirs: Any = F.binary_cross_entropy_with_logits
    if loss == "focal":
        theirs = partial(sigmoid_focal_loss, reduction="mean")
    return time_ratio(ours, forward_backward(theirs, z, t), seconds)


def share_of_copy(loss: str, shape: tuple[int, ...], dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure bytes per second relative to those of a copy.

    The logits are read and their gradient is written, and a loss of single logits reads its
    targets too. A copy reads and writes each byte.
    """
    ours, z, target = _work(loss, shape, dtype)
    size = z.numel() * z.element_size()
    traffic = 2 * size if loss == "cross-entropy" else 2 * size + target.numel() * z.element_size()
    copy = torch.empty_like(z)
    ratio = time_ratio(lambda: copy.copy_(z), ours, seconds)
    share = traffic / (2 * size)
    return Ratio(share * ratio.median, share * ratio.lower, share * ratio.upper, ratio.pairs)


def concurrent_runs(seconds: float) -> Ratio:
    """Measure seconds per run of the default comparison, sequential divided by concurrent.

    Sequential runs launch their steps kernel by kernel; concurrent ones are all 50 (ten losses,
    five seeds) on streams of one device.
    """
    device = torch.device("cuda")
    dataset = prepare(noise_images(10_000, 32), device)
    base = RunConfig("cross-entropy", 0, CompareConfig().learning_rate)
    configs = [replace(base, loss=loss, seed=seed) for seed in range(5) for loss in ARTICLE_LOSSES]

    def seconds_per_run(chosen: Sequence[RunConfig], limit: int | None) -> float:
        start = time.perf_counter()
        runs = (
            (config, lambda config=config: nullcontext(Trainer(config, dataset, log_every=10)))
            for config in chosen
        )
        for _, ended in run_all(runs, device, limit):
            ended.result()
        torch.cuda.synchronize(device)
        return (time.perf_counter() - start) / len(chosen)

    sequential = [replace(config, cuda_graphs=False) for config in configs[::11]]
    seconds_per_run(configs[:1], 1)
    return interleave(
        lambda: seconds_per_run(sequential, 1), lambda: seconds_per_run(configs, None), seconds, 3
    )
