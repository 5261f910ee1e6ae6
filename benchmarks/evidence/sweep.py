"""Accuracy over learning rates, and the range of usable rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .runs import Runs, validation_accuracy

USABLE = 3.0
"""A rate is usable if its accuracy is within so many points of the loss's best."""


class RateRange(NamedTuple):
    """Usable rates around the best one; `open_*`: the range reaches an end of the grid."""

    low: float
    high: float
    open_low: bool
    open_high: bool

    @property
    def decades(self) -> float:
        """Width in decades."""
        return float(np.log10(self.high / self.low))

    def __str__(self) -> str:
        low = f"≤ {self.low:.2g}" if self.open_low else f"{self.low:.2g}"
        high = f"≥ {self.high:.2g}" if self.open_high else f"{self.high:.2g}"
        return f"{low} to {high} ({self.decades:.1f} decades)"


def usable(rates: Sequence[float], accuracy: NDArray[np.float64], best: int) -> RateRange:
    """Return the range around `rates[best]` with an accuracy at most USABLE points below the best.

    Args:
        rates: learning rates, ascending.
        accuracy: accuracies in percent, interpolated linearly over the logarithm of the rate.
        best: index of the best rate.
    """
    logs, limit = np.log10(rates), accuracy[best] - USABLE

    def end(step: int) -> tuple[float, bool]:
        index = best
        while 0 <= index + step < len(rates):
            inner, outer = accuracy[index], accuracy[index + step]
            if outer < limit:
                fraction = (inner - limit) / (inner - outer)
                log = logs[index] + fraction * (logs[index + step] - logs[index])
                return float(10**log), False
            index += step
        return rates[index], True

    (low, open_low), (high, open_high) = end(-1), end(1)
    return RateRange(low, high, open_low, open_high)


class Sweep(NamedTuple):
    """Validation accuracies of a loss in percent, (seeds, rates), at ascending learning rates."""

    accuracy: NDArray[np.float64]
    rates: tuple[float, ...]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over seeds, (rates,)."""
        return np.asarray(self.accuracy.mean(0))

    @property
    def best(self) -> int:
        """Index of the best rate over all seeds; of ties the lowest."""
        return int(self.mean.argmax())

    @property
    def best_rate(self) -> float:
        """The best rate over all seeds."""
        return self.rates[self.best]

    @property
    def range(self) -> RateRange:
        """Usable range of the mean accuracies."""
        return usable(self.rates, self.mean, self.best)

    @property
    def ranges(self) -> list[RateRange]:
        """Usable range of each seed around the rate that is best over all seeds."""
        return [usable(self.rates, row, self.best) for row in self.accuracy]

    @property
    def decades(self) -> list[float]:
        """Width of the usable range of each seed, in decades."""
        return [each.decades for each in self.ranges]

    @property
    def is_bound(self) -> bool:
        """Tell if the usable range of a seed reaches an end of the grid."""
        return any(each.open_low or each.open_high for each in self.ranges)

    def at(self, rate: float) -> list[float]:
        """Return the accuracy of each seed at a rate."""
        return [float(value) for value in self.accuracy[:, self.rates.index(rate)]]


def sweep(runs: Mapping[float, Runs]) -> Sweep:
    """Return the sweep of a loss from its results by ascending rate, each over the same seeds."""
    values = [[validation_accuracy(run) for run in each] for each in runs.values()]
    return Sweep(np.array(values).T, tuple(runs))
