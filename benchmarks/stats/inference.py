"""Means over seeds, differences between losses, and how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from .verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


MINIMUM_SEEDS = 3
"""Below this nothing is decided: two values say next to nothing of their own spread."""


@dataclass(frozen=True)
class Interval:
    """A mean and the two ends of its interval, of `n` values.

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
    """The mean of `values` with its two-sided Student interval mean ± t(n - 1) · s / √n.

    Args:
        values: finite numbers, one a seed.
        level: the interval's coverage, between 0 and 1.

    Raises:
        ValueError: a value is not finite, or `level` is not between 0 and 1.
    """
    _check_share("level", level)
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"values must be finite: {list(values)!r}")
    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0)
    # Of equal values the mean is one of them, and not its rounding.
    mean = values[0] if min(values) == max(values) else math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, None, 1)
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, n - 1)) * _spread(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of a - b with its interval, `a[i]` and `b[i]` sharing a seed.

    Pairing removes what the seed does to both alike (initial weights, order of batches), so the
    interval is that of the differences and not of two independent means.

    Raises:
        ValueError: the lengths differ, or as `mean_interval` does.
    """
    return mean_interval(_differences(a, b), level)


def paired_t_pvalue(a: Sequence[float], b: Sequence[float]) -> float:
    """p of the two-sided paired t test: t = mean(a - b) / (s / √n) with n - 1 degrees of freedom.

    Differences that are all the same number have no spread to compare it with: p is 1 if that
    number is 0, else 0.

    Raises:
        ValueError: the lengths differ, a value is not finite, or there are fewer than two pairs.
    """
    differences = _differences(a, b)
    n = len(differences)
    if n < 2:
        raise ValueError(f"a paired t test needs at least 2 pairs, not {n}")
    mean = mean_interval(differences).mean or 0.0
    spread = _spread(differences)
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.stats import t

    return float(2 * t.sf(abs(mean) / (spread / math.sqrt(n)), n - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p adjusted for being one of len(ps), in the order given.

    Sorted upwards, the i-th of m (from 0) becomes the largest of (m - j) p_j over j <= i, at
    most 1. Rejecting those below 0.05 keeps the chance of any false rejection below 0.05,
    whatever the tests have to do with each other (Holm, 1979, Scandinavian Journal of Statistics
    6, 65-70).

    Raises:
        ValueError: a p is not from 0 to 1.
    """
    if not all(0 <= p <= 1 for p in ps):
        raise ValueError(f"p must be from 0 to 1: {list(ps)!r}")
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, (len(ps) - rank) * ps[index])
        adjusted[index] = min(1.0, largest)
    return adjusted


def minimum_detectable_difference(
    differences: Sequence[float], level: float = 0.95, power: float = 0.8
) -> float | None:
    """The smallest true difference that so many pairs of this spread find with that power.

    The d > 0 at which a two-sided paired t test at 1 - level rejects with probability `power`:
    P(|T| > t(n - 1)) for T of the noncentral t distribution with n - 1 degrees of freedom and
    noncentrality d √n / s. In the unit of the differences; s is what was seen, and as uncertain
    as n is small.

    Args:
        differences: one a seed.
        level, power: between 0 and 1, power above 1 - level.

    Returns:
        None below two differences; 0 if they are all equal.

    Raises:
        ValueError: a difference is not finite, or a share is not as said.
    """
    _check_share("level", level)
    _check_share("power", power)
    if power <= 1 - level:
        raise ValueError(f"power {power!r} must be above 1 - level, which chance alone reaches")
    n = len(differences)
    if mean_interval(differences).n < 2:
        return None
    return _shift(n - 1, level, power) * _spread(differences) / math.sqrt(n)


@cache
def _shift(degrees: int, level: float, power: float) -> float:
    """The noncentrality at which a two-sided t test rejects with probability `power`.

    P(|T| > t) for T = (Z + shift) / (X / √degrees), Z normal and X chi distributed, is integrated
    over the quantiles of X: scipy's noncentral t is NaN where the shift is large and the degrees
    few.
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.stats import chi, norm, t

    nodes, weights = np.polynomial.legendre.leggauss(200)
    bars = t.ppf((1 + level) / 2, degrees) / math.sqrt(degrees)
    bars = bars * chi.ppf((nodes + 1) / 2, degrees)

    def excess(shift: float) -> float:
        return float(weights / 2 @ (norm.sf(bars - shift) + norm.cdf(-bars - shift))) - power

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, 0.0, high))


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> float:
    """p of McNemar's exact two-sided test that two classifiers are right equally often.

    Of the examples that exactly one of them has right, each is the one's or the other's with
    probability 1/2: p = min(1, 2 P(X <= fewer)), X binomial (McNemar, 1947, Psychometrika 12,
    153-157). 1 if there is no such example.

    Args:
        right_a, right_b: bool (N,), whether each example was classified right.

    Raises:
        ValueError: the shapes differ or are not (N,).
    """
    import numpy as np

    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"need two arrays of one shape (N,), not {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


def bootstrap_difference(
    right_a: ArrayLike,
    right_b: ArrayLike,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The difference in accuracy, a - b, with its bootstrap interval over test examples.

    Each draw takes N of the N examples with replacement and averages over seeds what a has right
    more often than b; the ends are the percentiles of the draws. It says how much the difference
    would change with other test images and these same networks.

    Args:
        right_a, right_b: bool (N,), or (seeds, N): whether each example was classified right.
        level: the interval's coverage. draws: how many. seed: of the draws.

    Returns:
        Fractions; n is the number of examples.

    Raises:
        ValueError: the shapes differ, there are no examples, or `level` or `draws` is no such.
    """
    import numpy as np

    _check_share("level", level)
    a, b = _seeds_by_examples(right_a), _seeds_by_examples(right_b)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"need two arrays of one shape (seeds, N), not {a.shape} and {b.shape}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws!r}")
    seeds, n = a.shape
    # An example's difference is one of few numbers, so how often each is drawn is all that counts.
    values, counts = np.unique(a.sum(0) - b.sum(0), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=draws)
    means = drawn @ values / (n * seeds)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(counts @ values / (n * seeds)), float(low), float(high), n)


def combine_intervals(seeds: Interval, examples: Interval) -> Interval:
    """The mean over seeds with an interval that allows for other seeds and for other test examples.

    Each side is the root of the sum of the squares of the two intervals' sides: the one over seeds
    holds the examples still, the one over examples the networks, and what the two vary by adds up
    as variances do. (A little too wide, because what a network and an example have in common
    is in both.) Without ends if one of the two has none.
    """
    mean, ends = seeds.mean, (seeds.low, seeds.high, examples.low, examples.high)
    if mean is None or None in ends:
        return replace(seeds, low=None, high=None)
    left, right, left_too, right_too = (abs(mean - end) for end in ends if end is not None)
    low, high = mean - math.hypot(left, left_too), mean + math.hypot(right, right_too)
    return replace(seeds, low=low, high=high)


def verdict_equivalent(interval_90: Interval, margin: float) -> Verdict:
    """Whether a difference is smaller than `margin`, by two one-sided tests at 5 %.

    Args:
        interval_90: the 90 % interval of the difference: that it lies within ±margin is what the
            two tests ask (Schuirmann, 1987, J. Pharmacokinetics and Biopharmaceutics 15, 657-680).
        margin: above 0, in the interval's unit.

    Raises:
        ValueError: `margin` is not a number above 0.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be a number above 0, not {margin!r}")
    return verdict_within(interval_90, -margin, margin)


def verdict_above(interval: Interval, threshold: float) -> Verdict:
    """'holds' if the interval is above `threshold`, 'does not hold' if none of it is, else, or
    without ends or with fewer than MINIMUM_SEEDS values, 'undecided'."""
    if (ends := _ends(interval)) is None:
        return "undecided"
    low, high = ends
    if low > threshold:
        return "holds"
    return "does not hold" if high <= threshold else "undecided"


def verdict_below(interval: Interval, threshold: float) -> Verdict:
    """As `verdict_above`, the other way."""
    if (ends := _ends(interval)) is None:
        return "undecided"
    low, high = ends
    if high < threshold:
        return "holds"
    return "does not hold" if low >= threshold else "undecided"


def verdict_within(interval: Interval, low: float, high: float) -> Verdict:
    """'holds' if the interval lies in [low, high], 'does not hold' if none of it does, else, or
    without ends or with fewer than MINIMUM_SEEDS values, 'undecided'."""
    if (ends := _ends(interval)) is None:
        return "undecided"
    if low <= ends[0] and ends[1] <= high:
        return "holds"
    return "does not hold" if ends[1] < low or ends[0] > high else "undecided"


def _ends(interval: Interval) -> tuple[float, float] | None:
    if interval.low is None or interval.high is None or interval.n < MINIMUM_SEEDS:
        return None
    return interval.low, interval.high


def _differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    if len(a) != len(b):
        raise ValueError(f"pairs need equal lengths, not {len(a)} and {len(b)}")
    return [x - y for x, y in zip(a, b, strict=True)]


def _spread(values: Sequence[float]) -> float:
    """The sample standard deviation of two values or more."""
    n = len(values)
    if min(values) == max(values):
        return 0.0  # and not the rounding of the mean
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))


def _seeds_by_examples(right: ArrayLike) -> NDArray[Any]:
    """bool (N,) or (seeds, N) as int64 (seeds, N)."""
    import numpy as np

    array = np.asarray(right, dtype=bool).astype(np.int64)
    if array.ndim not in (1, 2):
        raise ValueError(f"need an array (N,) or (seeds, N), not {array.shape}")
    return np.atleast_2d(array)


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, not {value!r}")
