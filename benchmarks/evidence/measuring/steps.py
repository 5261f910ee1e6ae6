"""How many steps some networks take, and how many times those of others."""

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
    """Steps to enough validation accuracy, one number a seed; `reached` says which got there: the
    others were stopped after `value` steps, and need more."""

    value: NDArray[np.float64]
    reached: NDArray[np.bool_]


def steps_of(outcomes: Sequence[RunResult], enough: float) -> Steps:
    """Steps to the first evaluation with enough accuracy; without one, all that were trained."""
    taken, reached = [], []
    for outcome in outcomes:
        there = [p.step for p in outcome.evaluations if p.validation_accuracy >= enough]
        # Enough from the start on is one step, of which there is a logarithm.
        taken.append(max(1, there[0] if there else outcome.evaluations[-1].step))
        reached.append(bool(there))
    return Steps(np.array(taken, float), np.array(reached))


class Ratio(NamedTuple):
    """How many times the steps of `below` `above` needs, paired by seed: the geometric mean and
    its 95 % t interval.

    Attributes:
        interval: of what was seen, with the steps that were trained in place of those that would
            have been needed.
        least: it may be more, because some of `above` did not get there. most: it may be less.
        logs: the natural logarithm of each seed's.
    """

    interval: Interval
    least: bool
    most: bool
    logs: tuple[float, ...]

    @property
    def bound(self) -> str:
        """'at least' or 'at most' if the true ratio can lie on that side alone of what was seen."""
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
