"""Correction for many comparisons, and the power of a t test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from .intervals import check_fraction


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


def detectable_mean(error: float, degrees: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest true mean that a two-sided t test tells from 0 with the given power.

    That is the d > 0 with P(|T| > t(degrees)) = power for T of the noncentral t distribution with
    noncentrality d / error.

    Args:
        error: standard error of the mean.
        degrees: its degrees of freedom, which may be infinite.
        level: 1 minus the significance level, between 0 and 1.
        power: the probability of detection, between 1 - level and 1.

    Raises:
        ValueError: `level` or `power` is out of range.
    """
    check_fraction("level", level)
    check_fraction("power", power)
    if power <= 1 - level:
        raise ValueError(f"power {power!r} must be above 1 - level, which chance alone reaches")
    return _noncentrality(min(degrees, 1e6), level, power) * error


@cache
def _noncentrality(degrees: float, level: float, power: float) -> float:
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
