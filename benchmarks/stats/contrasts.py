"""Paired contrasts: a difference with its intervals, p-value and smallest detectable size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .intervals import (
    Interval,
    bootstrap_difference,
    combine_intervals,
    paired_difference,
    paired_differences,
)
from .significance import minimum_detectable_difference, paired_t_pvalue
from .verdict import MINIMUM_SEEDS


@dataclass(frozen=True)
class Contrast:
    """A quantity of one treatment minus that of another, paired by seed.

    Attributes:
        differences: one per seed.
        seeds: their mean with its t interval.
        examples: the same mean with a bootstrap interval over test examples, for accuracies.
    """

    differences: tuple[float, ...]
    seeds: Interval
    examples: Interval | None = None

    @property
    def interval(self) -> Interval:
        """The mean with an interval over seeds and, for accuracies, over test examples."""
        if self.examples is None:
            return self.seeds
        return combine_intervals(self.seeds, self.examples)

    @property
    def detectable(self) -> float | None:
        """Smallest true difference that a t test on so many seeds detects with power 0.8."""
        return minimum_detectable_difference(self.differences)

    def pvalue(self, difference: float = 0.0) -> float:
        """Return p of the two-sided paired t test that the true difference is `difference`.

        It is 1 below MINIMUM_SEEDS seeds.
        """
        if len(self.differences) < MINIMUM_SEEDS:
            return 1.0
        return paired_t_pvalue(self.differences, [difference] * len(self.differences))


def contrast(
    a: Sequence[float],
    b: Sequence[float],
    correct: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
    level: float = 0.95,
) -> Contrast:
    """Return the contrast a - b.

    Args:
        a: finite numbers, one per seed.
        b: finite numbers; `a[i]` and `b[i]` share a seed.
        correct: for accuracies in percent, whether each network classified each test example
            correctly: two arrays (seeds, N), of which `a` and `b` are the means times 100.
        level: coverage of the intervals, between 0 and 1.

    Raises:
        ValueError: the lengths or shapes differ, or a value is not finite.
    """
    seeds, examples = paired_difference(a, b, level), None
    if correct is not None:
        bootstrap = bootstrap_difference(*correct, level=level)
        if bootstrap.low is not None and bootstrap.high is not None:
            examples = replace(seeds, low=100 * bootstrap.low, high=100 * bootstrap.high)
    return Contrast(tuple(paired_differences(a, b)), seeds, examples)
