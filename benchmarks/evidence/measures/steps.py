"""Steps to an accuracy, and their ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lossbench.benchmarks.stats.intervals import Interval, paired_difference
from lossbench.benchmarks.training.result import RunResult

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Steps(NamedTuple):
    """Steps to the accuracy, one value per seed.

    `reached` says which runs got there. The others stopped after `value` steps and need more.
    """

    value: NDArray[np.float64]
    reached: NDArray[np.bool_]


def steps_of(results: Sequence[RunResult], enough: float) -> Steps:
    """Return the steps to the first evaluation with enough accuracy, or all steps of the run."""
    taken, reached = [], []
    for result in results:
        there = [p.step for p in result.evaluations if p.validation_accuracy >= enough]
        # Enough from the start on is one step, of which there is a logarithm.
        taken.append(max(1, there[0] if there else result.evaluations[-1].step))
        reached.append(bool(there))
    return Steps(np.array(taken, float), np.array(reached))


class Ratio(NamedTuple):
    """Ratio of steps, paired by seed: geometric mean with its 95 % t interval.

    Attributes:
        interval: of the measured steps; a run that did not get there counts with the steps it took.
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
        sides = {(True, False): "at least", (False, True): "at most"}
        return sides.get((self.least, self.most), "")


def ratio(above_: Steps, below_: Steps) -> Ratio:
    logs = np.log(above_.value), np.log(below_.value)
    drawn = paired_difference(list(map(float, logs[0])), list(map(float, logs[1])))
    mean, low, high = (
        None if x is None else math.exp(x) for x in (drawn.mean, drawn.low, drawn.high)
    )
    return Ratio(
        Interval(mean, low, high, drawn.n),
        not above_.reached.all(),
        not below_.reached.all(),
        tuple(float(x) for x in logs[0] - logs[1]),
    )
