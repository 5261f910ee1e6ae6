"""Steps to an accuracy, and their ratio."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.records.claim import Measure
from lossbench.benchmarks.stats.intervals import Interval, paired_difference
from lossbench.benchmarks.stats.significance import minimum_detectable_difference

from .measures import Side, one_sided, within
from .runs import Runs
from .text import optional


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

    def in_words(self) -> str:
        """Return '147 steps', or '281 steps without reaching it in 1 of 3 runs'."""
        if self.reached.all():
            return f"{self.mean:.0f} steps"
        missed = f"{(~self.reached).sum()} of {len(self.reached)} runs"
        return f"{self.value.max():.0f} steps without reaching it in {missed}"

    def __str__(self) -> str:
        """'147 (140 to 163)', or '2 of 3 in 281' if some runs did not reach the accuracy."""
        if self.reached.all():
            return f"{self.mean:.0f} ({self.value.min():.0f} to {self.value.max():.0f})"
        return f"{self.reached.sum()} of {len(self.reached)} in {self.value.max():.0f}"


class StepRatio(NamedTuple):
    """Ratio of steps, paired by seed.

    Attributes:
        interval: geometric mean with its 95 % t interval, of the counted steps.
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

    @property
    def detectable(self) -> float | None:
        """Smallest true ratio that so many seeds tell from 1 with power 0.8."""
        log = minimum_detectable_difference(self.logs)
        return None if log is None else math.exp(log)

    def one_sided(self, side: Side, name: str, limit: float) -> Measure:
        """Test whether the ratio is above or below a limit."""
        text, bounds = f"{limit:g} times", {"least": self.least, "most": self.most}
        return one_sided(side, self._named(name), self.interval, limit, text, **bounds)

    def within(self, name: str, limit: float) -> Measure:
        """Test whether the ratio is from 1 / limit to limit; undecided if only a bound is known."""
        text = f"1/{limit:g} to {limit:g} times"
        measure = within(self._named(name), self.interval, 1 / limit, limit, text)
        return replace(measure, verdict="undecided") if self.least or self.most else measure

    def _named(self, name: str) -> str:
        return f"{name} ({self.bound} that)" if self.bound else name

    def __str__(self) -> str:
        """'≥ 2.1 (1.7 to 2.6)'."""
        sign = {"at least": "≥ ", "at most": "≤ "}.get(self.bound, "")
        low, high = self.interval.low, self.interval.high
        span = "" if low is None or high is None else f" ({low:.2g} to {high:.2g})"
        return sign + optional(self.interval.mean, ".2g") + span


def count_steps(runs: Runs, accuracy: float) -> Steps:
    """Return the steps to the first evaluation with the accuracy, or all steps of the run."""
    steps, reached = [], []
    for run in runs:
        enough = [e.step for e in run.evaluations if e.validation_accuracy >= accuracy]
        # Enough accuracy before the first step counts as one step: 0 has no logarithm.
        steps.append(max(1, enough[0] if enough else run.evaluations[-1].step))
        reached.append(bool(enough))
    return Steps(np.array(steps, float), np.array(reached))


def ratio(over: Steps, under: Steps) -> StepRatio:
    """Return `over` / `under`. Runs that did not reach the accuracy make it a bound."""
    a, b = np.log(over.value), np.log(under.value)
    log = paired_difference(list(map(float, a)), list(map(float, b)))
    mean, low, high = (None if x is None else math.exp(x) for x in (log.mean, log.low, log.high))
    interval = Interval(mean, low, high, log.n)
    logs = tuple(float(x) for x in a - b)
    return StepRatio(interval, not over.reached.all(), not under.reached.all(), logs)
