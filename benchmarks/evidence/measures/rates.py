"""Accuracy over learning rates, and the range of usable rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# A rate is usable that is within so many points of the loss's best.
USABLE = 3.0


class Sweep(NamedTuple):
    """Validation accuracies of a loss in percent, (seeds, rates), and the rates in ascending
    order."""

    rates: tuple[float, ...]
    accuracy: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.accuracy.mean(0))

    @property
    def best(self) -> int:
        """Index of the best rate over all seeds; of equal ones the lowest."""
        return int(self.mean.argmax())

    def at(self, rate: float) -> list[float]:
        """Return the accuracy of each seed at a rate."""
        return [float(value) for value in self.accuracy[:, self.rates.index(rate)]]


class Range(NamedTuple):
    """Usable rates around the best one; `open_*` says whether the range reaches an end of the
    grid."""

    low: float
    high: float
    open_low: bool
    open_high: bool

    @property
    def decades(self) -> float:
        return float(np.log10(self.high / self.low))


def usable(rates: Sequence[float], accuracy: np.ndarray, best: int) -> Range:
    """Return the range around `rates[best]` with an accuracy at most USABLE points below the best.

    Accuracies, in percent, are interpolated linearly over the logarithm of the rate.
    """
    logs, bar = np.log10(rates), accuracy[best] - USABLE

    def end(step: int) -> tuple[float, bool]:
        at = best
        while 0 <= at + step < len(rates):
            here, there = accuracy[at], accuracy[at + step]
            if there < bar:
                share = (here - bar) / (here - there)
                return float(10 ** (logs[at] + share * (logs[at + step] - logs[at]))), False
            at += step
        return rates[at], True

    (low, open_low), (high, open_high) = end(-1), end(1)
    return Range(low, high, open_low, open_high)
