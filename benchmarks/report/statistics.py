"""Means over seeds and how far they can be trusted."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided Student t interval.

    `mean` is None without values; `low` and `high` are None below two values, because one value
    says nothing about how far the next one would fall from it.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """The fields under their own names, ready for JSON."""
        return asdict(self)


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of `values` with its interval mean ± t(n - 1) · s / √n.

    Args:
        values: finite numbers, one a seed.
        level: the interval's coverage, between 0 and 1.

    Raises:
        ValueError: a value is not finite, or `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level!r}")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"values must be finite: {list(values)!r}")
    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, None, 1)
    from scipy.stats import t

    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = float(t.ppf((1 + level) / 2, n - 1)) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of a - b with its interval, `a[i]` and `b[i]` sharing a seed.

    Pairing removes what the seed does to both alike (initial weights, order of batches), so the
    interval is that of the differences and not of two independent means.

    Raises:
        ValueError: the lengths differ, or as `mean_interval` does.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need equal lengths, not {len(a)} and {len(b)}")
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], level)
