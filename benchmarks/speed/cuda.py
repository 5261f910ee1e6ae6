"""Targets on a GPU: the losses' kernels relative to torch's, to Liger's and to a copy.

Every loss that has a kernel is measured, in about eight minutes with the trainings.

A copy moves each byte as fast as the memory can. A sample is timed between two events on the
device. Other work is queued before it, so that the device never waits for the CPU within a sample;
that work also evicts the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig, RunConfig, rates_of
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.training.executors.cuda_streams import run_all
from lossbench.benchmarks.training.train import Trainer
from lossbench.losses import kernels, registry

from . import time_to_accuracy
from .baselines import noise_images
from .cases import (
    Condition,
    Shape,
    forward_backward,
    least_bytes,
    loss_inputs,
    usable,
)
from .interleaved import Ratio, Work, interleave
from .plain import spellings
from .target import SpeedTarget

CROSS_ENTROPY_BOUNDS = {4096: 0.90, 16384: 0.90, 65536: 0.90, 131072: 0.80}
"""Classes -> least share of a copy's bandwidth."""
BESIDE_TORCH = {"bce-with-logits": 0.40, "focal": 0.40}
"""Losses of single logits that are measured relative to torch's or torchvision's as well."""
LOGITS = 1 << 30
DTYPES = (torch.float32, torch.bfloat16)
ELEMENTS = 1 << 26
CLASSES = 4096
SAMPLE_SECONDS = 0.004
MIN_PAIRS = 7


def cuda_targets() -> Iterator[SpeedTarget]:
    """Yield all targets of a GPU, or none where there is no GPU."""
    if not torch.cuda.is_available():
        return
    for classes, share in CROSS_ENTROPY_BOUNDS.items():
        for dtype in DTYPES:
            yield from cross_entropy_targets((LOGITS // classes, classes), dtype, share)
    for name in registry.names():
        for dtype in DTYPES:
            yield from loss_targets(name, dtype)
    runs = "50 runs side by side, one at a time without graphs"
    yield SpeedTarget("cuda", runs, concurrent_runs, 10.0, at_least=True, unit=" x")
    accuracy = f"{100 * time_to_accuracy.ACCURACY:g} %"
    until = f"training to {accuracy} on CIFAR-10, straightforward recipe's"
    yield SpeedTarget("cuda", until, time_to_accuracy.measure, 1.0, at_least=True, unit=" x")


def cross_entropy_targets(shape: Shape, dtype: torch.dtype, share: float) -> Iterator[SpeedTarget]:
    """Yield the targets of cross-entropy: beside torch, the compiler, Liger and a copy."""
    name = f"cross-entropy ({shape[0]}, {shape[1]}), {str(dtype).removeprefix('torch.')}"
    measure = partial(beside_plain, "cross-entropy", shape, dtype)
    yield SpeedTarget("cuda", f"{name}, torch's", measure, 0.40)
    yield SpeedTarget(
        "cuda", f"{name}, torch.compile's", partial(beside_compiled, shape, dtype), 1.0
    )
    if liger() is not None:
        yield SpeedTarget("cuda", f"{name}, Liger's", partial(beside_liger, shape, dtype), 1.0)
    copied = partial(share_of_copy, "cross-entropy", shape, dtype)
    yield SpeedTarget("cuda", f"{name}, bandwidth of a copy", copied, share, at_least=True)


def loss_targets(name: str, dtype: torch.dtype) -> Iterator[SpeedTarget]:
    """Yield the targets of a loss, which are skipped where it has no kernel.

    A loss of single logits is measured beside a copy, and one of rows beside the plain expression.
    """
    elementwise = registry.entry(name).task == "binary"
    shape: Shape = (ELEMENTS,) if elementwise else (ELEMENTS // CLASSES, CLASSES)
    size = ", ".join(map(str, shape))
    title = f"{name} ({size}), {str(dtype).removeprefix('torch.')}"
    beside = partial(beside_plain, name, shape, dtype)
    if name in BESIDE_TORCH:
        yield SpeedTarget("cuda", f"{title}, torch's", beside, BESIDE_TORCH[name])
    if elementwise:
        copied = partial(share_of_copy, name, shape, dtype)
        yield SpeedTarget("cuda", f"{title}, bandwidth of a copy", copied, 0.85, at_least=True)
    else:
        yield SpeedTarget("cuda", f"{title}, plain expression's", beside, 0.5)


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


def seconds_per_call(work: Work) -> float:
    """Return the seconds that a call takes the device."""
    calls = calls_per_sample(work)
    return device_seconds(work, calls) / calls


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


def loss_and_inputs(name: str, shape: Shape, dtype: torch.dtype) -> tuple[Any, Tensor, Tensor]:
    """Return a loss, its input and its target; raise UserError if no kernel computes it."""
    entry, condition = registry.entry(name), Condition("cuda", 1, 1, dtype=dtype)
    loss = entry.build()
    few = (2, *shape[1:])
    if not computed_by_kernel(loss, *loss_inputs(entry, few, condition, entry.targets[0], "cuda")):
        raise UserError(f"{name} has no kernel for {dtype} on CUDA")
    return loss, *loss_inputs(entry, shape, condition, entry.targets[0], "cuda")


def computed_by_kernel(loss: Callable[..., Tensor], input: Tensor, target: Tensor) -> bool:
    """Return whether a kernel computes a loss: its graph is then not that of the closed forms."""
    input = input.detach().requires_grad_()
    with kernels.closed_forms_only():
        closed = loss(input, target)
    return type(loss(input, target).grad_fn) is not type(closed.grad_fn)


def beside_plain(name: str, shape: Shape, dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure a loss relative to torch's, or to the plain expression."""
    loss, input, target = loss_and_inputs(name, shape, dtype)
    plain = usable(spellings(name, registry.entry(name).targets[0]), input, target)
    works = [forward_backward(each, input, target) for each in plain]
    theirs = min(works, key=seconds_per_call) if works[1:] else works[0]
    return time_ratio(forward_backward(loss, input, target), theirs, seconds)


def beside_compiled(shape: Shape, dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure cross-entropy relative to torch's, compiled."""
    loss, input, target = loss_and_inputs("cross-entropy", shape, dtype)
    torch._dynamo.reset()  # a limit counts the shapes of all that is compiled
    theirs = forward_backward(torch.compile(F.cross_entropy), input, target)
    return time_ratio(forward_backward(loss, input, target), theirs, seconds)


def beside_liger(shape: Shape, dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure cross-entropy relative to Liger's.

    Liger's forward pass overwrites the logits with their gradient. It therefore gets a copy, made
    once and not timed; from its second call on, its input is its own gradient, which takes it just
    as long.
    """
    loss, input, target = loss_and_inputs("cross-entropy", shape, dtype)

    def theirs(x: Tensor, y: Tensor) -> Tensor:
        each: Tensor = liger().apply(x, y, None)[0]
        return each

    ours = forward_backward(loss, input, target)
    return time_ratio(ours, forward_backward(theirs, input.clone(), target), seconds)


def share_of_copy(name: str, shape: Shape, dtype: torch.dtype, seconds: float) -> Ratio:
    """Measure the bandwidth of a loss relative to that of a copy of as many bytes."""
    loss, input, target = loss_and_inputs(name, shape, dtype)
    source = torch.ones(least_bytes(input, target) // 8, device="cuda")
    copy = torch.empty_like(source)
    return time_ratio(lambda: copy.copy_(source), forward_backward(loss, input, target), seconds)


def concurrent_runs(seconds: float) -> Ratio:
    """Measure seconds per run of the default comparison, sequential divided by concurrent.

    Sequential runs launch their steps kernel by kernel; concurrent ones are all 50 (ten losses,
    five seeds) on streams of one device.
    """
    device = torch.device("cuda")
    dataset = prepare(noise_images(10_000, 32), device)
    base = RunConfig("cross-entropy", 0, rates_of(CompareConfig())[0])
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
