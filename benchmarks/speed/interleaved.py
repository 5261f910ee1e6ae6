"""The ratio of two times that a machine's moods cannot move: measured in turns, pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

Work = Callable[[], object]

SHORTEST = 1e-3
"""Seconds that a sample lasts at least, so that the clock's own cost does not count."""


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of the ratio of `pairs` pairs of samples, and what else there is to say
    of them."""

    median: float
    lower: float
    upper: float
    pairs: int
    note: str = ""

    @classmethod
    def of(cls, values: list[float]) -> Ratio:
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper, len(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lower:.2f} to {self.upper:.2f})"


def synchronised(work: Work, device: torch.device) -> Work:
    """`work`, ending only when the device has done it: CUDA answers before it has."""
    if device.type != "cuda":
        return work

    def and_wait() -> None:
        work()
        torch.cuda.synchronize(device)

    return and_wait


def ratio(ours: Work, theirs: Work, seconds: float = 0.25, least: int = 9) -> Ratio:
    """Time of `ours` over time of `theirs`.

    Samples of the two are taken in turns, who is first changing from pair to pair, for about
    `seconds` and at least `least` pairs. Both callables have to be synchronised.
    """
    calls = max(calls_for(ours), calls_for(theirs))
    return of_turns(lambda: sample(ours, calls), lambda: sample(theirs, calls), seconds, least)


def of_turns(
    ours: Callable[[], float], theirs: Callable[[], float], seconds: float, least: int
) -> Ratio:
    """The same for functions that say how long it takes."""
    ratios: list[float] = []
    until = time.perf_counter() + seconds
    while len(ratios) < least or time.perf_counter() < until:
        if len(ratios) % 2:
            second = theirs()
            first = ours()
        else:
            first = ours()
            second = theirs()
        ratios.append(first / second)
    return Ratio.of(ratios)


def sample(work: Work, calls: int) -> float:
    """Seconds that `calls` calls take."""
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - began


def calls_for(work: Work) -> int:
    """How many calls last `SHORTEST`. The first call, which may build something, is not timed."""
    work()
    calls = 1
    while (taken := sample(work, calls)) < SHORTEST:
        calls = max(2 * calls, int(calls * SHORTEST / max(taken, 1e-9)))
    return calls
