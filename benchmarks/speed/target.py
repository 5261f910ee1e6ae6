"""One row of the speed table: a measurement and the value that it should reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .interleaved import Ratio

MEMORY_BINDS = 0.9
"""Share of a copy's bandwidth at which a loss is memory-bound."""


@dataclass(frozen=True)
class SpeedTarget:
    """A measurement and its bound.

    Attributes:
        group: the group of rows that it stands in.
        name: unique in its group.
        measure: takes the seconds to measure for and returns the ratio. Raises UserError if this
            machine lacks something.
        bound: the largest value that meets the target.
        at_least: whether `bound` is the smallest value instead.
        unit: printed behind the value.
        median_bound: the largest value for the median over the rows of the group that have one.
    """

    group: str
    name: str
    measure: Callable[[float], Ratio]
    bound: float
    at_least: bool = False
    unit: str = ""
    median_bound: float | None = None

    def is_met(self, ratio: Ratio) -> bool:
        """Return whether the median is within the bound."""
        return ratio.median >= self.bound if self.at_least else ratio.median <= self.bound

    def verdict(self, ratio: Ratio) -> str:
        """Return 'reached', 'missed', or 'memory binds': missed at about a copy's bandwidth."""
        if self.is_met(ratio):
            return "reached"
        binds = ratio.share_of_copy is not None and ratio.share_of_copy >= MEMORY_BINDS
        return "memory binds" if binds else "missed"

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"
