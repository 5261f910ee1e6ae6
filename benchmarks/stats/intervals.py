"""Means with their intervals: over seeds by Student's t, over test examples by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, n - 1)) * standard_deviation(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of a - b with its Student interval.

    Pairing removes what a seed does to both alike (initial weights, order of batches): the interval
    is that of the differences. It is scipy.stats.ttest_rel(a, b).confidence_interval(level) but for
    rounding, and is also defined for equal differences, where scipy's is NaN.

    Args:
        a: finite numbers, one per seed.
        b: finite numbers; `a[i]` and `b[i]` share a seed.
        level: coverage of the interval, between 0 and 1.

    Raises:
        ValueError: the lengths differ, a value is not finite, or `level` is not between 0 and 1.
    """
    return mean_interval(paired_differences(a, b), level)


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


def bootstrap_difference(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Return the difference in accuracy, a - b, with its bootstrap interval over test examples.

    Each draw resamples the N examples with replacement and averages the difference over seeds; the
    ends are percentiles of the draws. The interval says how much the difference would change with
    other test images and the same networks.

    Args:
        correct_a: bool (N,) or (seeds, N), whether classifier a is right on each example.
        correct_b: the same for classifier b, in the same shape.
        level: coverage of the interval, between 0 and 1.
        draws: number of bootstrap samples, at least 1.
        seed: seed of the random draws.

    Returns:
        The difference in fractions; `n` is the number of examples.

    Raises:
        ValueError: the shapes differ, there are no examples, or `level` or `draws` is out of range.
    """
    check_fraction("level", level)
    a, b = _seeds_by_examples(correct_a), _seeds_by_examples(correct_b)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"need two arrays of one shape (seeds, N), not {a.shape} and {b.shape}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws!r}")
    seeds, n = a.shape
    # Summed over seeds a difference takes few values, so one multinomial draws all N examples.
    values, counts = np.unique(a.sum(0) - b.sum(0), return_counts=True)
    samples = np.random.default_rng(seed).multinomial(n, counts / n, size=draws)
    means = samples @ values / (n * seeds)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(counts @ values / (n * seeds)), float(low), float(high), n)


def combine_intervals(seeds: Interval, examples: Interval) -> Interval:
    """Return the mean over seeds with an interval that covers both seeds and test examples.

    Each side is the root of the sum of the squares of the two intervals' sides, because the two
    sources of variance add. It is a little too wide: the interaction of network and example is in
    both intervals.

    Args:
        seeds: the interval over seeds, on fixed examples.
        examples: the interval over examples, of fixed networks.

    Returns:
        The combined interval, without ends if one of the two has none.
    """
    mean, ends = seeds.mean, (seeds.low, seeds.high, examples.low, examples.high)
    if mean is None or None in ends:
        return replace(seeds, low=None, high=None)
    seeds_low, seeds_high, examples_low, examples_high = (
        abs(mean - end) for end in ends if end is not None
    )
    low = mean - math.hypot(seeds_low, examples_low)
    return replace(seeds, low=low, high=mean + math.hypot(seeds_high, examples_high))


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless 0 < value < 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, not {value!r}")


def _seeds_by_examples(correct: ArrayLike) -> NDArray[Any]:
    """Convert bool (N,) or (seeds, N) to int64 (seeds, N)."""
    array = np.asarray(correct, dtype=bool).astype(np.int64)
    if array.ndim not in (1, 2):
        raise ValueError(f"need an array (N,) or (seeds, N), not {array.shape}")
    return np.atleast_2d(array)
