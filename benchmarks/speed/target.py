"""One row of the speed table: a measurement and the value that it should reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .interleaved import Ratio


@dataclass(frozen=True)
class Target:
    """A measurement and its bound.

    Attributes:
        group: the group of rows that it stands in.
        name: unique among all targets.
        measure: takes the seconds to measure for and returns the ratio. Raises UserError if this
            machine lacks something.
        bound: the largest value that meets the target.
        at_least: whether `bound` is the smallest value instead.
        unit: printed behind the value.
    """

    group: str
    name: str
    measure: Callable[[float], Ratio]
    bound: float
    at_least: bool = False
    unit: str = ""

    def is_met(self, ratio: Ratio) -> bool:
        """Return whether the median is within the bound."""
        return ratio.median >= self.bound if self.at_least else ratio.median <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"
