"""Verdicts: what an interval says about a threshold."""

from __future__ import annotations

import math
from typing import Literal

from .intervals import Interval

Verdict = Literal["holds", "does not hold", "undecided"]

MINIMUM_SEEDS = 3
"""Fewest values that decide anything: two say too little about their own spread."""


def verdict_above(interval: Interval, threshold: float) -> Verdict:
    """Test whether a quantity is above `threshold`.

    Returns:
        'holds' if the interval is above the threshold, 'does not hold' if no part of it is, else
        'undecided'; also 'undecided' without ends or below MINIMUM_SEEDS values.
    """
    if (ends := _ends(interval)) is None:
        return "undecided"
    low, high = ends
    if low > threshold:
        return "holds"
    return "does not hold" if high <= threshold else "undecided"


def verdict_below(interval: Interval, threshold: float) -> Verdict:
    """Test whether a quantity is below `threshold`.

    Returns:
        'holds' if the interval is below the threshold, 'does not hold' if no part of it is, else
        'undecided'; also 'undecided' without ends or below MINIMUM_SEEDS values.
    """
    if (ends := _ends(interval)) is None:
        return "undecided"
    low, high = ends
    if high < threshold:
        return "holds"
    return "does not hold" if low >= threshold else "undecided"


def verdict_within(interval: Interval, low: float, high: float) -> Verdict:
    """Test whether a quantity is from `low` to `high`.

    Returns:
        'holds' if the interval lies in [low, high], 'does not hold' if it lies outside, else
        'undecided'; also 'undecided' without ends or below MINIMUM_SEEDS values.
    """
    if (ends := _ends(interval)) is None:
        return "undecided"
    if low <= ends[0] and ends[1] <= high:
        return "holds"
    return "does not hold" if ends[1] < low or ends[0] > high else "undecided"


def verdict_equivalent(interval_90: Interval, margin: float) -> Verdict:
    """Test whether a difference is smaller than `margin`, by two one-sided tests at 5 %.

    Args:
        interval_90: the 90 % interval of the difference. It lies within ±margin exactly if both
            tests reject (Schuirmann, 1987, J. Pharmacokinetics and Biopharmaceutics 15, 657-680).
        margin: above 0, in the unit of the interval.

    Raises:
        ValueError: `margin` is not a finite number above 0.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be a number above 0, not {margin!r}")
    return verdict_within(interval_90, -margin, margin)


def _ends(interval: Interval) -> tuple[float, float] | None:
    if interval.low is None or interval.high is None or interval.n < MINIMUM_SEEDS:
        return None
    return interval.low, interval.high
