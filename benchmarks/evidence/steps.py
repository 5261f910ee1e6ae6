"""Steps to an accuracy, and their ratio."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.stats.intervals import Interval, paired_difference

from .runs import Runs


class Steps(NamedTuple):
    """Steps to the accuracy, one value per seed.

    `reached` says which runs reached it. The others stopped after `value` steps and need more.
    """

    value: NDArray[np.float64]
    reached: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """Geometric mean."""
        return math.exp(np.log(self.value).mean())

    def __str__(self) -> str:
        """'147 (140 to 163)', or '2 of 3 in 281' if some runs did not reach the accuracy."""
        if self.reached.all():
            return f"{self.mean:.0f} ({self.value.min():.0f} to {self.value.max():.0f})"
        return f"{self.reached.sum()} of {len(self.reached)} in {self.value.max():.0f}"


class Ratio(NamedTuple):
    """Ratio of steps, paired by seed: geometric mean with its 95 % t interval.

    Attributes:
        interval: of the counted steps.
        least: the true ratio may be larger.
        most: the true ratio may be smaller.
        logs: natural logarithm of the ratio of each seed.
    """

    interval: Interval
    least: bool
    most: bool
    logs: tuple[float, ...]

    @property
    def bound(self) -> str:
        """'at least' or 'at most' if the true ratio can differ in one direction only, else ''."""
        return {(True, False): "at least", (False, True): "at most"}.get(self[1:3], "")


def count_steps(runs: Runs, accuracy: float) -> Steps:
    """Return the steps to the first evaluation with the accuracy, or all steps of the run."""
    steps, reached = [], []
    for run in runs:
        enough = [e.step for e in run.evaluations if e.validation_accuracy >= accuracy]
        # A start with enough accuracy counts as one step, of which there is a logarithm.
        steps.append(max(1, enough[0] if enough else run.evaluations[-1].step))
        reached.append(bool(enough))
    return Steps(np.array(steps, float), np.array(reached))


def ratio(over: Steps, under: Steps) -> Ratio:
    """Return `over` / `under`. Runs that did not reach the accuracy make it a bound."""
    a, b = np.log(over.value), np.log(under.value)
    drawn = paired_difference(list(map(float, a)), list(map(float, b)))
    mean, low, high = (
        None if x is None else math.exp(x) for x in (drawn.mean, drawn.low, drawn.high)
    )
    interval = Interval(mean, low, high, drawn.n)
    logs = tuple(float(x) for x in a - b)
    return Ratio(interval, not over.reached.all(), not under.reached.all(), logs)
