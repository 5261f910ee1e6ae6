"""Text of differences and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossbench.benchmarks.format import MINUS, MISSING
from lossbench.benchmarks.stats.intervals import Interval, mean_interval


def signed(value: float | None, digits: int | None = 1) -> str:
    """Format with a sign: +1.2, −0.3 or 0.0. `digits` None: all digits."""
    if value is None:
        return MISSING
    text = f"{value:+g}" if digits is None else f"{value:+.{digits}f}"
    if float(text) == 0:
        text = text[1:]
    return text.replace("-", MINUS)


def span(interval: Interval | None) -> str:
    """Format the ends of an interval: '+0.1 to +2.3'."""
    if interval is None or interval.low is None or interval.high is None:
        return MISSING
    return f"{signed(interval.low)} to {signed(interval.high)}"


def with_span(interval: Interval) -> str:
    """Format a mean with its interval: '+1.2 (+0.1 to +2.3)'."""
    text = signed(interval.mean)
    return text if interval.low is None else f"{text} ({span(interval)})"


def plus_minus(interval: Interval, digits: int = 1) -> str:
    """Format a mean with half its interval: '74.1 ± 1.3'."""
    if interval.mean is None:
        return MISSING
    text = f"{interval.mean:.{digits}f}"
    if interval.high is None:
        return text
    return f"{text} ± {interval.high - interval.mean:.{digits}f}"


def mean_text(values: Sequence[float], digits: int = 1) -> str:
    """Format the mean of one value per seed with half its 95 % interval: '74.1 ± 1.3'."""
    return plus_minus(mean_interval(values), digits)


def optional(value: float | None, spec: str) -> str:
    """Format a number that may be missing or not finite, which is a dash."""
    return format(value, spec) if value is not None and math.isfinite(value) else MISSING
