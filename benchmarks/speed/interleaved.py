"""Ratios of two times, measured interleaved so that drift of the machine cancels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

Work = Callable[[], object]

MIN_SAMPLE_SECONDS = 1e-3
"""Shortest sample, so that the cost of reading the clock does not count."""


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of the ratios of `pairs` pairs of samples.

    Attributes:
        median: of the ratios.
        lower: first quartile.
        upper: third quartile.
        pairs: number of ratios.
        note: a sentence to print below the table, or "".
    """

    median: float
    lower: float
    upper: float
    pairs: int
    note: str = ""

    @classmethod
    def of(cls, values: list[float]) -> Ratio:
        """Summarise at least two values."""
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper, len(values))

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
    ratios: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(ratios) < min_pairs or time.perf_counter() < deadline:
        if len(ratios) % 2:
            second = reference()
            first = value()
        else:
            first = value()
            second = reference()
        ratios.append(first / second)
    return Ratio.of(ratios)


def sample(work: Work, calls: int) -> float:
    """Return the seconds that `calls` calls take."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - start


def calls_per_sample(work: Work) -> int:
    """Return how many calls last `MIN_SAMPLE_SECONDS`, after a first call that warms up."""
    work()
    calls = 1
    while (seconds := sample(work, calls)) < MIN_SAMPLE_SECONDS:
        calls = max(2 * calls, int(calls * MIN_SAMPLE_SECONDS / max(seconds, 1e-9)))
    return calls
