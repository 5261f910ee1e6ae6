"""Means over seeds with their intervals, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Interval:
    """A mean with the two ends of its confidence interval.

    Attributes:
        mean: the mean, None without values.
        low, high: the ends, None below two values: one value has no spread.
        n: how many values the mean is of.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the fields by name, ready for JSON."""
        return asdict(self)


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean with its two-sided Student interval mean ± t(n - 1) · s / √n.

    Args:
        values: finite numbers, one per seed.
        level: coverage of the interval, between 0 and 1.

    Raises:
        ValueError: a value is not finite, or `level` is not between 0 and 1.
    """
    check_fraction("level", level)
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"values must be finite: {list(values)!r}")
    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0)
    # The mean of equal values is exactly that value; fsum / n could round.
    mean = values[0] if min(values) == max(values) else math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, None, 1)
    return t_interval(mean, standard_deviation(values) / math.sqrt(n), n - 1, n, level)


def t_interval(mean: float, error: float, degrees: float, n: int, level: float) -> Interval:
    """Return a mean with the interval mean ± t(degrees) · error.

    Args:
        mean: the mean.
        error: its standard error.
        degrees: degrees of freedom of the standard error.
        n: number of seeds.
        level: coverage of the interval, between 0 and 1.
    """
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, degrees)) * error
    return Interval(mean, mean - half, mean + half, n)


def paired_differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Return a[i] - b[i] for every i. Raise ValueError if the lengths differ."""
    if len(a) != len(b):
        raise ValueError(f"pairs need equal lengths, not {len(a)} and {len(b)}")
    return [x - y for x, y in zip(a, b, strict=True)]


def standard_deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1) of two or more values."""
    n = len(values)
    if min(values) == max(values):
        return 0.0  # and not the rounding of the mean
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless 0 < value < 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, not {value!r}")
