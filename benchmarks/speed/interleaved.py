"""Ratios of two times, measured interleaved so that drift of the machine cancels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch

Work = Callable[[], object]

MIN_SAMPLE_SECONDS = 1e-3
"""Shortest sample, so that the cost of reading the clock does not count."""
SLOW_SECONDS = 0.1
"""Work that takes so long is not called once more to find out how long it takes."""


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of the ratios of `pairs` pairs of samples.

    Attributes:
        median: of the ratios.
        lower: first quartile.
        upper: third quartile.
        pairs: number of ratios.
        note: a sentence to print below the table, or "".
        value: median of what stands above the line, for example in seconds.
        reference: median of what stands below it.
        bandwidth: bytes per second, where the work is measured by them.
        share_of_copy: the same relative to a copy of as many bytes.
    """

    median: float
    lower: float
    upper: float
    pairs: int
    note: str = ""
    value: float | None = None
    reference: float | None = None
    bandwidth: float | None = None
    share_of_copy: float | None = None

    @classmethod
    def of(cls, values: list[float]) -> Ratio:
        """Summarise at least two values."""
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper, len(values))

    @classmethod
    def of_pairs(cls, pairs: list[tuple[float, float]]) -> Ratio:
        """Summarise the quotients of at least two pairs."""
        values, references = zip(*pairs, strict=True)
        ratio = cls.of([value / reference for value, reference in pairs])
        return replace(
            ratio, value=statistics.median(values), reference=statistics.median(references)
        )

    @classmethod
    def single(cls, value: float, note: str = "") -> Ratio:
        """Return a ratio that was measured once."""
        return cls(value, value, value, 1, note)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lower:.2f} to {self.upper:.2f})"


def synchronised(work: Work, device: torch.device) -> Work:
    """Return `work` followed by a wait for the device: CUDA kernels run asynchronously."""
    if device.type != "cuda":
        return work

    def synchronised_work() -> None:
        work()
        torch.cuda.synchronize(device)

    return synchronised_work


def time_ratio(work: Work, reference: Work, seconds: float = 0.25, min_pairs: int = 9) -> Ratio:
    """Measure the time of `work` divided by the time of `reference`.

    Args:
        work: a callable that ends when its work is done.
        reference: what it is compared with, of the same kind.
        seconds: about how long to measure.
        min_pairs: pairs of samples to take even if that takes longer.
    """
    calls = max(calls_per_sample(work), calls_per_sample(reference))
    return interleave(
        lambda: sample(work, calls), lambda: sample(reference, calls), seconds, min_pairs
    )


def interleave(
    value: Callable[[], float], reference: Callable[[], float], seconds: float, min_pairs: int
) -> Ratio:
    """Measure `value()` / `reference()` in pairs; which of the two comes first alternates.

    Args:
        value: returns one measurement, for example in seconds.
        reference: returns one measurement of the same unit.
        seconds: about how long to measure.
        min_pairs: pairs to take even if that takes longer.
    """
    pairs: list[tuple[float, float]] = []
    deadline = time.perf_counter() + seconds
    while len(pairs) < min_pairs or time.perf_counter() < deadline:
        if len(pairs) % 2:
            second = reference()
            first = value()
        else:
            first = value()
            second = reference()
        pairs.append((first, second))
    return Ratio.of_pairs(pairs)


def sample(work: Work, calls: int) -> float:
    """Return the seconds that a call takes, measured over `calls` of them."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def calls_per_sample(work: Work) -> int:
    """Return how many calls last `MIN_SAMPLE_SECONDS`, after a first call that warms up."""
    if sample(work, 1) > SLOW_SECONDS:
        return 1
    calls = 1
    while (seconds := sample(work, calls)) * calls < MIN_SAMPLE_SECONDS:
        calls = max(2 * calls, int(MIN_SAMPLE_SECONDS / max(seconds, 1e-9)))
    return calls


def fastest(works: Sequence[Work]) -> Work:
    """Return the work that takes the least time: of three samples each, taken in turns."""
    if len(works) == 1:
        return works[0]
    calls = list(map(calls_per_sample, works))
    rounds = [[sample(work, n) for work, n in zip(works, calls, strict=True)] for _ in range(3)]
    best = [min(times) for times in zip(*rounds, strict=True)]
    return works[best.index(min(best))]


@cache
def copy_bandwidth(size: int) -> float:
    """Return the bytes per second of a copy on the CPU that reads and writes `size` in all."""
    source = torch.ones(max(1, size // 8))
    copy = torch.empty_like(source)

    def work() -> None:
        copy.copy_(source)

    calls = calls_per_sample(work)
    return size / statistics.median(sample(work, calls) for _ in range(15))
