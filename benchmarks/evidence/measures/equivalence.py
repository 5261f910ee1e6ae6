"""A difference of accuracies that is tested for equivalence."""

from __future__ import annotations

from typing import NamedTuple

from lossbench.benchmarks.stats.intervals import Interval, combine_intervals
from lossbench.benchmarks.stats.verdict import Verdict, verdict_equivalent

# Accuracies this near to each other, in points, are equal: about as far apart as square loss and
# cross-entropy lie in most of Hui and Belkin's tables.
MARGIN = 2.0


class Gap(NamedTuple):
    """Test accuracy of a loss minus that of cross-entropy, in points, paired by seed."""

    loss: str
    differences: tuple[float, ...]
    seeds: Interval
    examples: Interval

    @property
    def interval(self) -> Interval:
        """The mean with an interval over seeds and over test images."""
        return combine_intervals(self.seeds, self.examples)

    @property
    def verdict(self) -> Verdict:
        """Verdict on whether both are equal within the margin."""
        return verdict_equivalent(self.interval, MARGIN)
