"""Verdicts, and what is needed for one."""

from __future__ import annotations

import math
from typing import Literal

from .intervals import Interval

Verdict = Literal["holds", "does not hold", "undecided"]

MINIMUM_SEEDS = 3
"""Fewest values that decide anything: two say too little about their own spread."""


def is_equivalent(interval_90: Interval, margin: float) -> bool:
    """Tell whether a difference is smaller than `margin`, by two one-sided tests at 5 %.

    It is not told below MINIMUM_SEEDS values, or without ends.

    Args:
        interval_90: the 90 % interval of the difference. It lies within ±margin exactly if both
            tests reject (Schuirmann, 1987, J. Pharmacokinetics and Biopharmaceutics 15, 657-680).
        margin: above 0, in the unit of the interval.

    Raises:
        ValueError: `margin` is not a finite number above 0.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be a number above 0, not {margin!r}")
    low, high = interval_90.low, interval_90.high
    if low is None or high is None or interval_90.n < MINIMUM_SEEDS:
        return False
    return -margin <= low and high <= margin
