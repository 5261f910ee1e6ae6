"""The paired t test, its correction for many comparisons, and its power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from .intervals import check_fraction, mean_interval, paired_differences, standard_deviation


def paired_t_pvalue(a: Sequence[float], b: Sequence[float]) -> float:
    """Return p of the two-sided paired t test.

    t = mean(a - b) / (s / √n) has n - 1 degrees of freedom, s is the standard deviation of a - b.

    Equal differences have no spread: p is then 1 if they are 0, else 0.

    Args:
        a: finite numbers, one per seed.
        b: finite numbers; `a[i]` and `b[i]` share a seed.

    Raises:
        ValueError: the lengths differ, a value is not finite, or there are fewer than two pairs.
    """
    differences = paired_differences(a, b)
    n = len(differences)
    if n < 2:
        raise ValueError(f"a paired t test needs at least 2 pairs, not {n}")
    mean = mean_interval(differences).mean or 0.0
    deviation = standard_deviation(differences)
    if deviation == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.stats import t

    return float(2 * t.sf(abs(mean) / (deviation / math.sqrt(n)), n - 1))


def holm(pvalues: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons, in the order given.

    Sorted upwards, the i-th of m (from 0) becomes the largest of (m - j) p_j over j <= i, at
    most 1. Rejecting those below 0.05 keeps the probability of any false rejection below 0.05,
    however the tests depend on each other (Holm, 1979, Scandinavian Journal of Statistics 6,
    65-70).

    Args:
        pvalues: from 0 to 1.

    Raises:
        ValueError: a p-value is not from 0 to 1.
    """
    if not all(0 <= p <= 1 for p in pvalues):
        raise ValueError(f"p must be from 0 to 1: {list(pvalues)!r}")
    adjusted, largest = [0.0] * len(pvalues), 0.0
    for rank, index in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        largest = max(largest, (len(pvalues) - rank) * pvalues[index])
        adjusted[index] = min(1.0, largest)
    return adjusted


def minimum_detectable_difference(
    differences: Sequence[float], level: float = 0.95, power: float = 0.8
) -> float | None:
    """Return the smallest true difference that a paired t test detects with the given power.

    That is the d > 0 with P(|T| > t(n - 1)) = power for T of the noncentral t distribution with
    n - 1 degrees of freedom and noncentrality d √n / s. The standard deviation s is the sample's,
    and uncertain where n is small.

    Args:
        differences: finite numbers, one per seed.
        level: 1 minus the significance level, between 0 and 1.
        power: the probability of detection, between 1 - level and 1.

    Returns:
        A number in the unit of the differences: None below two differences, 0 if all are equal.

    Raises:
        ValueError: a difference is not finite, or `level` or `power` is out of range.
    """
    check_fraction("level", level)
    check_fraction("power", power)
    if power <= 1 - level:
        raise ValueError(f"power {power!r} must be above 1 - level, which chance alone reaches")
    n = len(differences)
    if mean_interval(differences).n < 2:
        return None
    return _noncentrality(n - 1, level, power) * standard_deviation(differences) / math.sqrt(n)


@cache
def _noncentrality(degrees: int, level: float, power: float) -> float:
    """Return the noncentrality at which a two-sided t test rejects with probability `power`.

    P(|T| > t) for T = (Z + noncentrality) / (X / √degrees), Z normal and X chi distributed, is
    integrated over the quantiles of X: scipy's noncentral t is NaN for a large noncentrality and
    few degrees of freedom.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi, norm, t

    nodes, weights = np.polynomial.legendre.leggauss(200)
    critical = t.ppf((1 + level) / 2, degrees) / math.sqrt(degrees)
    critical = critical * chi.ppf((nodes + 1) / 2, degrees)

    def excess(shift: float) -> float:
        rejected = norm.sf(critical - shift) + norm.cdf(-critical - shift)
        return float(weights / 2 @ rejected) - power

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, 0.0, high))
